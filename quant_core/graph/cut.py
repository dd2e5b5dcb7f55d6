"""Cut a graph where few tensors are alive, so that what comes before a cut need not run again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.graph.graph import Graph
from quant_core.graph.layers import Layer
from quant_core.graph.nodes import layers_by_node, reads_of

SEGMENTS = 9  # whole-model cost of the chain 1.0 to 1.2 passes at 9 segments, 3.5 at 33 (ONNX Runtime 1.31)
MOST_ALIVE = 8
_CUT, _ALIVE = 0.02, 0.01  # what a cut costs, and each tensor that crosses it, in passes of the whole graph


@dataclass(frozen=True)
class Segment:
    """A stretch of a graph. `entry` are the tensors it is entered through, the graph's inputs for the first
    one; `layers` the names of the quantizable layers inside."""

    entry: tuple[str, ...]
    layers: tuple[str, ...]


def cut_segments(graph: Graph, most: int = SEGMENTS) -> tuple[Segment, ...]:
    """Up to `most` segments in order of execution, cut so that least is run in vain when one layer changes
    and all that follows its segment's entry is run.
    """
    nodes = list(graph.model.graph)
    alive = _alive_after(graph.model, nodes)
    of_node = layers_by_node(graph)
    held = [of_node.get(node.name or "", ()) for node in nodes]
    chosen = _choose(alive, held, most)
    inputs = tuple(v.name or "" for v in graph.model.graph.inputs)
    starts = [(0, inputs), *((i + 1, alive[i]) for i in chosen)]
    segments: list[Segment] = []
    for (start, entry), end in zip(starts, [s for s, _ in starts[1:]] + [len(nodes)], strict=True):
        inside = tuple(layer.name for layers in held[start:end] for layer in layers)
        if inside or not segments:
            segments.append(Segment(entry, inside))
    return tuple(segments)


def suffix(graph: Graph, entry: tuple[str, ...]) -> Graph:
    """The rest of `graph` from the tensors `entry` to its outputs."""
    return _between(graph, entry, tuple(v.name or "" for v in graph.model.graph.outputs))


def stretch(graph: Graph, entry: tuple[str, ...], leave: tuple[str, ...]) -> Graph:
    """The part of `graph` that computes the tensors `leave` from the tensors `entry`."""
    return _between(graph, entry, leave)


def _between(graph: Graph, entry: tuple[str, ...], leave: tuple[str, ...]) -> Graph:
    def cut(model: ir.Model) -> ir.Model:
        part = ir.convenience.extract(model.graph, inputs=list(entry), outputs=list(leave))  # a copy
        part.opset_imports.update(model.graph.opset_imports)
        for value in (*part.inputs, *part.outputs):
            value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
        return ir.Model(part, ir_version=model.ir_version)

    return Graph(graph.file, cut(graph.model), lambda: graph.refused, graph, cut)


def _alive_after(model: ir.Model, nodes: list[ir.Node]) -> list[tuple[str, ...]]:
    """For each position, the tensors made up to it that are still needed after it, empty where types are
    unknown.
    """
    last: dict[int, int] = {}
    for position, node in enumerate(nodes):
        for value in reads_of(node):
            last[id(value)] = position
    for value in model.graph.outputs:
        last[id(value)] = len(nodes)
    alive: dict[int, ir.Value] = {id(v): v for v in model.graph.inputs if v.const_value is None}
    found = []
    for position, node in enumerate(nodes):
        alive.update({id(v): v for v in node.outputs})
        alive = {key: v for key, v in alive.items() if last.get(key, -1) > position}
        found.append(tuple(v.name or "" for v in alive.values()))
    return found


def _choose(alive: list[tuple[str, ...]], held: Sequence[Sequence[Layer]], most: int) -> list[int]:
    """Positions to cut after, at most `most` - 1.

    A change of a layer runs everything from the entry of its segment. What of that lies before the layer is
    run in vain; the sum over the layers, in shares of the graph's work, and the price of the cuts is made
    least by dynamic programming over the places between layers (a shortest path of at most `most` steps)."""
    places, before, count = [-1], [0.0], 0
    starts: list[float] = []  # work done where each layer begins
    total = 0.0
    last = max((i for i, layers in enumerate(held) if layers), default=-1)
    layers_before = [0]
    for position, layers in enumerate(held[: last + 1]):
        for layer in layers:
            starts.append(total)
            total += float(layer.macs or layer.parameters) + 1.0
        count += len(layers)
        if position == last or not 0 < len(alive[position]) <= MOST_ALIVE or not count:
            continue
        if count == layers_before[-1]:  # the same layers on both sides as at the place before: the better one
            if len(alive[position]) > len(alive[places[-1]]):
                continue
            places[-1] = position
        else:
            places.append(position)
            before.append(total)
            layers_before.append(count)
    if len(places) == 1 or most < 2:
        return []
    sums = np.concatenate([[0.0], np.cumsum(starts)]) / total
    work, number = np.array(before) / total, np.array([*layers_before, len(starts)])
    # waste[p, q]: of the layers between the places p and q, entered at p.
    waste = sums[number][None, :] - sums[number[:-1]][:, None]
    waste -= (number[None, :] - number[:-1][:, None]) * work[:, None]
    waste[np.tri(*waste.shape).astype(bool)] = np.inf
    price = np.array([0.0, *(_CUT + _ALIVE * len(alive[i]) for i in places[1:])])
    waste += price[:, None]
    best, steps = waste[0], list[NDArray[np.int64]]()
    kept = [float(best[-1])]
    for _ in range(min(most, len(places)) - 1):
        through = best[:-1, None] + waste
        steps.append(through.argmin(axis=0))
        best = through.min(axis=0)
        kept.append(float(best[-1]))
    chosen, at = [], len(places)
    for step in reversed(steps[: int(np.argmin(kept))]):
        at = int(step[at])
        chosen.append(places[at])
    return chosen[::-1]
