"""Inputs that index a table: how many rows it has, so that made-up indices are valid."""

from __future__ import annotations

import onnx_ir as ir

from quant_core.graph.layers import weight_chain
from quant_core.graph.operators import int_of
from quant_core.graph.shapes import sizes_of

# Change the shape or the type of indices, and not their values.
_SAME = frozenset(
    ["Cast", "Identity", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Transpose", "Slice", "Expand"]
)


def index_rows(model: ir.Model) -> dict[str, int]:
    """Rows of the smallest stored table that each input of the graph indexes (Gather), by its name."""
    rows: dict[str, int] = {}
    for value in model.graph.inputs:
        found = _tables(value, 0)
        if found and value.name not in model.graph.initializers:
            rows[value.name or ""] = min(found)
    return rows


def _tables(value: ir.Value, depth: int) -> list[int]:
    found: list[int] = []
    for node, position in value.uses():
        if node.op_type == "Gather" and position == 1:
            stored, _ = weight_chain(node.inputs[0])
            if stored is not None and stored.const_value is not None:
                sizes = sizes_of(stored.const_value)
                axis = int_of(node, "axis", 0)
                found += [sizes[axis]] if -len(sizes) <= axis < len(sizes) else []
        elif node.op_type in _SAME and position == 0 and depth < 16:
            found += _tables(node.outputs[0], depth + 1)
    return found
