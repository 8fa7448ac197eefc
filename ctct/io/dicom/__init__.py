"""DICOM: files → image headers → series → stack → study; and DICOM segmentations."""
