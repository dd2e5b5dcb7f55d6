"""Which operators hold weights, at which inputs, and on which axis their output channels lie.

Sources: the ONNX operator definitions, and ContribOperators.md of ONNX Runtime for com.microsoft."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Gather")
RECURRENT = ("LSTM", "GRU", "RNN")
_FUSED_PRODUCTS = {"FusedConv": "Conv", "FusedGemm": "Gemm", "FusedMatMul": "MatMul"}
_TABLES = {"Attention": {1: 1}, "EmbedLayerNormalization": {2: 0, 3: 0, 4: 0}}  # input -> channel axis
_QUANTIZED = (
    "QLinearConv", "QLinearMatMul", "QLinearConvTranspose", "QGemm", "QAttention", "QEmbedLayerNormalization",
    "QMoE", "ConvInteger", "MatMulInteger", "MatMulInteger16", "MatMulIntegerToFloat", "MatMulNBits",
    "MatMulBnb4", "MatMulFpQ4", "GatherBlockQuantized", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM",
    "QOrderedMatMul", "QOrderedAttention",
)  # fmt: skip
_ATTRIBUTES = ("coefficients", "nodes_values", "support_vectors")
_DEFAULT = ("", "ai.onnx")
_MICROSOFT = "com.microsoft"

INDICES = "its input holds indices, which are not quantized"


@dataclass(frozen=True)
class Slot:
    """An input of a node where weights may be stored.

    `axis` is that of the output channels as the node sees it, None where it depends on the rank (products).
    `suffix` tells the layers of one node apart. `rows`: the first two axes count as one, `[directions, gates
    x hidden, ...]` of a recurrent layer, whose directions share no scale. `why` says why the activations that
    meet these weights are not quantized, empty where they may be."""

    position: int
    axis: int | None = None
    suffix: str = ""
    rows: bool = False
    why: str = ""


def int_of(node: ir.Node, name: str, default: int) -> int:
    """The attribute `name` of `node`, or `default` where it has none that is a whole number."""
    attribute = node.attributes.get(name)
    return attribute.as_int() if attribute is not None and attribute.type == ir.AttributeType.INT else default


def product_of(node: ir.Node) -> str | None:
    """`Conv`, `ConvTranspose`, `Gemm`, `MatMul` or `Gather` where the node is one of them, fused or not."""
    if node.domain in _DEFAULT:
        return node.op_type if node.op_type in PRODUCTS else None
    return _FUSED_PRODUCTS.get(node.op_type) if node.domain == _MICROSOFT else None


def slots_of(node: ir.Node) -> tuple[Slot, ...]:
    """The inputs of other nodes than products where weights are stored."""
    if node.domain in _DEFAULT and node.op_type in RECURRENT:
        why = f"the state of the {node.op_type} passes through it step by step; its activations stay in FP32"
        return Slot(1, 1, ".W", True, why), Slot(2, 1, ".R", True, why)
    tables = _TABLES.get(node.op_type) if node.domain == _MICROSOFT else None
    if tables is None:
        return ()
    why = (
        INDICES if len(tables) > 1 else "it is a fused operator, whose activations are quantized by a kernel"
    )
    return tuple(
        Slot(position, axis, f".{position}" if len(tables) > 1 else "", why=why)
        for position, axis in tables.items()
    )


def is_quantized(node: ir.Node) -> bool:
    """Whether the operator computes with stored codes."""
    return node.domain in (*_DEFAULT, _MICROSOFT) and node.op_type in _QUANTIZED


def numbers_in_attributes(node: ir.Node) -> int:
    """How many weights an ai.onnx.ml operator keeps in its attributes; 0 for other nodes."""
    if node.domain != "ai.onnx.ml":
        return 0
    held = [node.attributes[name] for name in _ATTRIBUTES if name in node.attributes]
    return sum(len(a.as_floats()) for a in held if a.type == ir.AttributeType.FLOATS)


def every_node(graph: ir.Graph) -> Iterator[tuple[ir.Node, str]]:
    """Each node in an order of execution, a node before those of its bodies, with the operator whose body it
    is in (empty in the graph itself).
    """
    stack: list[tuple[Iterator[ir.Node], str]] = [(iter(graph), "")]
    while stack:
        nodes, owner = stack[-1]
        node = next(nodes, None)
        if node is None:
            stack.pop()
            continue
        yield node, owner
        stack += [(iter(body), node.op_type) for body in reversed(bodies_of(node))]


def bodies_of(node: ir.Node) -> list[ir.Graph]:
    """The graphs in the attributes of a node."""
    found: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            found += attribute.as_graphs()
    return found
