"""Improvements of a plan beyond formats: bias correction."""

from quant_core.improve.bias_correction import can_correct, correct_bias

__all__ = ["can_correct", "correct_bias"]
