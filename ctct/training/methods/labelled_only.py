"""Labelled slices alone: the baseline that every other method must surpass."""

from __future__ import annotations

from ctct.training.methods.base import Method


class LabelledOnly(Method):
    """Never called, for no slice without labels is drawn."""
