"""Cut a graph where few tensors are alive, so that what comes before a cut need not run again."""

from __future__ import annotations

import math
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
# The same for a run through all segments, in multiply-accumulates a sample: what leaves one is copied (0.25
# ns a byte: fresh memory, and the layout of convolutions undone), and the next is called (0.1 ms for 32
# samples). ONNX Runtime 1.31 on 2 cores does some 60 in a ns.
_BYTE, _CALL = 16.0, 200_000.0
_MOST_FOR_CALL = 0.02  # passes; a sample may have many tokens
_DEAREST, _HALVINGS = 256.0, 24  # passes for all the room there is, and how often that is halved


@dataclass(frozen=True)
class Segment:
    """A stretch of a graph. `entry` are the tensors it is entered through, the graph's inputs for the first
    one; `layers` the names of the quantizable layers inside."""

    entry: tuple[str, ...]
    layers: tuple[str, ...]


def cut_segments(
    graph: Graph, most: int = SEGMENTS, room: float = math.inf, chained: bool = False
) -> tuple[Segment, ...]:
    """Up to `most` segments in order of execution, cut so that least is run in vain when one layer changes
    and all that follows its segment's entry is run: in one piece, or where `chained`, segment by segment. The
    tensors at all cuts take at most `room` bytes a sample together; unknown dimensions count as 1.
    """
    nodes = list(graph.model.graph)
    alive = _alive_after(graph.model, nodes)
    of_node = layers_by_node(graph)
    held = [of_node.get(node.name or "", ()) for node in nodes]
    chosen = _within(_Places(alive, held, chained), most, room)
    inputs = tuple(v.name or "" for v in graph.model.graph.inputs)
    starts = [(0, inputs), *((i + 1, tuple(v.name or "" for v in alive[i])) for i in chosen)]
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


def around(graph: Graph, layers: Sequence[str]) -> Graph | None:
    """The part of `graph` that holds nothing but `layers`, and what prepares their weights. None where it
    cannot be told apart: a layer in a body, or one that reads what another gives; weights that others read.
    """
    by_name = {node.name: node for node in graph.model.graph}
    places = [by_name.get(graph.layer(name).node) for name in layers]
    nodes = [node for node in dict.fromkeys(places) if node is not None]
    if None in places:
        return None
    constants = _constants(graph.model)
    inside, entry = dict.fromkeys(nodes), dict[str, None]()
    for node in nodes:
        for value in reads_of(node):
            inside |= _constant_chain(value, constants)
            if id(value) not in constants:
                entry[value.name or ""] = None
    made = {id(v) for node in nodes for v in node.outputs}
    leave = tuple(v.name or "" for node in nodes for v in node.outputs if v.name)
    prepared = [v for node in inside if id(node.outputs[0]) not in made for v in node.outputs]
    stored = [graph.model.graph.initializers.get(graph.layer(name).tensor or "") for name in layers]
    for value in (*prepared, *(v for v in stored if v is not None)):
        if value.is_graph_output() or any(use.node not in inside for use in value.uses()):
            return None
    if any(name in leave for name in entry) or not entry:
        return None
    return _between(graph, tuple(entry), leave)


def _constants(model: ir.Model) -> set[int]:
    """The ids of the tensors that are stored, or computed from stored ones alone."""
    known = {id(value) for value in model.graph.initializers.values()}
    for node in model.graph:
        if node.inputs and all(value is None or id(value) in known for value in reads_of(node)):
            known |= {id(value) for value in node.outputs}
    return known


def _constant_chain(value: ir.Value, constants: set[int]) -> dict[ir.Node, None]:
    """The nodes that compute a constant."""
    chain, left = dict[ir.Node, None](), [value] if id(value) in constants else []
    while left:
        producer = left.pop().producer()
        if producer is not None and producer not in chain:
            chain[producer] = None
            left += reads_of(producer)
    return chain


def _between(graph: Graph, entry: tuple[str, ...], leave: tuple[str, ...]) -> Graph:
    def cut(model: ir.Model) -> ir.Model:
        part = ir.convenience.extract(model.graph, inputs=list(entry), outputs=list(leave))  # a copy
        part.opset_imports.update(model.graph.opset_imports)
        for value in (*part.inputs, *part.outputs):
            value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
        return ir.Model(part, ir_version=model.ir_version)

    return Graph(graph.file, cut(graph.model), lambda: graph.refused, graph, cut)


def _alive_after(model: ir.Model, nodes: list[ir.Node]) -> list[tuple[ir.Value, ...]]:
    """For each position, the tensors made up to it that are still needed after it."""
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
        found.append(tuple(alive.values()))
    return found


