"""Preparation: what must be done to a model before its layers can be quantized, with proof."""

from quant_core.prepare.prepare import Step, generate_inputs, prepare, prepare_unrun
from quant_core.prepare.savings import Saving, find_savings, may_save

__all__ = ["Saving", "Step", "find_savings", "generate_inputs", "may_save", "prepare", "prepare_unrun"]
