"""Plans: which layer has which precision, presets, rules, and the plan file."""

from quant_core.plan.arena import Arena, arena
from quant_core.plan.plan import Plan, diff, differences, read_plan, write_plan
from quant_core.plan.precision import Precision
from quant_core.plan.presets import (
    PARTS,
    PRESETS,
    cell_precision,
    default_activation_scheme,
    default_scheme,
    precision_for,
    preset_plan,
    uniform_plan,
)
from quant_core.plan.rules import check_plan, why_not

__all__ = [
    "PARTS",
    "PRESETS",
    "Arena",
    "Plan",
    "Precision",
    "arena",
    "cell_precision",
    "check_plan",
    "default_activation_scheme",
    "default_scheme",
    "diff",
    "differences",
    "precision_for",
    "preset_plan",
    "read_plan",
    "uniform_plan",
    "why_not",
    "write_plan",
]
