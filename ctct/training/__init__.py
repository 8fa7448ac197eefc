"""Training of the pair by cross teaching. Needs torch (extra ``train``)."""
