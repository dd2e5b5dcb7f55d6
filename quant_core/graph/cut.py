"""Cut a graph where few tensors are alive, so that what comes before a cut need not run again."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import onnx_ir as ir

from quant_core.graph.graph import Graph
from quant_core.graph.nodes import layers_by_node, reads_of

MOST_ALIVE = 8
EVEN = 1.8  # largest segment, in shares of an even one, that ends the search for more places to cut
SEGMENTS = 9  # whole-model cost of the chain 1.2 to 1.5 passes at 9 segments, 3.5 at 33 (ONNX Runtime 1.31)


@dataclass(frozen=True)
class Segment:
    """A stretch of a graph. `entry` are the tensors it is entered through, the graph's inputs for the first
    one; `layers` the names of the quantizable layers inside."""

    entry: tuple[str, ...]
    layers: tuple[str, ...]


def cut_segments(graph: Graph, most: int = SEGMENTS) -> tuple[Segment, ...]:
    """Up to `most` segments of about equal multiply-accumulates, in order of execution."""
    nodes = list(graph.model.graph)
    alive = _alive_after(graph.model, nodes)
    work, total = [], 0.0
    held = layers_by_node(graph)
    for node in nodes:
        total += sum(float(layer.macs or layer.parameters) + 1.0 for layer in held.get(node.name or "", ()))
        work.append(total)
    chosen = _choose(alive, work, most)
    inputs = tuple(v.name or "" for v in graph.model.graph.inputs)
    starts = [(0, inputs), *((i + 1, alive[i]) for i in chosen)]
    segments: list[Segment] = []
    for (start, entry), end in zip(starts, [s for s, _ in starts[1:]] + [len(nodes)], strict=True):
        inside = tuple(layer.name for n in nodes[start:end] for layer in held.get(n.name or "", ()))
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
    model = graph.model.clone()
    part = ir.convenience.extract(model.graph, inputs=list(entry), outputs=list(leave))
    part.opset_imports.update(model.graph.opset_imports)
    for value in (*part.inputs, *part.outputs):
        value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
    return Graph(graph.file, ir.Model(part, ir_version=model.ir_version), lambda: graph.refused)


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


def _choose(alive: list[tuple[str, ...]], work: list[float], most: int) -> list[int]:
    """Positions to cut after, evenly by work: fewest tensors alive that keep the largest small."""
    best: tuple[float, list[int]] = (2.0, [])
    for count in range(1, MOST_ALIVE + 1):
        places = [
            i for i, names in enumerate(alive[:-1]) if 0 < len(names) <= count and 0 < work[i] < work[-1]
        ]
        if not places:
            continue
        targets = [work[-1] * step / most for step in range(1, most)]
        chosen = sorted({min((abs(work[i] - target), i) for i in places)[1] for target in targets})
        ends = [0.0, *(work[i] for i in chosen), work[-1]]
        largest = max(b - a for a, b in pairwise(ends)) / work[-1]
        if largest < best[0]:
            best = (largest, chosen)
        if largest <= EVEN / most:
            break
    return best[1]
