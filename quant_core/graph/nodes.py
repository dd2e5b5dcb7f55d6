"""The nodes of a graph as plain records, and which of them are drawn as one: a layer with what follows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.graph.graph import Graph
from quant_core.graph.layers import Layer
from quant_core.graph.operators import bodies_of, every_node
from quant_core.graph.shapes import infer_shapes

INPUT, OUTPUT = "Input", "Output"

# Work on one tensor element by element: an activation, a bias, a scale.
_ELEMENTWISE = frozenset(
    [
        "Relu",
        "LeakyRelu",
        "PRelu",
        "Clip",
        "Sigmoid",
        "HardSigmoid",
        "HardSwish",
        "Tanh",
        "Elu",
        "Selu",
        "Celu",
        "Gelu",
        "Erf",
        "Softplus",
        "Softsign",
        "Mish",
        "ThresholdedRelu",
        "Swish",
        "Dropout",
        "Identity",
        "Cast",
        "BatchNormalization",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Pow",
        "Sqrt",
        "Reciprocal",
        "Neg",
        "Exp",
        "Log",
        "Abs",
        "Min",
        "Max",
    ]
)
# Only look at a tensor in another way.
_VIEWS = frozenset(
    [
        "Reshape",
        "Flatten",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Expand",
        "Slice",
        "Gather",
        "Shape",
        "Tile",
        "Split",
        "Concat",
        "Pad",
        "ConstantOfShape",
        "Range",
        "ReduceMean",
        "ReduceSum",
    ]
)


@dataclass(frozen=True)
class Node:
    """A node, a graph input or a graph output.

    `index` is its place in an order of execution: inputs of the graph first, outputs last. `inputs` are the
    indices of the nodes whose tensors it reads, bodies included; stored tensors are not nodes. `kind` is the
    layer's where it is one. `layers` names the layers of the node, those in its bodies included. `shape` is
    of its first output for one sample, None where unknown."""

    index: int
    name: str
    op: str
    kind: str
    layers: tuple[str, ...]
    inputs: tuple[int, ...]
    shape: tuple[int, ...] | None

    @property
    def layer(self) -> bool:
        """Whether it holds weights that are listed as layers."""
        return bool(self.layers)


@dataclass(frozen=True)
class Part:
    """Nodes that are drawn as one box, by their indices; `block` numbers a folded repetition from 1, 0 for
    none.
    """

    nodes: tuple[int, ...]
    block: int = 0


def graph_nodes(graph: Graph) -> tuple[Node, ...]:
    """Every node of the prepared graph that runs, with the graph's inputs and outputs."""
    model, shapes = graph.model, infer_shapes(graph.model)
    kinds = {layer.node: layer.kind for layer in graph.layers}
    names: dict[str, list[str]] = {}
    for layer in graph.layers:
        names.setdefault(layer.node, []).append(layer.name)
    found: list[Node] = []
    made: dict[int, int] = {}  # id of a value -> index of the node that gives it

    def add(
        name: str,
        op: str,
        reads: Iterator[ir.Value],
        gives: Sequence[ir.Value],
        shape: str,
        at: Sequence[str],
    ) -> None:
        inputs = tuple(dict.fromkeys(made[id(v)] for v in reads if id(v) in made))
        index = len(found)
        kind = kinds.get(name, op) if at else op
        found.append(Node(index, name, op, kind, tuple(at), inputs, shapes.get(shape)))
        made.update({id(v): index for v in gives})

    for value in model.graph.inputs:
        if value.name not in model.graph.initializers:
            add(value.name or "", INPUT, iter(()), [value], value.name or "", ())
    for node in model.graph:
        first = node.outputs[0].name if node.outputs else ""
        inside = [n.name or "" for body in bodies_of(node) for n, _ in every_node(body)]
        at = [layer for name in (node.name or "", *inside) for layer in names.get(name, ())]
        add(node.name or "", node.op_type, reads_of(node), node.outputs, first or "", at)
    for value in model.graph.outputs:
        add(value.name or "", OUTPUT, iter((value,)), [], value.name or "", ())
    return tuple(found)


def layers_by_node(graph: Graph) -> dict[str, list[Layer]]:
    """The quantizable layers of each node of the graph itself, those in its bodies included."""
    by_name: dict[str, list[Layer]] = {}
    for layer in graph.quantizable:
        by_name.setdefault(layer.node, []).append(layer)
    found: dict[str, list[Layer]] = {}
    for node in graph.model.graph:
        inside = [n.name or "" for body in bodies_of(node) for n, _ in every_node(body)]
        held = [layer for name in (node.name or "", *inside) for layer in by_name.get(name, ())]
        if held:
            found[node.name or ""] = held
    return found


def reads_of(node: ir.Node) -> Iterator[ir.Value]:
    """What a node reads, also from within its bodies."""
    yield from (v for v in node.inputs if v is not None)
    for body in bodies_of(node):
        for inner, _ in every_node(body):
            yield from (v for v in inner.inputs if v is not None)
        yield from body.outputs


def merge_small(nodes: Sequence[Node]) -> tuple[Part, ...]:
    """Parts in an order of execution: an activation or a bias joins the layer it follows, a chain of small
    operators is one part. Only a node whose one producer has no other consumer joins, so no path leaves a
    part and comes back.
    """
    consumers = [0] * len(nodes)
    for node in nodes:
        for source in node.inputs:
            consumers[source] += 1
    members: dict[int, list[int]] = {}  # first node of a part -> its nodes
    head: list[int] = []
    for node in nodes:
        into = node.index
        if len(node.inputs) == 1 and consumers[node.inputs[0]] == 1 and not node.layer:
            first = nodes[head[node.inputs[0]]]
            small = node.op in _ELEMENTWISE or (node.op in _VIEWS and not first.layer)
            if small and (first.layer or first.op in _ELEMENTWISE | _VIEWS):
                into = first.index
        head.append(into)
        members.setdefault(into, []).append(node.index)
    return tuple(Part(tuple(indices)) for indices in members.values())


def edges_between(nodes: Sequence[Node], parts: Sequence[Part]) -> tuple[tuple[int, int], ...]:
    """Each pair (from, to) of positions in `parts` between which a tensor flows, once, sorted."""
    place = {index: position for position, part in enumerate(parts) for index in part.nodes}
    pairs = {(place[source], place[node.index]) for node in nodes for source in node.inputs}
    return tuple(sorted((a, b) for a, b in pairs if a != b))


def alive_between(edges: Sequence[tuple[int, int]], count: int, longest: int) -> NDArray[np.int64]:
    """For each of the `count + 1` cuts of a sequence of parts, how many parts before it are read after it.

    Reads more than `longest` parts on do not count: masks and positions, which every block reads.
    """
    pairs = np.array(edges, np.int64).reshape(-1, 2)
    sources, targets = pairs[pairs[:, 1] - pairs[:, 0] <= longest].T
    last = np.zeros(count, np.int64)
    np.maximum.at(last, sources, targets)
    read = np.flatnonzero(last)
    change = np.zeros(count + 1, np.int64)
    np.add.at(change, read + 1, 1)
    np.add.at(change, last[read] + 1, -1)
    return np.asarray(change.cumsum())
