"""A service beside the archive: scans come in, are segmented, and the results go back."""
