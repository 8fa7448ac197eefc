"""Volumes, function, wall thickness and quality of one patient, from label maps."""
