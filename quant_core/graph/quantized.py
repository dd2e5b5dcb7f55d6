"""The layers of a file that is quantized already: formats, scales, zero points, and what they stand for.

Four ways of writing one are read: QDQ (QuantizeLinear and DequantizeLinear around float operators), QOperator
(QLinearConv and its like), dynamic (integer products whose activation range is found at run time) and blocks
(MatMulNBits)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.graph.operators import every_node, int_of, product_of, slots_of

Floats = NDArray[np.float32]
Codes = NDArray[np.int32]


@dataclass(frozen=True)
class Stored:
    """Stored codes: `codes` in their shape; `scale` and `zero_point` `[scales]`, one for all (`axis` None),
    for each slice along `axis`, or with `block` for each run of `block` codes along it."""

    tensor: str
    format: str
    codes: Codes
    scale: Floats
    zero_point: Codes
    axis: int | None
    block: int = 0

    @property
    def granularity(self) -> str:
        """`tensor`, `channel` or `group:N`."""
        return f"group:{self.block}" if self.block else "tensor" if self.axis is None else "channel"

    @property
    def symmetric(self) -> bool:
        """Whether every zero point is the middle of the format."""
        middle = 1 << (bits_of(self.format) - 1) if self.format.startswith("uint") else 0
        return bool((self.zero_point == middle).all())

    def values(self) -> Floats:
        """The weights that the codes stand for, in the shape of the codes: (code - zero point) * scale."""
        scale, zero = self._spread(self.scale), self._spread(self.zero_point)
        return np.asarray((self.codes - zero).astype(np.float32) * scale, np.float32)

    def _spread(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """`numbers`, `[scales]`, in a shape that broadcasts against the codes."""
        if self.axis is None:
            return numbers
        if not self.block:
            return numbers.reshape([-1 if i == self.axis else 1 for i in range(self.codes.ndim)])
        length = self.codes.shape[self.axis]
        shape = [-(-n // self.block) if i == self.axis else n for i, n in enumerate(self.codes.shape)]
        return np.repeat(numbers.reshape(shape), self.block, self.axis).take(range(length), self.axis)


@dataclass(frozen=True)
class Entering:
    """How the activation that enters is quantized; scale and zero point are None where found at run time."""

    format: str
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True)
class QuantizedLayer:
    """A layer that the file holds quantized. `weights` is None where they are no constants; `channel` is the
    axis of output channels of their shape; `activations` is None where they stay float."""

    name: str
    op: str
    style: str
    weights: Stored | None
    activations: Entering | None
    channel: int


def read_quantized(model: ir.Model) -> tuple[QuantizedLayer, ...]:
    """The quantized layers of `model`, in the order of execution; empty for a float model."""
    found = []
    for node, _ in every_node(model.graph):
        layer = _integer_product(node) or _blocks(node) or _around_float(node)
        if layer is not None:
            found.append(layer)
    return tuple(found)


def bits_of(name: str) -> int:
    """The bits of a format such as `uint4`."""
    digits = "".join(c for c in name.split("_")[0].removeprefix("float") if c.isdigit())
    return int(digits) if digits else 8


def _around_float(node: ir.Node) -> QuantizedLayer | None:
    """A float operator that reads its weights through DequantizeLinear."""
    op = product_of(node)
    positions = [slot.position for slot in slots_of(node)] or (
        [0] if op == "Gather" else [1, 0] if op else []
    )
    for position in positions:
        if position >= len(node.inputs):
            continue
        decoder, turned = _behind_views(node.inputs[position])
        weights = None if decoder is None else _dequantized(decoder)
        if weights is None:
            continue
        other = None if op == "Gather" or position > 1 else node.inputs[1 - position]
        channel = _channel(node, op, position, weights.codes.ndim)
        return QuantizedLayer(
            node.name or "", node.op_type, "QDQ", weights, _entering(other),
            weights.codes.ndim - 1 - channel if turned else channel,
        )  # fmt: skip
    return None


def _behind_views(value: ir.Value | None) -> tuple[ir.Node | None, bool]:
    """The node behind Transpose and Identity, and whether the tensor is turned in between."""
    turned = False
    node = value.producer() if value is not None else None
    while node is not None and node.op_type in ("Transpose", "Identity") and node.inputs:
        turned ^= node.op_type == "Transpose"
        node = node.inputs[0].producer() if node.inputs[0] is not None else None
    return node, turned


def _dequantized(node: ir.Node) -> Stored | None:
    if node.op_type != "DequantizeLinear":
        return None
    axis = int_of(node, "axis", 1)
    return stored_codes(node.inputs, 0, 1, 2, axis, int_of(node, "block_size", 0))


def stored_codes(
    inputs: Sequence[ir.Value | None], codes: int, scale: int, zero: int, axis: int, block: int = 0
) -> Stored | None:
    """The stored codes at these positions of the inputs of a node, None where they are no constants."""
    held, scales, zeros = (constant(inputs, i) for i in (codes, scale, zero))
    value = inputs[codes] if codes < len(inputs) else None
    if held is None or scales is None or value is None or value.const_value is None:
        return None
    flat = np.asarray(scales, np.float32).reshape(-1)
    points = np.zeros(flat.size, np.int32) if zeros is None else zeros.astype(np.int32).reshape(-1)
    one = flat.size == 1 and not block
    if points.size not in (1, flat.size) or held.ndim == 0:
        return None
    return Stored(
        value.name or "", value.const_value.dtype.name.lower(), held.astype(np.int32), flat,
        np.broadcast_to(points, flat.shape), None if one else axis % held.ndim, block,
    )  # fmt: skip


def constant(inputs: Sequence[ir.Value | None], position: int) -> NDArray[np.generic] | None:
    """The stored tensor at `position`, None where there is none."""
    value = inputs[position] if 0 <= position < len(inputs) else None
    if value is None or value.const_value is None:
        return None
    return np.asarray(value.const_value.numpy())


def _entering(value: ir.Value | None) -> Entering | None:
    """The quantizer that `value` comes through."""
    node = value.producer() if value is not None else None
    if node is None or node.op_type != "DequantizeLinear" or node.inputs[0] is None:
        return None
    maker = node.inputs[0].producer()
    if maker is not None and maker.op_type == "DynamicQuantizeLinear":
        return Entering("uint8", None, None)
    return entering(node.inputs, 1, 2)


def entering(inputs: Sequence[ir.Value | None], scale: int, zero: int) -> Entering:
    """The scale and zero point of an activation at these positions of the inputs of a node."""
    scales, zeros = constant(inputs, scale), constant(inputs, zero)
    point = inputs[zero] if zero < len(inputs) else None
    kind = "uint8" if point is None or point.const_value is None else point.const_value.dtype.name.lower()
    if scales is None:
        return Entering(kind, None, None)
    return Entering(kind, float(scales.reshape(-1)[0]), 0 if zeros is None else int(zeros.reshape(-1)[0]))


def _channel(node: ir.Node, op: str | None, position: int, rank: int) -> int:
    if op in ("Conv", "Gather"):
        return 0
    if op == "Gemm":
        return 0 if int_of(node, "transB", 0) else 1
    return 1 if op in ("ConvTranspose", None) else rank - 1 if position else rank - 2


def _integer_product(node: ir.Node) -> QuantizedLayer | None:
    """QOperator and dynamic products. Positions: the operator definitions of ONNX and com.microsoft."""
    inputs, op = node.inputs, node.op_type
    spots = {
        "QLinearConv": (3, 4, 5, 1, 2),
        "QLinearMatMul": (3, 4, 5, 1, 2),
        "QGemm": (3, 4, 5, 1, 2),
        "QAttention": (1, 4, 7, 3, 6),
        "DynamicQuantizeMatMul": (1, 2, 3, -1, -1),
        "MatMulIntegerToFloat": (1, 3, 5, 2, 4),
        "MatMulInteger": (1, -1, 3, -1, 2),
        "ConvInteger": (1, -1, 3, -1, 2),
    }.get(op)
    if spots is None:
        return None
    codes, scale, zero, data_scale, data_zero = spots
    held = constant(inputs, codes)
    rank = 2 if held is None else held.ndim
    first = "Conv" in op or (op == "QGemm" and int_of(node, "transB", 0) == 1)
    channel = 0 if first else rank - 1
    if scale < 0:
        given = [*inputs, None, None][:4]
        weights = stored_codes([*given, _factor_after(node)], 1, 4, 3, channel)
    else:
        weights = stored_codes(inputs, codes, scale, zero, channel)
    style = "QOperator" if data_scale > 0 and constant(inputs, data_scale) is not None else "dynamic"
    found_at_run_time = Entering("uint8", None, None)
    activations = entering(inputs, data_scale, data_zero) if style == "QOperator" else found_at_run_time
    return QuantizedLayer(node.name or "", op, style, weights, activations, channel)


def _factor_after(node: ir.Node) -> ir.Value | None:
    """The stored scale that the integers of `node` are multiplied by: Cast, then Mul by scales."""
    value = node.outputs[0]
    for _ in range(4):
        uses = [use.node for use in value.uses() if use.node.op_type in ("Cast", "Mul")]
        if not uses:
            return None
        if uses[0].op_type == "Mul":
            for factor in uses[0].inputs:
                if factor is None or factor is value:
                    continue
                maker = factor.producer()
                parts = [factor] if maker is None else list(maker.inputs)
                return next((v for v in parts if v is not None and v.const_value is not None), None)
        value = uses[0].outputs[0]
    return None


def _blocks(node: ir.Node) -> QuantizedLayer | None:
    """MatMulNBits: codes `[N, blocks, block bytes]` packed from the low bits, zero points packed alike."""
    if node.op_type != "MatMulNBits":
        return None
    rows, columns = int_of(node, "N", 0), int_of(node, "K", 0)
    bits, block = int_of(node, "bits", 4), int_of(node, "block_size", 32)
    packed, scale = constant(node.inputs, 1), constant(node.inputs, 2)
    weights = None
    blocks = -(-columns // max(1, block))
    whole = bits in (2, 4, 8) and packed is not None and packed.size * 8 == rows * blocks * block * bits
    if packed is not None and scale is not None and whole:
        codes = _unpacked(packed.reshape(rows, -1), bits).reshape(rows, blocks * block)[:, :columns]
        zeros = constant(node.inputs, 3)
        points = np.full(scale.size, 1 << (bits - 1), np.int32)
        if zeros is not None and zeros.dtype == np.uint8:
            points = _unpacked(zeros.reshape(rows, -1), bits)[:, :blocks].reshape(-1)
        value = node.inputs[1]
        name = "" if value is None else value.name or ""
        flat = np.asarray(scale, np.float32).reshape(-1)
        weights = Stored(name, f"uint{bits}", codes, flat, points, 1, block)
    return QuantizedLayer(node.name or "", node.op_type, "blocks", weights, None, 0)


def _unpacked(packed: NDArray[np.generic], bits: int) -> Codes:
    """`[rows, bytes]` as `[rows, codes]`, the low bits of a byte first."""
    shifts = np.arange(0, 8, bits, dtype=np.int32)
    return np.asarray(
        (packed.astype(np.int32)[:, :, None] >> shifts & ((1 << bits) - 1)).reshape(len(packed), -1), np.int32
    )
