"""ONNX's quantization operators in NumPy: QuantizeLinear and DequantizeLinear (opset 10 to 28),
DynamicQuantizeLinear (opset 11).

    y = saturate(round(x / scale) + zero_point)        x' = (y - zero_point) * scale

They are thin layers over `affine`, so that what the rest of the code computes can be held against the
operators' own test cases. What one scale belongs to is told by its shape:

| scale | |
|---|---|
| `[]` or `[1]` | the tensor |
| `[channels]` | an index of `axis` |
| rank of `x` | `block_size` neighbours along `axis`; the last block may be short |

Sources: the operators' documentation; for the tables of 8-bit floats, that of Cast."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from quant_core.errors import FormatError
from quant_core.formats.affine import dequantize, quantize
from quant_core.formats.number import FORMATS

Array = NDArray[np.generic]

_INTEGERS = {
    np.dtype(kind): FORMATS[name]
    for name, kind in (
        ("uint16", np.uint16),
        ("int16", np.int16),
        ("uint8", np.uint8),
        ("int8", np.int8),
        ("uint4", ml_dtypes.uint4),
        ("int4", ml_dtypes.int4),
        ("uint2", ml_dtypes.uint2),
        ("int2", ml_dtypes.int2),
    )
}
_FLOATS = {
    np.dtype(kind)
    for kind in (
        ml_dtypes.float8_e4m3fn,
        ml_dtypes.float8_e4m3fnuz,
        ml_dtypes.float8_e5m2,
        ml_dtypes.float8_e5m2fnuz,
        ml_dtypes.float6_e2m3fn,
        ml_dtypes.float6_e3m2fn,
        ml_dtypes.float4_e2m1fn,
    )
}
_WITHOUT_NAN = 8  # bits: the smaller floats have no code for NaN and none for infinity


def quantize_linear(
    x: Array,
    scale: Array,
    zero_point: Array | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    saturate: bool = True,
    output_dtype: DTypeLike | None = None,
    precision: DTypeLike | None = None,
) -> Array:
    """The codes of `x`, in its shape, of the type of `zero_point`, else `output_dtype`, else uint8.

    `x / scale` is computed in `precision`, by default the type of `scale` (where that is an integer or a bare
    exponent, in float32 or wider). What is too large gets the outermost code; with `saturate` off, an 8-bit
    float becomes NaN, or infinity where it has one. FormatError where types or shapes do not fit, and where
    NaN has no code."""
    target = _target(zero_point, output_dtype)
    wide = _wide(x.dtype, scale.dtype) if precision is None else np.dtype(precision)
    shared = _spread(scale, x.shape, axis, block_size).astype(wide)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # saturates, or has no code, below
        ratio = x.astype(wide) / shared
    zero = np.zeros(()) if zero_point is None else _spread(zero_point, x.shape, axis, block_size)
    if np.isnan(ratio).any() and (target in _INTEGERS or _bits(target) < _WITHOUT_NAN):
        raise FormatError(
            f"NaN has no code in {target.name}", "take NaN and zero scales out before quantizing"
        )
    if target in _INTEGERS:
        whole = np.rint(ratio).astype(np.float32)
        codes = quantize(whole, np.ones((), np.float32), zero.astype(np.int32), _INTEGERS[target])
        return codes.astype(target)
    moved = ratio.astype(np.float32) + zero.astype(np.float32)
    if saturate or _bits(target) < _WITHOUT_NAN:
        limit = np.float32(ml_dtypes.finfo(target).max)  # type: ignore[no-untyped-call]
        moved = np.clip(moved, -limit, limit)
    return np.asarray(moved.astype(target))


def dequantize_linear(
    x: Array,
    scale: Array,
    zero_point: Array | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: DTypeLike | None = None,
) -> Array:
    """The values of the codes `x`, in its shape, of the type of `scale` or of `output_dtype`.

    Computed in float32 and then rounded to that type. FormatError where types or shapes do not fit."""
    if zero_point is not None and zero_point.dtype != x.dtype:
        raise FormatError(
            f"the codes are {x.dtype.name}, their zero points {zero_point.dtype.name}", "give one type"
        )
    # Of a float, the zero point is a number too; it is zero in all that follows the documentation.
    zero: Any = np.zeros(()) if zero_point is None else _spread(zero_point, x.shape, axis, block_size)
    values = dequantize(x, _spread(scale, x.shape, axis, block_size).astype(np.float32), zero)
    wanted = scale.dtype if output_dtype is None else np.dtype(output_dtype)
    with np.errstate(over="ignore"):
        return np.asarray(values.astype(wanted))


def dynamic_quantize_linear(x: ArrayLike) -> tuple[Array, Array, Array]:
    """Codes (uint8, in the shape of `x`), scale (float32 `[]`) and zero point (uint8 `[]`) of the range of
    `x`, which is extended to contain zero.

    Where all is zero, or so small that the scale underflows, the operator would divide by zero; the scale is
    1 then, as in ONNX Runtime. An empty `x` counts as zero. FormatError where a value is NaN or infinite."""
    values = np.asarray(x, np.float32)
    low = np.minimum(values.min(initial=0), np.float32(0))
    high = np.maximum(values.max(initial=0), np.float32(0))
    with np.errstate(over="ignore"):
        span = np.float32(high - low)
    if not np.isfinite(span):
        raise FormatError("the range of the values is not finite", "take out NaN, infinite and huge values")
    scale = span / np.float32(255) or np.float32(1)
    zero = np.rint(np.clip(-low / scale, 0, 255)).astype(np.uint8)
    return quantize_linear(values, np.asarray(scale), np.asarray(zero)), np.asarray(scale), np.asarray(zero)


def _target(zero_point: Array | None, output_dtype: DTypeLike | None) -> np.dtype:
    chosen = None if output_dtype is None else np.dtype(output_dtype)
    target = chosen or np.dtype(np.uint8) if zero_point is None else zero_point.dtype
    if chosen is not None and chosen != target:
        raise FormatError(
            f"output_dtype is {chosen.name}, the zero points are {target.name}", "give one type"
        )
    if target not in _INTEGERS and target not in _FLOATS:
        raise FormatError(
            f"'{target.name}' is no type of quantized values", "choose an integer of up to 16 bits"
        )
    return target


def _wide(x: np.dtype, scale: np.dtype) -> np.dtype:
    """The type that x / scale is computed in: that of the scale, if it is one to compute in."""
    if scale in (np.float32, np.float16, ml_dtypes.bfloat16):
        return scale
    return np.dtype(np.float32 if scale == ml_dtypes.float8_e8m0fnu else np.float64)


def _bits(target: np.dtype) -> int:
    return int(ml_dtypes.finfo(target).bits)  # type: ignore[no-untyped-call]


def _spread(parameter: Array, shape: tuple[int, ...], axis: int, block_size: int) -> Array:
    """A scale or zero point, broadcastable against `shape`."""
    if parameter.size == 1 and parameter.ndim <= 1:
        return parameter.reshape(())
    rank = len(shape)
    if not -rank <= axis < rank:
        raise FormatError(f"axis is {axis} for a tensor of {rank} dimensions", f"give -{rank} to {rank - 1}")
    axis %= rank
    if block_size == 0:
        if parameter.shape != (shape[axis],):
            raise FormatError(
                f"{list(parameter.shape)} parameters do not fit axis {axis} of {list(shape)}",
                f"give one or {shape[axis]}",
            )
        return parameter.reshape([-1 if i == axis else 1 for i in range(rank)])
    blocks = -(-shape[axis] // block_size)
    expected = (*shape[:axis], blocks, *shape[axis + 1 :])
    if parameter.shape != expected:
        raise FormatError(
            f"{list(parameter.shape)} parameters do not fit {list(shape)} in blocks of {block_size}",
            f"give {list(expected)}",
        )
    return np.repeat(parameter, block_size, axis).take(np.arange(shape[axis]), axis)
