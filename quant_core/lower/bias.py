"""Add a constant per output channel to what a layer gives."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.graph import Layer
from quant_core.lower.builder import Builder


def add_to_bias(builder: Builder, node: ir.Node, layer: Layer, correction: NDArray[np.float32]) -> None:
    """Add `correction`, `[output channels]`, to the bias of `node`, which gets one where it has none."""
    if node.op_type == "MatMul":
        _add_after(builder, node, correction)
        return
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None and bias.const_value is None:
        _add_after(builder, node, _per_channel(node, layer, correction))
        return
    scale = node.attributes.get_float("beta", 1.0) if node.op_type == "Gemm" else 1.0
    total = correction if bias is None else np.asarray(bias.const_value.numpy()) + correction / scale  # type: ignore[union-attr]
    if bias is None and scale != 1.0:
        total = correction / scale
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(2, builder.constant(np.asarray(total, np.float32)))


def _per_channel(node: ir.Node, layer: Layer, correction: NDArray[np.float32]) -> NDArray[np.float32]:
    """`correction` in the shape that broadcasts against the output of `node`."""
    if node.op_type in ("Conv", "ConvTranspose") and layer.shape is not None:
        return correction.reshape(-1, *(1,) * (len(layer.shape) - 2))
    return correction


def _add_after(builder: Builder, node: ir.Node, correction: NDArray[np.float32]) -> None:
    output = node.outputs[0]
    users = list(output.uses())
    total = builder.node("Add", [output, builder.constant(correction)])
    builder.insert_after(node)
    builder.redirect(output, total, users)
