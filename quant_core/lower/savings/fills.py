"""Tensors of one value, written as ConstantOfShape (ONNX ConstantOfShape-9)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.lower.builder import Builder
from quant_core.lower.savings.tensors import has_opset, replace, stored

_WORTH = 256  # bytes; the node and its shape take about 110


def generate_fills(model: ir.Model) -> int:
    """Compute every stored tensor whose elements are all one value; returns how many there were."""
    if not has_opset(model, 9):
        return 0
    builder, count = Builder(model.graph), 0
    for value, array, fill in stored(model, _WORTH, only_value):
        shape = builder.constant(np.array(array.shape, np.int64))
        replace(model, builder, value, builder.node("ConstantOfShape", [shape], {"value": ir.tensor(fill)}))
        count += 1
    return count


def only_value(array: NDArray[np.generic]) -> NDArray[np.generic] | None:
    """The value that all elements have, `[1]`, None where they differ; zeros of two signs do."""
    flat = array.reshape(-1)
    if flat[0] != flat[-1] or not (flat == flat[0]).all():
        return None
    return flat[:1].copy() if np.signbit(flat).any() == np.signbit(flat).all() else None
