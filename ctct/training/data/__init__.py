"""Volumes as slices on the device, drawn in augmented batches."""
