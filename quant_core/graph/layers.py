"""The layers of a graph: nodes with weights that may be quantized, and the reason where one may not."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import onnx_ir as ir

from quant_core.graph.shapes import Shapes, count_macs, infer_shapes, sizes_of

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Gather")
_LATER = ("LSTM", "GRU", "RNN")
_QUANTIZED = (
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
    "MatMulNBits",
    "DynamicQuantizeMatMul",
)
_PASS_THROUGH = ("Transpose", "Identity")


@dataclass(frozen=True)
class Reason:
    """Why something cannot be done, and at which node."""

    text: str
    node: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Layer:
    """A node with weights.

    `tensor` is the name of the stored weights, `shape` their stored shape and `axis` the output-channel axis
    of that shape. `input` names the activation that enters (None where it holds indices). `weight_input` and
    `data_input` are the positions on the node. `groups` is the number of groups of a convolution. `tied`
    names other layers that read the same stored tensor. `macs` are for one sample."""

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
        chain.insert(0, node)
        value = node.inputs[0]
    return value, chain


def find_layers(model: ir.Model) -> tuple[Layer, ...]:
    """All layers in the order of execution, those in the bodies of If, Loop and Scan included with their
    reason.
    """
    shapes = infer_shapes(model)
    found = [layer for node in model.graph if (layer := _layer_of(node, shapes)) is not None]
    found += [
        _refused(node, f"it is inside the body of a {node_owner}, which is not quantized")
        for node_owner, node in _nested(model.graph)
        if node.op_type in (*WEIGHTED, *_LATER) and node.op_type != "Gather"
    ]
    users: dict[str, list[str]] = defaultdict(list)
    for layer in found:
        if layer.tensor is not None and layer.reason is None:
            users[layer.tensor].append(layer.name)
    return tuple(
        replace(x, tied=tuple(n for n in users.get(x.tensor or "", ()) if n != x.name)) for x in found
    )


def _nested(graph: ir.Graph) -> Iterator[tuple[str, ir.Node]]:
    for node in graph:
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                for inner in attribute.as_graph().all_nodes():
                    yield node.op_type, inner


def _layer_of(node: ir.Node, shapes: Shapes) -> Layer | None:
    if node.domain not in ("", "ai.onnx"):
        return _refused(node, "it is already quantized") if node.op_type in _QUANTIZED else None
    if node.op_type in _QUANTIZED:
        return _refused(node, "it is already quantized")
    if node.op_type in _LATER:
        return _refused(node, f"{node.op_type} weights are not quantized by this version")
    if node.op_type not in WEIGHTED or len(node.inputs) < 2:
        return None
    weight_input = _weight_position(node)
    if weight_input is None:
        if node.op_type == "Gather":
            return None
        producer = node.inputs[1].producer() if node.inputs[1] is not None else None
        if producer is not None and producer.op_type == "DequantizeLinear":
            return _refused(node, "its weights are already quantized")
        text = "both inputs are activations, no weights are stored"
        return _refused(
            node, text if node.op_type == "MatMul" else "its weights are computed while the model runs"
        )
    stored, chain = weight_chain(node.inputs[weight_input])
    assert stored is not None and stored.const_value is not None
    tensor = stored.const_value
    shape = sizes_of(tensor)
    if node.op_type == "Gather" and (
        len(shape) != 2 or not tensor.dtype.is_floating_point() or node.attributes.get_int("axis", 0) != 0
    ):
        return None
    reason = None
    if tensor.dtype != ir.DataType.FLOAT:
        reason = Reason(
            f"its weights are stored as {tensor.dtype.name.lower()}, not as fp32", node.name or ""
        )
    elif len(shape) < 2:
        reason = Reason("its weights are a vector", node.name or "")
    elif math.prod(shape) == 0:
        reason = Reason("its weights are empty", node.name or "")
    data_input = 1 - weight_input
    data = node.inputs[data_input]
    return Layer(
        name=node.name or "",
        op=node.op_type,
        tensor=stored.name,
        shape=shape,
        axis=_stored_axis(_output_axis(node, weight_input, len(shape)), chain, len(shape))
        if len(shape) > 1
        else 0,
        parameters=math.prod(shape),
        bytes=int(tensor.nbytes),
        macs=count_macs(node, shape, shapes),
        input=None if node.op_type == "Gather" or data is None else data.name,
        weight_input=weight_input,
        data_input=data_input,
        groups=node.attributes.get_int("group", 1),
        reason=reason,
    )


def _weight_position(node: ir.Node) -> int | None:
    if node.op_type == "Gather":
        return (
            0
            if weight_chain(node.inputs[0])[0] is not None and weight_chain(node.inputs[1])[0] is None
            else None
        )
    if weight_chain(node.inputs[1])[0] is not None:
        return 1 if weight_chain(node.inputs[0])[0] is None else None
    if node.op_type == "MatMul" and weight_chain(node.inputs[0])[0] is not None:
        return 0
    return None


def _output_axis(node: ir.Node, weight_input: int, rank: int) -> int:
    """The axis of output channels of the weights as the node sees them (ONNX operator definitions)."""
    if node.op_type in ("Conv", "Gather"):
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    if node.op_type == "Gemm":
        return 0 if node.attributes.get_int("transB", 0) else 1
    return rank - 1 if weight_input == 1 else rank - 2


def _stored_axis(axis: int, chain: list[ir.Node], rank: int) -> int:
    """`axis` carried back through the chain to the stored tensor."""
    for node in reversed(chain):
        if node.op_type == "Transpose":
            order = node.attributes.get_ints("perm", tuple(range(rank))[::-1])
            axis = int(order[axis])
    return axis


def _refused(node: ir.Node, text: str) -> Layer:
    return Layer(
        name=node.name or "", op=node.op_type, tensor=None, shape=None, axis=0, parameters=0, bytes=0,
        macs=None,
        input=None, weight_input=1, data_input=0, groups=1, reason=Reason(text, node.name or ""),
    )  # fmt: skip
