"""Training of the pair by cross teaching. Needs the extra ``train``, except for the settings."""
