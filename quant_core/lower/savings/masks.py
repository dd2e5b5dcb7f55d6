"""Causal masks: one value on and below a diagonal, another above. Written as a comparison of two Ranges.

mask[i, j] = low if j < i + k else high, k the number of low values in the first row. Sources: ONNX Range-11,
Less-9, Where-9."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.lower.builder import Builder
from quant_core.lower.codes import cast, ints
from quant_core.lower.savings.tensors import has_opset, replace, stored

_WORTH = 1024  # bytes; the nodes take about 400
_WHERE = (np.float32, np.int64, np.int32, np.uint8)  # what ONNX Runtime's Where takes on the CPU
_Array = NDArray[np.generic]


def generate_masks(model: ir.Model) -> int:
    """Compute every stored causal mask; returns how many there were."""
    if not has_opset(model, 11):
        return 0
    builder, count = Builder(model.graph), 0
    for value, array, diagonal in stored(model, _WORTH, causal_diagonal):
        if (written := _write(builder, array, diagonal)) is not None:
            replace(model, builder, value, written)
            count += 1
    return count


def causal_diagonal(array: _Array) -> int | None:
    """How many elements the first row has below the diagonal, None where `array`, `[..., rows, columns]`, is
    no causal mask.
    """
    if array.ndim < 2 or min(array.shape[-2:]) < 2:
        return None
    planes = array.reshape(-1, *array.shape[-2:])
    first, last = planes[0, 0], planes[0, -1]
    low, high = last[0], first[-1]
    if low == high:
        return None
    diagonal = int((first == low).sum())
    below = np.tri(array.shape[-2], array.shape[-1], diagonal - 1, dtype=bool)
    # Row by row of the stack, so that nothing of the size of the tensor is made more than once.
    return diagonal if all(np.array_equal(p, np.where(below, low, high)) for p in planes) else None


def _write(builder: Builder, array: _Array, diagonal: int) -> ir.Value | None:
    rows, columns = array.shape[-2:]
    low, high = array.reshape(-1, rows, columns)[0, -1, 0], array.reshape(-1, rows, columns)[0, 0, -1]
    kind = array.dtype.type
    if array.dtype != bool and kind not in _WHERE:
        if np.float32(low) != low or np.float32(high) != high:
            return None
        kind = np.float32
    down = builder.node("Reshape", [_range(builder, diagonal, rows + diagonal), ints(builder, -1, 1)])
    made = builder.node("Less", [_range(builder, 0, columns), down])
    if array.dtype == bool:
        made = made if low else builder.node("Not", [made])
    else:
        values = [builder.constant(np.array(v, kind)) for v in (low, high)]
        made = builder.node("Where", [made, *values])
        if kind is not array.dtype.type:
            made = cast(builder, made, int(ir.DataType.from_numpy(array.dtype)))
    if array.ndim == 2:
        return made
    shape = ints(builder, *array.shape)
    return builder.node("Expand" if math.prod(array.shape[:-2]) > 1 else "Reshape", [made, shape])


def _range(builder: Builder, start: int, limit: int) -> ir.Value:
    scalars = [builder.constant(np.array(n, np.int64)) for n in (start, limit, 1)]
    return builder.node("Range", scalars)
