"""Quantize and dequantize an activation where it enters a layer."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from quant_core.formats import Scheme, affine_parameters
from quant_core.lower.builder import Builder


def write_activation(
    builder: Builder, value: ir.Value, scheme: Scheme, ends: tuple[float, float] | None
) -> ir.Value:
    """The dequantized copy of `value`. `ends` is its calibrated range; None finds the range of each batch at
    run time.
    """
    if ends is None:
        codes = builder.node("DynamicQuantizeLinear", [value], outputs=3)
        node = builder.nodes[-1]
        return builder.node("DequantizeLinear", [codes, node.outputs[1], node.outputs[2]])
    number = scheme.number
    scale, zero = affine_parameters(ends[0], ends[1], number, scheme.symmetric)
    parameters = [
        builder.constant(np.asarray(scale, np.float32).reshape(())),
        builder.constant(np.asarray(zero).reshape(()).astype(number.storage), number.onnx_type),
    ]
    if number.bits < 8:
        # ONNX Runtime 1.31 refuses to load a Clip before a 2-bit or 4-bit QuantizeLinear
        # (clip_quantizelinear.cc); a Sum of one input, which computes nothing, keeps the two apart.
        value = builder.node("Sum", [value])
    codes = builder.node("QuantizeLinear", [value, *parameters])
    return builder.node("DequantizeLinear", [codes, *parameters])


def guard_float_weights(builder: Builder, node: ir.Node) -> None:
    """Keep ONNX Runtime from quantizing the float weights of `node`, whose input is quantized.

    Its pass WeightBiasQuantization rounds the constant float weights of a Conv or Gemm to int8 by itself when
    quantized values stand on both sides (seen with 1.31: 37 dB instead of exact). A Sum of one input, which
    computes nothing and which no pass removes, keeps the two sides apart."""
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm"):
        return
    output = node.outputs[0]
    users = list(output.uses())
    copy = builder.node("Sum", [output])
    builder.insert_after(node)
    builder.redirect(output, copy, users)
