"""Write codes into a graph, and the nodes that give their values at scale 1.

Where ONNX has a type for the codes they are stored in it and cast. Others are packed bytes: bits of eight
codes taken apart by BitwiseAnd, five ternary codes of a byte by division. Indices look up a table by
Gather. ONNX Runtime folds all of it at load, so a decoded weight costs what a float one costs."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.formats import Format
from quant_core.formats.packing import TRITS, pack_bits, pack_trits, place_values
from quant_core.lower.builder import Builder

_FLOAT, _INT32, _BOOL = (int(t) for t in (ir.DataType.FLOAT, ir.DataType.INT32, ir.DataType.BOOL))
_INDEX_TYPES = {
    "UINT8": np.dtype(np.uint8),
    "UINT4": np.dtype(ml_dtypes.uint4),
    "UINT2": np.dtype(ml_dtypes.uint2),
}


def write_values(builder: Builder, codes: NDArray[np.generic], number: Format) -> ir.Value:
    """Store `codes` and give their float32 values at scale 1, in the shape of `codes`. Integers keep their
    zero point.
    """
    if number.kind == "minifloat" and number.bits == 8:
        stored = codes.astype(np.uint8).view(number.storage)
        return cast(builder, builder.constant(stored, number.onnx_type), _FLOAT)
    if number.kind == "integer":
        return _integers(builder, codes, number)
    if number.bits == 1:
        return _signs(builder, codes)
    return builder.node("Gather", [builder.constant(number.decoded()), write_indices(builder, codes, number)])


def write_indices(builder: Builder, codes: NDArray[np.generic], number: Format) -> ir.Value:
    """Store `codes` and give them as int32 indices, in their shape."""
    if number.is_onnx_type:
        stored = codes.astype(_INDEX_TYPES[number.onnx_type])
        return cast(builder, builder.constant(stored, number.onnx_type), _INT32)
    return cast(builder, _from_bits(builder, codes, number.bits, signed=False), _INT32)


def cast(builder: Builder, value: ir.Value, to: int) -> ir.Value:
    """`value` as another type."""
    return builder.node("Cast", [value], {"to": to})


def ints(builder: Builder, *values: int) -> ir.Value:
    """A constant list of int64."""
    return builder.constant(np.array(values, np.int64))


def _integers(builder: Builder, codes: NDArray[np.generic], number: Format) -> ir.Value:
    if number.is_onnx_type:
        return cast(builder, builder.constant(codes.astype(number.storage), number.onnx_type), _FLOAT)
    if number.levels == 3:
        return _from_trits(builder, codes)
    return _from_bits(builder, codes, number.bits, number.signed)


def _bits(builder: Builder, packed: NDArray[np.uint8]) -> ir.Value:
    """The bits of bytes, bool, `[..., 8]` of `[..., 1]`."""
    places = builder.constant(np.array([1, 2, 4, 8, 16, 32, 64, 128], np.uint8))
    return cast(builder, builder.node("BitwiseAnd", [builder.constant(packed), places]), _BOOL)


def _from_bits(builder: Builder, codes: NDArray[np.generic], bits: int, signed: bool) -> ir.Value:
    """Codes of `bits` bits each, as float: the sum of what their bits are worth."""
    packed = pack_bits(codes.astype(np.int64), bits)
    planes = cast(builder, _bits(builder, packed[:, :, None]), _FLOAT)  # [eights, bits, 8]
    worth = builder.constant(place_values(bits, signed).astype(np.float32)[:, None])
    summed = builder.node(
        "ReduceSum", [builder.node("Mul", [planes, worth]), ints(builder, 1)], {"keepdims": 0}
    )
    return _cut(builder, summed, codes, 8)


def _signs(builder: Builder, codes: NDArray[np.generic]) -> ir.Value:
    """1 where a bit is set, else -1."""
    bits = _bits(builder, pack_bits(codes.astype(np.int64), 1))
    plus, minus = builder.constant(np.array(1, np.float32)), builder.constant(np.array(-1, np.float32))
    return _cut(builder, builder.node("Where", [bits, plus, minus]), codes, 8)


def _from_trits(builder: Builder, codes: NDArray[np.generic]) -> ir.Value:
    """The digits of bytes to the base of three, less one."""
    packed = cast(builder, builder.constant(pack_trits(codes.astype(np.int64))), _INT32)
    powers, three = np.array([1, 3, 9, 27, 81], np.int32), np.array(3, np.int32)
    digits = builder.node(
        "Mod", [builder.node("Div", [packed, builder.constant(powers)]), builder.constant(three)]
    )
    one = builder.constant(np.array(1, np.float32))
    return _cut(builder, builder.node("Sub", [cast(builder, digits, _FLOAT), one]), codes, TRITS)


def _cut(builder: Builder, unpacked: ir.Value, codes: NDArray[np.generic], together: int) -> ir.Value:
    """`unpacked`, `[..., together]`, without what fills up the last one, in the shape of `codes`."""
    if codes.size % together:
        flat = builder.node("Reshape", [unpacked, ints(builder, -1)])
        unpacked = builder.node("Slice", [flat, ints(builder, 0), ints(builder, codes.size)])
    return builder.node("Reshape", [unpacked, ints(builder, *codes.shape)])
