"""DICOM: files → headers of images → series → stack → study; and DICOM segmentations."""
