"""What can be saved of one tensor, whatever reads it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.lower.savings.fills import generate_fills
from quant_core.lower.savings.masks import generate_masks
from quant_core.lower.savings.narrow import narrow_tables
from quant_core.lower.savings.ranges import generate_ranges
from quant_core.lower.written import size_of

_KINDS = {
    "masks": generate_masks,
    "fills": generate_fills,
    "ranges": generate_ranges,
    "narrow": narrow_tables,
}


def smaller_tensor(array: NDArray[np.generic], opset: int) -> tuple[str, int] | None:
    """The kind of saving that applies to a stored `array` and the bytes it takes then, None without one."""
    for kind, change in _KINDS.items():
        model = _holding(array, opset)
        if change(model):
            return kind, size_of(model) - size_of(_holding(array[..., :0], opset))
    return None


def _holding(array: NDArray[np.generic], opset: int) -> ir.Model:
    tensor = ir.Tensor(array, name="t")
    value = ir.Value(name="t", const_value=tensor, shape=tensor.shape, type=ir.TensorType(tensor.dtype))
    node = ir.Node("", "Identity", [value], outputs=[ir.Value(name="y")])
    graph = ir.Graph(
        [], node.outputs, nodes=[node], initializers=[value], opset_imports={"": opset}, name="g"
    )
    return ir.Model(graph, ir_version=8)
