"""Preparation: what must be done to a model before its layers can be quantized, with proof."""

from quant_core.prepare.prepare import Step, generate_inputs, prepare

__all__ = ["Step", "generate_inputs", "prepare"]
