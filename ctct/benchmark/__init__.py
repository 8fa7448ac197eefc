"""Measurements on this machine, as ratios of things timed in turns within one run."""
