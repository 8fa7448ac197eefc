"""Turning a trained pair into files other runtimes can run. Needs torch."""
