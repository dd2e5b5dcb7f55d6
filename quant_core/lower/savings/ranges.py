"""Tables of evenly spaced whole numbers, written as Range (ONNX Range-11)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.lower.builder import Builder
from quant_core.lower.codes import ints
from quant_core.lower.savings.tensors import has_opset, replace, stored

_WORTH = 256  # bytes; the nodes take about 130
_EXACT = 1 << 24  # float32 holds every whole number up to here
_TYPES = (np.float32, np.float64, np.int32, np.int64)  # what Range takes


def generate_ranges(model: ir.Model) -> int:
    """Compute every stored table of evenly spaced whole numbers; returns how many there were."""
    if not has_opset(model, 11):
        return 0
    builder, count = Builder(model.graph), 0
    for value, array, step in stored(model, _WORTH, even_step):
        first = int(array.reshape(-1)[0])
        ends = [first, first + step * array.size, step]
        made = builder.node("Range", [builder.constant(np.array(n, array.dtype)) for n in ends])
        if array.ndim != 1:
            made = builder.node("Reshape", [made, ints(builder, *array.shape)])
        replace(model, builder, value, made)
        count += 1
    return count


def even_step(array: NDArray[np.generic]) -> int | None:
    """What is between any two numbers that follow each other, None where it differs or is no whole number, or
    the type is none that Range takes.
    """
    flat = array.reshape(-1)
    if flat.size < 2 or array.dtype.type not in _TYPES:
        return None
    first, second, last = flat[[0, 1, -1]].tolist()  # Python's numbers, which do not overflow
    if not np.isfinite([first, second, last]).all() or max(abs(first), abs(last)) >= _EXACT:
        return None
    step = second - first
    if step == 0 or step != int(step) or first != int(first) or abs(int(step)) * flat.size >= _EXACT:
        return None
    expected = np.arange(flat.size, dtype=np.int64) * int(step) + int(first)
    return int(step) if np.array_equal(flat, expected) else None
