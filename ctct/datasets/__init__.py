"""Training sets on disk: patients, their scans and label maps, as a collection of volumes."""
