"""Write a quantized tensor into a graph with the nodes that decode it.

Two decoders give the same values to the bit:
- `cast`: Cast, (Sub,) Mul. ONNX Runtime folds it at load: FP32 speed, FP32 memory.
- `dequantize`: DequantizeLinear, which integer kernels and other toolchains recognise.

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
from quant_core.lower.builder import Builder

DECODERS = ("cast", "dequantize")


def write_weights(
    builder: Builder, tensor: QuantizedTensor, decoder: str, unsigned: bool = False
) -> ir.Value:
    """Store `tensor` and give the float32 value that its decoder computes, in the tensor's own shape.

    `unsigned` stores int8 codes as uint8, for layers whose activations have 8 bits.
    """
    number = tensor.scheme.number
    if tensor.scale is None or tensor.zero_point is None:
        if number.name == "fp32":
            return builder.constant(tensor.codes)
        return builder.node(
            "Cast", [builder.constant(tensor.codes, number.onnx_type)], {"to": int(ir.DataType.FLOAT)}
        )
    codes, scale, zero = _shaped(tensor)
    if unsigned and number.name == "int8":
        number, codes, zero = get_format("uint8"), codes.astype(np.int32) + 128, zero + 128
    stored = builder.constant(codes.astype(number.storage), number.onnx_type)
    if decoder == "dequantize":
        decoded = _dequantize(builder, tensor, number, stored, scale, zero)
    else:
        decoded = builder.node("Cast", [stored], {"to": int(ir.DataType.FLOAT)})
        if (zero != 0).any():
            zero_stored = builder.constant(_shrink(zero).astype(number.storage), number.onnx_type)
            shift = builder.node("Cast", [zero_stored], {"to": int(ir.DataType.FLOAT)})
            decoded = builder.node("Sub", [decoded, shift])
        decoded = builder.node("Mul", [decoded, builder.constant(_shrink(scale))])
    return _restore(builder, tensor, decoded)


def _shaped(tensor: QuantizedTensor) -> tuple[NDArray[np.generic], NDArray[np.float32], NDArray[np.int32]]:
    """Codes as stored, with scales and zero points that broadcast against them.

    A group-wise tensor is stored as `[channels, groups, group]`, others in their own shape.
    """
    layout = tensor.layout
    assert tensor.scale is not None and tensor.zero_point is not None
    if layout.granularity == "tensor":
        return from_rows(tensor.codes, layout), tensor.scale.reshape(()), tensor.zero_point.reshape(())
    channels = layout.shape[layout.axis]
    if layout.group:
        shape: tuple[int, ...] = (channels, layout.groups, 1)
        codes: NDArray[np.generic] = tensor.codes.reshape(channels, layout.groups, layout.group)
    else:
        shape = tuple(channels if i == layout.axis else 1 for i in range(len(layout.shape)))
        codes = from_rows(tensor.codes, layout)
    return codes, tensor.scale.reshape(shape), tensor.zero_point.reshape(shape)


def _shrink(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """A scalar where all values are equal, which broadcasts to the same."""
    return (
        array.reshape(-1)[:1].reshape(()) if array.size and (array == array.reshape(-1)[0]).all() else array
    )


def _dequantize(
    builder: Builder,
    tensor: QuantizedTensor,
    number: Format,
    stored: ir.Value,
    scale: NDArray[np.float32],
    zero: NDArray[np.int32],
) -> ir.Value:
    layout = tensor.layout
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
    """From `[channels, groups, group]` back to the tensor's shape: drop the padding, put the channel axis in
    place.
    """
    layout = tensor.layout
    if not layout.group:
        return decoded
    channels, size = layout.shape[layout.axis], layout.channel_size

    def ints(*values: int) -> ir.Value:
        return builder.constant(np.array(values, np.int64))

    if layout.groups * layout.group != size:
        flat = builder.node("Reshape", [decoded, ints(channels, -1)])
        decoded = builder.node("Slice", [flat, ints(0), ints(size), ints(1)])
    moved = [channels, *(n for i, n in enumerate(layout.shape) if i != layout.axis)]
    decoded = builder.node("Reshape", [decoded, ints(*moved)])
    if layout.axis:
        order = [*range(1, layout.axis + 1), 0, *range(layout.axis + 1, len(layout.shape))]
        decoded = builder.node("Transpose", [decoded], {"perm": order})
    return decoded


def stored_opset(tensor_group: int, decoder: str) -> int:
    """The opset that a decoder needs beside the format's own: blocked DequantizeLinear came with 21."""
    return 21 if tensor_group and decoder == "dequantize" else 13