def _bytes_of(value: ir.Value) -> int:
    """Bytes of one sample of a tensor, 0 where its shape is not known."""
    if value.shape is None or value.dtype is None:
        return 0
    sizes = list(value.shape)[1:]
    return math.prod(s if isinstance(s, int) else 1 for s in sizes) * max(1, value.dtype.bitwidth // 8)


class _Places:
    """The places between layers where a graph may be cut: `at` positions of nodes, with the share of the
    graph's work before each, how many layers, how many tensors are alive there, their bytes a sample, and the
    price of a cut. The first is the beginning of the graph."""

    def __init__(
        self, alive: list[tuple[ir.Value, ...]], held: Sequence[Sequence[Layer]], chained: bool
    ) -> None:
        self.at, before, layers_before = [-1], [0.0], [0]
        starts: list[float] = []  # work done where each layer begins
        total, count = 0.0, 0
        last = max((i for i, layers in enumerate(held) if layers), default=-1)
        for position, layers in enumerate(held[: last + 1]):
            for layer in layers:
                starts.append(total)
                total += float(layer.macs or layer.parameters) + 1.0
            count += len(layers)
            if position == last or not 0 < len(alive[position]) <= MOST_ALIVE or not count:
                continue
            if count == layers_before[-1]:  # the same layers on both sides as at the place before
                if _load(alive[position]) <= _load(alive[self.at[-1]]):
                    self.at[-1] = position
                continue
            self.at.append(position)
            before.append(total)
            layers_before.append(count)
        loads = [(0, 0), *(_load(alive[i]) for i in self.at[1:])]
        self.bytes = np.array([float(size) for _, size in loads])
        if chained:  # paid by each change of a layer before the cut
            call = min(_CALL / max(total, 1.0), _MOST_FOR_CALL)
            self.price = (call + _BYTE * self.bytes / max(total, 1.0)) * np.array(layers_before)
        else:
            self.price = np.array([_CUT + _ALIVE * tensors for tensors, _ in loads])
        self.price[0] = 0.0
        self.waste = _waste(np.array(starts), np.array(before), np.array(layers_before), total)


def _load(alive: tuple[ir.Value, ...]) -> tuple[int, int]:
    return len(alive), sum(map(_bytes_of, alive))


def _waste(
    starts: NDArray[np.float64], before: NDArray[np.float64], layers_before: NDArray[np.int64], total: float
) -> NDArray[np.float64]:
    """`[places, places + 1]`: for the layers between the places p and q, the last the end, what is run in
    vain when one of them changes and the graph is entered at p, summed, in shares of its work.
    """
    sums = np.concatenate([[0.0], np.cumsum(starts)]) / max(total, 1.0)
    work, number = before / max(total, 1.0), np.array([*layers_before, len(starts)])
    waste = sums[number][None, :] - sums[number[:-1]][:, None]
    waste -= (number[None, :] - number[:-1][:, None]) * work[:, None]
    waste[np.tri(*waste.shape).astype(bool)] = np.inf
    return np.asarray(waste)


def _within(places: _Places, most: int, room: float) -> list[int]:
    """Positions to cut after, whose tensors take no more than `room` bytes together: bytes are given a price,
    the lowest that leads there (Everett 1963).
    """
    chosen = _choose(places, most, np.zeros(len(places.at)))
    if places.bytes[chosen].sum() > room:
        per_byte = places.bytes / max(room, 1.0)
        low, high, chosen = 0.0, _DEAREST, []
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            trial = _choose(places, most, np.where(per_byte > 1.0, np.inf, middle * per_byte))
            if places.bytes[trial].sum() > room:
                low = middle
            else:
                high, chosen = middle, trial
    return [places.at[i] for i in chosen]


def _choose(places: _Places, most: int, dear: NDArray[np.float64]) -> list[int]:
    """Which places to cut at, at most `most` - 1; `dear` is what each costs beside the price of cuts.

    A change of a layer runs everything from the entry of its segment. What of that lies before the layer is
    run in vain; the sum over the layers, in shares of the graph's work, and the price of the cuts is made
    least by dynamic programming over the places between layers (a shortest path of at most `most` steps)."""
    count = len(places.at)
    if count == 1 or most < 2:
        return []
    waste = places.waste + (places.price + dear)[:, None]
    best, steps = waste[0], list[NDArray[np.int64]]()
    kept = [float(best[-1])]
    for _ in range(min(most, count) - 1):
        through = best[:-1, None] + waste
        steps.append(through.argmin(axis=0))
        best = through.min(axis=0)
        kept.append(float(best[-1]))
    chosen, at = [], count
    for step in reversed(steps[: int(np.argmin(kept))]):
        at = int(step[at])
        chosen.append(at)
    return chosen[::-1]
