"""The bias of a layer: a constant per output channel that is added, and room for it in 32 bits."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.formats import QuantizedTensor
from quant_core.graph import Layer
from quant_core.lower.builder import Builder

_BIASED = ("Conv", "ConvTranspose", "Gemm")


MOST = 1 << 30  # steps of a bias: half of what 32 bits hold, so that the products have room beside it


def with_room_for_bias(
    tensor: QuantizedTensor, bias: NDArray[np.floating], input_scale: float
) -> QuantizedTensor:
    """The weights with scales s_w so large that `bias`, `[output channels]`, in steps of s_x s_w fits 32 bits
    beside the products, as ONNX Runtime's quantizer makes them. `input_scale` is s_x.

    A channel that training has switched off has tiny weights beside its bias (MobileNet v1: 1e-8 beside 3).
    ONNX Runtime rounds the bias to steps of s_x s_w when it loads the file, and what does not fit is cut off
    without a word: the first layer of MobileNet v1 was 12 steps off."""
    assert tensor.scale is not None
    least = np.abs(bias).astype(np.float64) / (MOST * max(float(input_scale), 1e-300))
    rows = tensor.scale.size
    if rows % max(least.size, 1):
        least = np.full(rows, least.max(initial=0.0))
    return tensor.with_scales_at_least(np.repeat(least, rows // max(least.size, 1)).astype(np.float32))


def stored_bias(node: ir.Node) -> NDArray[np.floating] | None:
    """The constant bias of a convolution or Gemm, `[output channels]`, None where there is none."""
    bias = node.inputs[2] if node.op_type in _BIASED and len(node.inputs) > 2 else None
    if bias is None or bias.const_value is None:
        return None
    beta = node.attributes.get_float("beta", 1.0) if node.op_type == "Gemm" else 1.0
    return np.asarray(bias.const_value.numpy(), np.float64).ravel() * beta


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
