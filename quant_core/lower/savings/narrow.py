"""Tables of wide numbers that fit a narrower type, stored in it behind a Cast: int64 and float64."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.lower.builder import Builder
from quant_core.lower.codes import cast
from quant_core.lower.savings.tensors import has_opset, replace, stored

_WORTH = 256  # bytes; the Cast takes about 40
_WHOLE = (np.uint8, np.int8, np.uint16, np.int16, np.int32)


def narrow_tables(model: ir.Model) -> int:
    """Store int64 tables and exact float64 tensors in the narrowest type; returns how many there were."""
    if not has_opset(model, 9):
        return 0
    builder, count = Builder(model.graph), 0
    for value, array, smaller in stored(model, _WORTH, narrowed):
        wide = int(ir.DataType.from_numpy(array.dtype))
        replace(model, builder, value, cast(builder, builder.constant(smaller), wide))
        count += 1
    return count


def narrowed(array: NDArray[np.generic]) -> NDArray[np.generic] | None:
    """`array` in the narrowest type that holds exactly its values, None where there is none."""
    if array.dtype == np.float64:
        with np.errstate(over="ignore", invalid="ignore"):
            smaller = array.astype(np.float32)
        return smaller if np.array_equal(smaller, array, equal_nan=True) else None
    if array.dtype != np.int64:
        return None
    low, high = int(array.min()), int(array.max())
    for kind in _WHOLE:
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return array.astype(kind)
    return None
