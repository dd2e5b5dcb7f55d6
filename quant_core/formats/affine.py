"""The map between real numbers and codes.

    q  = clip(round(x / scale) + zero_point, qmin, qmax)          ONNX QuantizeLinear
    x' = (q - zero_point) * scale                                 ONNX DequantizeLinear

Rounding is half to even, all arithmetic is float32, and zero is exactly representable. Source: ONNX operators
QuantizeLinear and DequantizeLinear, opset 21; Jacob et al. 2018, "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference", equation 1.

Minifloats and tables have no zero point: x / scale is brought to the nearest value of the format (a tie to
the even code of a minifloat, to the upper value of a table), and what is too large becomes the largest."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quant_core.formats.blocks import block_scale
from quant_core.formats.number import Format

FloatArray = NDArray[np.float32]
CodeArray = NDArray[np.int32]

_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
_LARGEST = float(np.finfo(np.float32).max) * (1.0 - 2.0**-20)


def affine_parameters(
    low: ArrayLike, high: ArrayLike, number: Format, symmetric: bool
) -> tuple[FloatArray, CodeArray]:
    """Scale (float32) and zero point of the ranges `[low, high]`, any shape.

    The range is first extended to contain zero. Asymmetric: scale = (high - low) / (qmax - qmin) and the zero
    point is the code of zero. Symmetric: the zero point is 0 (the middle code for an unsigned format) and the
    scale is the smallest for which both ends have a code. An empty range gets scale 1. Minifloats and tables
    are symmetric; block formats have the scales of `block_scale`."""
    lo = np.minimum(np.asarray(low, np.float64), 0.0)
    hi = np.maximum(np.asarray(high, np.float64), 0.0)
    if number.block:
        shared = block_scale(np.maximum(hi, -lo), number)
        return shared, np.zeros(shared.shape, np.int32)
    qmin, qmax = number.qmin, number.qmax
    if number.kind != "integer":
        scale = np.maximum(hi, -lo) / number.largest
        zero = np.zeros(scale.shape, np.int32)
        reach: ArrayLike = number.largest
    elif symmetric:
        middle = 0 if number.signed else 1 << (number.bits - 1)
        scale = np.maximum(hi / (qmax - middle), lo / (qmin - middle))
        zero = np.full(scale.shape, middle, np.int32)
        reach = np.maximum(zero - qmin, qmax - zero)
    else:
        scale = (hi - lo) / (qmax - qmin)
        safe = np.where(scale > 0, scale, 1.0)
        zero = np.clip(np.rint(qmin - lo / safe), qmin, qmax).astype(np.int32)
        reach = np.maximum(zero - qmin, qmax - zero)
    # No code may decode to infinity, which float32 would make of the largest numbers.
    scale = np.where(scale > 0, np.clip(scale, _SMALLEST_SCALE, _LARGEST / np.asarray(reach)), 1.0)
    return scale.astype(np.float32), zero


def quantize(x: ArrayLike, scale: FloatArray, zero_point: CodeArray, number: Format) -> CodeArray:
    """Codes of `x`, as int32. `scale` and `zero_point` broadcast against `x`. The code of a minifloat is its
    bit pattern, that of a table its index. Where the scale is 0 (a block that underflows), so is every value.
    """
    with np.errstate(
        over="ignore", divide="ignore", invalid="ignore"
    ):  # far outside the range: clipped below
        steps = np.asarray(np.asarray(x, np.float32) / scale)
    if number.block:
        steps = np.where(scale > 0, steps, np.float32(0))
    if number.kind == "minifloat":
        limit = np.float32(number.largest)
        return np.asarray(np.clip(steps, -limit, limit).astype(number.storage).view(np.uint8), np.int32)
    if number.kind == "table":
        values = number.decoded()
        return np.searchsorted((values[1:] + values[:-1]) / 2, steps, side="right").astype(np.int32)
    # Clip in float: a value far outside the range would overflow the integer type.
    zero = np.asarray(zero_point, np.float32)
    np.rint(steps, out=steps)
    np.clip(steps, np.float32(number.qmin) - zero, np.float32(number.qmax) - zero, out=steps)
    return np.asarray(steps + zero, np.int32)


def dequantize(
    codes: ArrayLike, scale: FloatArray, zero_point: CodeArray, number: Format | None = None
) -> FloatArray:
    """Real values of `codes`, float32, in the order of operations of DequantizeLinear. Without `number` the
    codes are integers.
    """
    if number is not None and number.kind in ("minifloat", "table"):
        return np.asarray(number.decoded()[np.asarray(codes)] * scale, np.float32)
    shifted = np.asarray(codes).astype(np.float32) - zero_point.astype(np.float32)
    return np.asarray(shifted * scale, np.float32)


def fake_quantize(x: ArrayLike, scale: FloatArray, zero_point: CodeArray, number: Format) -> FloatArray:
    """`x` after quantizing and dequantizing."""
    return dequantize(quantize(x, scale, zero_point, number), scale, zero_point, number)
