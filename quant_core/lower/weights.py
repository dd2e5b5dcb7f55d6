"""Write a quantized tensor into a graph with the nodes that decode it.

Two decoders give the same values to the bit:
- `cast`: codes to float (see `codes`), (Sub,) Mul. ONNX Runtime folds it at load: FP32 speed, FP32 memory.
- `dequantize`: DequantizeLinear, which integer kernels and other toolchains recognise; for the formats that
  have it (`Format.has_dequantize`).

Where 8-bit activations meet int8 weights, the codes are stored as uint8 with the zero point 128 higher
(`unsigned`): the same values to the bit. ONNX Runtime's uint8 x int8 kernels for x86 without VNNI add pairs
of products in 16 bits and saturate without a word. Measured with 1.31 on AVX2, int8 weights against uint8
weights as shipped, each 0.2 dB or less from simulated where unsigned: keywords -2.8 against 28.4 dB,
MobileNet v1 7.0 against 17.0 dB. The price is
speed, and depends on the machine: `compare` gives the ratio.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.formats import Format, QuantizedTensor, from_rows, get_format
from quant_core.formats.blocks import e8m0_exponents, nvfp4_scales
from quant_core.lower.builder import Builder
from quant_core.lower.codes import cast, ints, write_indices, write_values

DECODERS = ("cast", "dequantize")
_FLOAT, _INT32 = int(ir.DataType.FLOAT), int(ir.DataType.INT32)


def write_weights(
    builder: Builder, tensor: QuantizedTensor, decoder: str, unsigned: bool = False
) -> ir.Value:
    """Store `tensor` and give the float32 value that its decoder computes, in the tensor's own shape.

    `unsigned` stores int8 codes as uint8, for layers whose activations have 8 bits.
    """
    number = tensor.scheme.number
    if number.kind == "float":
        if number.name == "fp32":
            return builder.constant(tensor.codes)
        return cast(builder, builder.constant(tensor.codes, number.onnx_type), _FLOAT)
    if tensor.table is not None:
        return _restore(builder, tensor, _looked_up(builder, tensor))
    codes, scale, zero = _shaped(tensor)
    if unsigned and number.name == "int8":
        number, codes, zero = get_format("uint8"), codes.astype(np.int32) + 128, zero + 128
    if decoder == "dequantize" and number.has_dequantize:
        decoded = _dequantize(builder, tensor, number, codes, scale, zero)
    else:
        decoded = write_values(builder, codes, number)
        if (zero != 0).any():
            decoded = builder.node("Sub", [decoded, _zero_point(builder, zero, number)])
        decoded = builder.node("Mul", [decoded, _scale(builder, tensor, scale)])
    return _restore(builder, tensor, decoded)


def _shaped(tensor: QuantizedTensor) -> tuple[NDArray[np.generic], NDArray[np.float32], NDArray[np.int32]]:
    """Codes as stored, with scales and zero points that broadcast against them.

    A group-wise tensor is stored as `[channels, groups, group]`, others in their own shape.
    """
    assert tensor.scale is not None and tensor.zero_point is not None
    codes, shape = _stored(tensor)
    return codes, tensor.scale.reshape(shape), tensor.zero_point.reshape(shape)


def _stored(tensor: QuantizedTensor) -> tuple[NDArray[np.generic], tuple[int, ...]]:
    """Codes as stored, and the shape in which one number for each row broadcasts against them."""
    layout = tensor.layout
    if layout.granularity == "tensor":
        return from_rows(tensor.codes, layout), ()
    channels = layout.shape[layout.axis]
    if layout.group:
        return tensor.codes.reshape(channels, layout.groups, layout.group), (channels, layout.groups, 1)
    if layout.channels > 1:
        return tensor.codes, (layout.rows, 1)
    own = tuple(channels if i == layout.axis else 1 for i in range(len(layout.shape)))
    return from_rows(tensor.codes, layout), own


def _looked_up(builder: Builder, tensor: QuantizedTensor) -> ir.Value:
    """The entries of the tables; the tables of all rows stand one after the other."""
    assert tensor.table is not None
    codes, shape = _stored(tensor)
    indices = write_indices(builder, codes, tensor.scheme.number)
    rows, levels = tensor.table.shape
    if rows > 1:
        begins = (np.arange(rows, dtype=np.int32) * levels).reshape(shape)
        indices = builder.node("Add", [indices, builder.constant(begins)])
    return builder.node("Gather", [builder.constant(tensor.table.reshape(-1)), indices])


def _zero_point(builder: Builder, zero: NDArray[np.int32], number: Format) -> ir.Value:
    """Zero points as float, stored in the type of the codes, or in bytes where they have none."""
    smaller = _shrink(zero)
    if number.is_onnx_type:
        return cast(builder, builder.constant(smaller.astype(number.storage), number.onnx_type), _FLOAT)
    return cast(builder, builder.constant(smaller.astype(number.storage)), _FLOAT)


def _scale(builder: Builder, tensor: QuantizedTensor, scale: NDArray[np.float32]) -> ir.Value:
    """The scales as float32, stored in the bits that the format gives them."""
    number = tensor.scheme.number
    smaller = _shrink(scale)
    if number.scale == "fp32" or smaller.size == 1:
        return builder.constant(smaller)
    if number.scale == "e8m0":
        exponents = e8m0_exponents(scale)
        first = int(exponents.min())
        powers = np.ldexp(np.float32(1), np.arange(first, int(exponents.max()) + 1)).astype(np.float32)
        indices = cast(builder, builder.constant((exponents - first).astype(np.uint8)), _INT32)
        return builder.node("Gather", [builder.constant(powers), indices])
    assert tensor.peaks is not None
    codes, whole = nvfp4_scales(tensor.peaks, number)
    blocks = cast(builder, builder.constant(codes.reshape(scale.shape), "FLOAT8E4M3FN"), _FLOAT)
    return builder.node("Mul", [blocks, builder.constant(np.array(whole, np.float32))])


def _shrink(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """A scalar where all values are equal, which broadcasts to the same."""
    return (
        array.reshape(-1)[:1].reshape(()) if array.size and (array == array.reshape(-1)[0]).all() else array
    )


def _dequantize(
    builder: Builder,
    tensor: QuantizedTensor,
    number: Format,
    codes: NDArray[np.generic],
    scale: NDArray[np.float32],
    zero: NDArray[np.int32],
) -> ir.Value:
    layout = tensor.layout
    kept = (
        codes.astype(np.uint8).view(number.storage)
        if number.kind == "minifloat"
        else codes.astype(number.storage)
    )
    stored = builder.constant(kept, number.onnx_type)
    attributes: dict[str, int | list[int]] = {}
    if layout.group:
        # Blocked along the last axis of [channels, groups, group], one block a group.
        attributes = {"axis": 2, "block_size": layout.group}
    elif layout.granularity == "channel":
        attributes = {"axis": layout.axis}
        scale, zero = scale.reshape(-1), zero.reshape(-1)
    inputs = [stored, builder.constant(scale)]
    if (zero != 0).any():
        inputs.append(builder.constant(zero.astype(number.storage), number.onnx_type))
    return builder.node("DequantizeLinear", inputs, dict(attributes))


def _restore(builder: Builder, tensor: QuantizedTensor, decoded: ir.Value) -> ir.Value:
    """From the shape of `_stored` back to the tensor's: drop the padding, put the channel axis in place."""
    layout = tensor.layout
    if not layout.group and layout.channels == 1:
        return decoded
    channels, size = layout.shape[layout.axis], layout.channel_size
    if layout.group and layout.groups * layout.group != size:
        flat = builder.node("Reshape", [decoded, ints(builder, channels, -1)])
        decoded = builder.node("Slice", [flat, ints(builder, 0), ints(builder, size), ints(builder, 1)])
    elif channels % layout.channels:
        flat = builder.node("Reshape", [decoded, ints(builder, -1, size)])
        decoded = builder.node("Slice", [flat, ints(builder, 0), ints(builder, channels), ints(builder, 0)])
    moved = [channels, *(n for i, n in enumerate(layout.shape) if i != layout.axis)]
    decoded = builder.node("Reshape", [decoded, ints(builder, *moved)])
    if layout.axis:
        order = [*range(1, layout.axis + 1), 0, *range(layout.axis + 1, len(layout.shape))]
        decoded = builder.node("Transpose", [decoded], {"perm": order})
    return decoded


def stored_opset(tensor_group: int, decoder: str) -> int:
    """The opset that a decoder needs beside the format's own: blocked DequantizeLinear came with 21."""
    return 21 if tensor_group and decoder == "dequantize" else 13
