"""What flows between the layers of a graph, and how long each tensor lives: what an arena must hold.

An activation or a bias that follows a layer is computed with it, and a chain of small operators is one step,
as every integer runtime has it (`merge_small`); tensors inside such a step take no room of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from quant_core.graph.graph import Graph
from quant_core.graph.nodes import graph_nodes, merge_small, reads_of
from quant_core.graph.shapes import infer_shapes

# These only choose or move values, so they work on codes as well as on floats (ONNX Runtime moves Q and DQ
# across the same ones, qdq_propagation.cc).
_MOVES = frozenset(
    ["MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Identity", "Dropout"]
)


@dataclass(frozen=True)
class Read:
    """A step reads a tensor: the layers that take it as their input, and the tensor that it moves it to, if
    that is all it does.
    """

    step: int
    layers: tuple[str, ...] = ()
    moved_to: str | None = None


@dataclass(frozen=True)
class Flow:
    """A tensor between two steps, for one sample: `elements` values of `bits` bits each, made in step `made`
    (-1: fed) and read last in step `last`. `elements` None: the shape is not known.
    """

    name: str
    elements: int | None
    bits: int
    made: int
    last: int
    reads: tuple[Read, ...]


def tensor_flow(graph: Graph) -> tuple[tuple[str, ...], tuple[Flow, ...]]:
    """The names of the steps of `graph` in their order, and the tensors that flow between them. Outputs of
    the graph live to its end.
    """
    model, shapes = graph.model, infer_shapes(graph.model)
    nodes = graph_nodes(graph)
    first = sum(v.name not in model.graph.initializers for v in model.graph.inputs)
    inner = list(model.graph)
    step_of: dict[int, int] = {}  # index among the nodes of the graph -> step
    names: list[str] = []
    for part in merge_small(nodes):
        members = [i - first for i in part.nodes if first <= i < first + len(inner)]
        if members:
            step_of.update(dict.fromkeys(members, len(names)))
            layers = [name for i in part.nodes for name in nodes[i].layers]
            names.append(layers[0] if layers else nodes[part.nodes[0]].name or nodes[part.nodes[0]].op)
    enters: dict[tuple[str, str], list[str]] = {}
    for layer in graph.quantizable:
        enters.setdefault((layer.node, layer.input or ""), []).append(layer.name)
    reads: dict[str, list[Read]] = {}
    for index, node in enumerate(inner):
        for position, value in enumerate(dict.fromkeys(reads_of(node))):
            name = value.name or ""
            moved = node.outputs[0].name if node.op_type in _MOVES and position == 0 else None
            layers_in = tuple(enters.get((node.name or "", name), ()))
            reads.setdefault(name, []).append(Read(step_of[index], layers_in, moved))
    made = {v.name or "": -1 for v in model.graph.inputs if v.name not in model.graph.initializers}
    made |= {v.name or "": step_of[i] for i, node in enumerate(inner) for v in node.outputs}
    values = {v.name: v for node in inner for v in node.outputs} | {v.name: v for v in model.graph.inputs}
    kept = {v.name for v in model.graph.outputs}
    found = []
    for name, step in made.items():
        of = reads.get(name, [])
        last = max((r.step for r in of), default=step)
        last = len(names) - 1 if name in kept else last
        if last == step and name not in kept and step >= 0:
            continue  # it never leaves its step
        dtype = values[name].dtype
        bits = 32 if dtype is None else dtype.bitwidth
        shape = shapes.get(name)
        ends = tuple(replace(r, moved_to=_end(r, reads)) for r in of)
        found.append(Flow(name, None if shape is None else math.prod(shape), bits, step, last, ends))
    return tuple(names), tuple(found)


def _end(read: Read, reads: dict[str, list[Read]]) -> str | None:
    """The tensor that leaves the step of `read`, where all on the way to it only moves values."""
    name = read.moved_to
    while name is not None and any(r.step == read.step for r in reads.get(name, ())):
        (*others, only) = reads[name]
        name = None if others else only.moved_to
    return name


def peak_alive(spans: Sequence[tuple[int, int, int]], steps: int) -> tuple[int, int]:
    """The most bytes alive at a time, and the step where that is. `spans` are (made, last, bytes): a tensor
    is alive from the step that makes it (-1: before the first) to the one that reads it last, both included,
    since a step holds what it reads and what it makes.
    """
    if steps <= 0:
        return sum(size for _, _, size in spans), 0
    change = np.zeros(steps + 1, np.int64)
    for made, last, size in spans:
        begin = max(made, 0)
        change[begin] += size
        change[max(last, begin) + 1] -= size
    alive = change.cumsum()[:steps]
    return int(alive.max()), int(alive.argmax())
