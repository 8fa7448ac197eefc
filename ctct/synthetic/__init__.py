"""A made-up cine with its ground truth: shows the whole tool at work without a patient's scan."""

from ctct.synthetic.cine import synthetic_cine

__all__ = ["synthetic_cine"]
