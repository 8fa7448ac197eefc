"""Training of the pair by cross teaching. Needs the extra ``train``, but for the settings."""
