"""The layers of a graph: nodes with weights that may be quantized, and the reason where one may not."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import onnx_ir as ir

from quant_core.graph.operators import (
    INDICES,
    Slot,
    every_node,
    int_of,
    is_quantized,
    numbers_in_attributes,
    product_of,
    slots_of,
)
from quant_core.graph.shapes import Shapes, count_macs, infer_shapes, sizes_of

_PASS_THROUGH = ("Transpose", "Identity")
_DECODING = (*_PASS_THROUGH, "Reshape", "Slice", "Mul", "Sub", "Add", "Cast", "Gather", "ReduceSum")
_LONGEST_DECODER = 12  # nodes
_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)


@dataclass(frozen=True)
class Reason:
    """Why something cannot be done, and at which node."""

    text: str
    node: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Layer:
    """Weights stored for a node.

    `tensor` is the name of the stored weights, `shape` their stored shape and `axis` the output-channel axis
    of that shape; of a recurrent layer the shape is `[directions x gates x hidden, inputs]`, axis 0. `input`
    names the activation that enters, None where it is not quantized, for the reason `why_no_input`.
    `weight_input` and `data_input` are the positions on the node. `groups` is the number of groups of a
    convolution. `tied` names other layers that read the same stored tensor. `macs` are for one sample. `node`
    is the name of the node, of which an LSTM has two layers; `body` the operator (If, Loop, Scan) whose body
    it is in, empty in the graph itself."""

    name: str
    op: str
    tensor: str | None
    shape: tuple[int, ...] | None
    axis: int
    parameters: int
    bytes: int
    macs: int | None
    input: str | None
    weight_input: int
    data_input: int
    groups: int
    reason: Reason | None
    tied: tuple[str, ...] = ()
    node: str = ""
    body: str = ""
    why_no_input: str = INDICES

    @property
    def kind(self) -> str:
        """A few words for tables: `Conv 3x3`, `Depthwise 3x3`, `Gemm`."""
        if self.op in ("Conv", "ConvTranspose") and self.shape:
            window = "x".join(str(n) for n in self.shape[2:])
            depthwise = self.op == "Conv" and self.shape[1] == 1 and self.groups > 1
            return f"{'Depthwise' if depthwise else self.op} {window}".strip()
        return "Embedding" if self.op == "Gather" else self.op


def weight_chain(value: ir.Value | None) -> tuple[ir.Value | None, list[ir.Node]]:
    """The stored tensor behind `value`, and the Transpose and Identity nodes between, first node first."""
    chain: list[ir.Node] = []
    while value is not None and value.const_value is None:
        node = value.producer()
        if node is None or node.op_type not in _PASS_THROUGH or node.domain not in ("", "ai.onnx"):
            return None, []
        if not node.inputs:
            return None, []
        chain.insert(0, node)
        value = node.inputs[0]
    return value, chain


def find_layers(model: ir.Model) -> tuple[Layer, ...]:
    """All layers in the order of execution, those in the bodies of If, Loop and Scan included."""
    shapes = infer_shapes(model)
    nodes = list(every_node(model.graph))
    taken = {node.name for node, _ in nodes}
    found: list[Layer] = []
    for node, body in nodes:
        for layer in _layers_of(node, shapes):
            name = layer.name
            while name != node.name and name in taken:  # another node has the name of this LSTM's layer
                name += "_"
            taken.add(name)
            found.append(_in_body(replace(layer, name=name, node=node.name or ""), body))
    users: dict[str, list[str]] = defaultdict(list)
    for layer in found:
        if layer.tensor is not None and layer.reason is None:
            users[layer.tensor].append(layer.name)
    return tuple(
        replace(x, tied=tuple(n for n in users.get(x.tensor or "", ()) if n != x.name)) for x in found
    )


def _in_body(layer: Layer, body: str) -> Layer:
    """`layer` as it is in the body of a node `body`: what enters it there cannot be measured."""
    if not body or layer.input is None:
        return replace(layer, body=body)
    why = f"it is inside the body of {'an' if body == 'If' else 'a'} {body}, where activations stay in FP32"
    return replace(layer, body=body, input=None, why_no_input=why)


def _layers_of(node: ir.Node, shapes: Shapes) -> Iterator[Layer]:
    if is_quantized(node):
        yield _refused(node, "it is already quantized")
    elif count := numbers_in_attributes(node):
        text = "its numbers are attributes of an ai.onnx.ml operator, which are not quantized"
        yield replace(_refused(node, text), parameters=count, bytes=4 * count)
    elif slots := slots_of(node):
        kept = [slot for slot in slots if len(node.inputs) > slot.position and node.inputs[slot.position]]
        yield from (_slot_layer(node, slot, shapes) for slot in kept)
    elif (op := product_of(node)) is not None and len(node.inputs) >= 2:
        layer = _product_layer(node, op, shapes)
        if layer is not None:
            yield layer


def _product_layer(node: ir.Node, op: str, shapes: Shapes) -> Layer | None:
    position = _weight_position(node, op)
    if position is None:
        return None if op == "Gather" else _refused(node, _why_no_weights(node, op))
    stored, chain = weight_chain(node.inputs[position])
    assert stored is not None and stored.const_value is not None
    tensor, shape = stored.const_value, sizes_of(stored.const_value)
    table = len(shape) == 2 and tensor.dtype.is_floating_point() and int_of(node, "axis", 0) == 0
    if op == "Gather" and not table:
        return None
    axis = _stored_axis(_output_axis(node, op, position, len(shape)), chain, len(shape))
    data = None if op == "Gather" else node.inputs[1 - position]
    layer = _layer(node, stored, shape, axis if len(shape) > 1 else 0, position, shapes)
    why = layer.why_no_input
    if data is not None and tensor.dtype != ir.DataType.FLOAT:
        data, why = None, f"its activations are {tensor.dtype.name.lower()}, which are not quantized"
    return replace(layer, input=None if data is None else data.name, why_no_input=why)


def _slot_layer(node: ir.Node, slot: Slot, shapes: Shapes) -> Layer:
    """The layer of the weights at one input of a recurrent or fused node."""
    name = f"{node.name or ''}{slot.suffix}"
    stored, chain = weight_chain(node.inputs[slot.position])
    if stored is None or any(link.op_type != "Identity" for link in chain):
        value = node.inputs[slot.position]
        return replace(_refused(node, _why_computed(value)), name=name, weight_input=slot.position)
    assert stored.const_value is not None
    shape = sizes_of(stored.const_value)
    axis = slot.axis or 0
    if slot.rows and len(shape) > 1:
        shape, axis = (shape[0] * shape[1], *shape[2:]), 0
    layer = _layer(node, stored, shape, axis, slot.position, shapes)
    return replace(layer, name=name, why_no_input=slot.why)


def _layer(
    node: ir.Node, stored: ir.Value, shape: tuple[int, ...], axis: int, position: int, shapes: Shapes
) -> Layer:
    tensor = stored.const_value
    assert tensor is not None
    text = None
    if tensor.dtype not in _FLOATS:
        text = f"its weights are stored as {tensor.dtype.name.lower()}, not as floats"
    elif len(shape) < 2:
        text = "its weights are a vector"
    elif math.prod(shape) == 0:
        text = "its weights are empty"
    return Layer(
        name=node.name or "",
        op=node.op_type,
        tensor=stored.name,
        shape=shape,
        axis=axis,
        parameters=math.prod(shape),
        bytes=int(tensor.nbytes),
        macs=count_macs(node, shape, shapes),
        input=None,
        weight_input=position,
        data_input=1 - position if position < 2 else 0,
        groups=int_of(node, "group", 1),
        reason=None if text is None else Reason(text, node.name or ""),
    )


def _why_no_weights(node: ir.Node, op: str) -> str:
    """Why neither input of a product is a stored weight."""
    text = _why_computed(node.inputs[1])
    if op == "MatMul" and "quantized" not in text:
        return "both inputs are activations, no weights are stored"
    return text


def _why_computed(value: ir.Value | None) -> str:
    """Why what a node reads is no stored weight: it is computed, from codes perhaps."""
    node = value.producer() if value is not None else None
    for _ in range(_LONGEST_DECODER):
        if node is None:
            break
        first = node.inputs[0] if node.inputs else None
        tensor = None if first is None else first.const_value
        codes = tensor is not None and tensor.dtype.bitwidth <= 8 and tensor.dtype != ir.DataType.BOOL
        if node.op_type == "DequantizeLinear" or (node.op_type == "Cast" and codes):
            return "its weights are already quantized"
        if node.op_type not in _DECODING or first is None:
            break
        if node.op_type == "Gather" and tensor is not None and len(node.inputs) > 1:  # a codebook
            first = node.inputs[1]
        node = first.producer() if first is not None else None
    return "its weights are computed while the model runs"


def _weight_position(node: ir.Node, op: str) -> int | None:
    if op == "Gather":
        return (
            0
            if weight_chain(node.inputs[0])[0] is not None and weight_chain(node.inputs[1])[0] is None
            else None
        )
    if weight_chain(node.inputs[1])[0] is not None:
        return 1 if weight_chain(node.inputs[0])[0] is None else None
    if op == "MatMul" and weight_chain(node.inputs[0])[0] is not None:
        return 0
    return None


def _output_axis(node: ir.Node, op: str, position: int, rank: int) -> int:
    """The axis of output channels of the weights as the node sees them (ONNX operator definitions)."""
    if op in ("Conv", "Gather"):
        return 0
    if op == "ConvTranspose":
        return 1
    if op == "Gemm":
        return 0 if int_of(node, "transB", 0) else 1
    turned = int_of(node, "transB" if position == 1 else "transA", 0)  # of FusedMatMul
    return rank - 2 if (position == 1) == bool(turned) else rank - 1


def _stored_axis(axis: int, chain: list[ir.Node], rank: int) -> int:
    """`axis` carried back through the chain to the stored tensor."""
    for node in reversed(chain):
        if node.op_type == "Transpose":
            order = node.attributes.get_ints("perm", tuple(range(rank))[::-1])
            if sorted(order) == list(range(rank)):  # else no runtime takes the node
                axis = int(order[axis])
    return axis


def _refused(node: ir.Node, text: str) -> Layer:
    return Layer(
        name=node.name or "", op=node.op_type, tensor=None, shape=None, axis=0, parameters=0, bytes=0,
        macs=None,
        input=None, weight_input=1, data_input=0, groups=1, reason=Reason(text, node.name or ""),
    )  # fmt: skip
