"""Which scans are in files and folders, what each is called, and reading one."""
