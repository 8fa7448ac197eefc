"""Measurements of speed and quality; speeds are relative to a reference timed in the same run."""
