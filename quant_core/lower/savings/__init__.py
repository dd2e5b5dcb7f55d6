"""Savings: passes that make a file smaller and change nothing of what it computes, one a file.

Each takes a model and gives how many tensors it changed. ONNX Runtime folds at load what is written as nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import onnx_ir as ir

from quant_core.lower.savings.duplicates import merge_duplicates
from quant_core.lower.savings.fills import generate_fills
from quant_core.lower.savings.masks import generate_masks
from quant_core.lower.savings.narrow import narrow_tables
from quant_core.lower.savings.ranges import generate_ranges
from quant_core.lower.savings.unused import drop_unused

SAVINGS: Mapping[str, tuple[Callable[[ir.Model], int], str]] = {
    "unused": (drop_unused, "{n} tensor{s} that nothing reads dropped"),
    "masks": (generate_masks, "{n} causal mask{s} computed instead of stored"),
    "fills": (generate_fills, "{n} tensor{s} of one value computed instead of stored"),
    "ranges": (generate_ranges, "{n} table{s} of consecutive numbers computed instead of stored"),
    "narrow": (narrow_tables, "{n} table{s} stored in the smallest type that loses nothing"),
    "duplicates": (merge_duplicates, "{n} duplicated tensor{s} stored once"),
}


def apply_savings(model: ir.Model, refused: Collection[str] = ()) -> None:
    """Apply every saving but those `refused`, in place."""
    for kind, (change, _) in SAVINGS.items():
        if kind not in refused:
            change(model)
