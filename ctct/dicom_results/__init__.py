"""Results as DICOM objects of the study that was segmented."""
