"""Synthetic cines with ground truth, to show and test ctct without a patient's scan."""

from ctct.synthetic.cine import synthetic_cine

__all__ = ["synthetic_cine"]
