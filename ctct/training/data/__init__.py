"""From folders of scans to slices on the device."""
