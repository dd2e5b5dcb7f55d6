"""Sweep: the damage that one layer does at one format, all other layers in float.

What comes before a layer does not change from cell to cell, so the graph is cut into segments; the tensors at
the cut are computed once and each cell runs only the rest of the graph from there. Where those tensors, with
those of the cut before, would take more than `LIMIT` bytes for all samples, the cut is skipped and the
segment is entered through an earlier one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from quant_core.data import Batch, Dataset, Quality
from quant_core.engine.bench import AllSamples, Bench, batches_of
from quant_core.engine.evaluate import Reference
from quant_core.engine.lanes import ONE_LANE, Lane, Lanes, in_lanes
from quant_core.engine.memo import at_most
from quant_core.engine.run import Pulse, fill_up, fixed_batch
from quant_core.engine.session import make_session
from quant_core.engine.strata import Band
from quant_core.engine.variants import Variants
from quant_core.errors import QuantscopeError
from quant_core.graph import Graph, Segment, cut_segments, inputs_of, stretch, suffix
from quant_core.lower import FindRange, Sizes, WeightCache, lower, to_bytes
from quant_core.plan import Plan, Precision, cell_precision

LIMIT = 1 << 30  # bytes of what enters two neighbouring segments; less where the machine has less memory
SEGMENTS = 24


@dataclass(frozen=True)
class CellKey:
    """A cell of the sweep: `part` is weights, activations or both."""

    layer: str
    format: str
    part: str


Failed = Callable[[CellKey, QuantscopeError], None]


@dataclass(frozen=True)
class Cell:
    """A measured cell; `bytes` is the size of the file in which only this layer is quantized. `band` says how
    far the quality may lie from that on all samples, where it was measured on few.
    """

    key: CellKey
    quality: Quality
    bytes: int
    band: Band | None = None

    @property
    def is_first_look(self) -> bool:
        """Whether it was measured on so few samples that more are to come."""
        return self.band is not None and not self.band.final


@dataclass(frozen=True)
class _Entry:
    """What enters a segment, batch by batch."""

    names: tuple[str, ...]
    feeds: list[Batch]


@dataclass(frozen=True)
class _Task:
    """A cell to measure: its plan, and the rest of the graph with what enters it."""

    key: CellKey
    plan: Plan
    variants: Variants
    feeds: list[Batch] | None


@dataclass(frozen=True)
class _Failure:
    key: CellKey
    error: QuantscopeError


def cell_plan(graph: Graph, key: CellKey) -> Plan | None:
    """The plan that measures a cell, None where it does not apply. Layers that share its stored weights take
    them too.
    """
    layer = graph.layer(key.layer)
    precision = cell_precision(layer, key.format, key.part)
    if layer.reason is not None or precision is None:
        return None
    tied = {name: Precision(precision.weights) for name in layer.tied if precision.weights is not None}
    return Plan(f"{key.layer} {key.format} {key.part}", {**tied, key.layer: precision}, graph.file.sha256)


class Sweeper:
    """Measures cells on one data set, `size` samples at a time, and keeps what enters the segment it has
    come to: cells that are asked in the order of execution cost least.

    Shipped execution runs the whole file for each cell, since integer kernels depend on what surrounds a
    layer. `pulse` is called while cells are measured, so that a caller can stop in the middle; `lanes` of
    them are measured at once. `sizes` are those of
    files that are known, and takes up what is found."""

    def __init__(
        self,
        cache: WeightCache,
        data: Dataset,
        reference: Reference,
        find_range: FindRange,
        size: int,
        execution: str = "simulated",
        pulse: Pulse = lambda: None,
        bench: Bench | None = None,
        sizes: dict[CellKey, int] | None = None,
        lanes: Lanes = ONE_LANE,
    ) -> None:
        self._cache, self._data, self._find_range, self._pulse = cache, data, find_range, pulse
        self._size, self._execution, self._lanes = size, execution, lanes
        fixed = fixed_batch(inputs_of(cache.graph.model))
        self._bench = bench or AllSamples(data, reference, size, fixed)
        self._segments = cut_segments(cache.graph, 1 if execution == "shipped" else SEGMENTS)
        self._sizes = {} if sizes is None else sizes
        self._by_difference = Sizes(cache)
        self._entry: _Entry | None = None
        self._at = 0  # the segment that `_entry` leads to

    def measure(self, cells: Iterable[CellKey], failed: Failed | None = None) -> Iterator[Cell]:
        """Measure `cells` one by one, in the order of execution of their layers. A cell that cannot be
        measured is told to `failed`, and the others go on; without it the error is raised.
        """
        cells = list(cells)
        for found in in_lanes(self._tried, lambda lane: self._tasks(cells, lane), self._lanes, self._pulse):
            if isinstance(found, Cell):
                yield found
            elif failed is None:
                raise found.error
            else:
                failed(found.key, found.error)

    def _tasks(self, cells: Iterable[CellKey], lane: Lane) -> Iterator[_Task]:
        graph = self._cache.graph
        plans = {key: plan for key in cells if (plan := cell_plan(graph, key)) is not None}
        place = {name: i for i, segment in enumerate(self._segments) for name in segment.layers}
        first = {key: min(place[name] for name in plan.layers) for key, plan in plans.items()}
        order = {layer.name: number for number, layer in enumerate(graph.layers)}
        for number in sorted(set(first.values())):
            self._go_to(number, lane)
            wanted = [key for key in plans if first[key] == number]
            entry = self._entry
            part = graph if entry is None else suffix(graph, entry.names)
            variants = Variants(part, self._cache, self._find_range, self._lanes.threads)
            feeds = None if entry is None else entry.feeds
            for key in sorted(wanted, key=lambda key: (order[key.layer], _kind(plans[key]))):
                yield _Task(key, plans[key], variants, feeds)

    def _tried(self, task: _Task, lane: Lane) -> Cell | _Failure:
        try:
            return self._cell(task, lane)
        except QuantscopeError as error:
            return _Failure(task.key, error)

    def _cell(self, task: _Task, lane: Lane) -> Cell:
        key, extra = task.key, Batch()
        lane.pulse()
        if self._execution == "shipped":
            whole = to_bytes(lower(self._cache, task.plan, self._find_range))
            self._sizes[key] = len(whole)
            session = make_session(whole, self._execution, self._lanes.threads)
        else:
            if key not in self._sizes:
                self._sizes[key] = self._by_difference.of(task.plan, self._find_range)
            session, extra = task.variants.session(key.layer, task.plan)
        quality, band = self._bench.measure(session, extra, task.feeds, self._execution, lane)
        return Cell(key, quality, self._sizes[key], band)

    def _go_to(self, number: int, lane: Lane) -> None:
        """Have what enters segment `number`, through all segments before it: a cell gives the same number,
        whichever are asked with it.
        """
        if number < self._at:
            self._entry, self._at = None, 0
        while self._at < number:
            segment = self._segments[self._at + 1]
            self._entry = _advance(self._cache.graph, self._data, self._size, self._entry, segment, lane)
            self._at += 1


def _kind(plan: Plan) -> str:
    """How a plan quantizes activations: those alike stand together, since they share a session."""
    return str([str(p.activations) for p in plan.quantized.values()])


def _advance(
    graph: Graph, data: Dataset, size: int, entry: _Entry | None, segment: Segment, lane: Lane
) -> _Entry | None:
    """What enters `segment`, computed from what entered an earlier one; the earlier one where it would be too
    large.
    """
    inputs = inputs_of(graph.model)
    fixed = fixed_batch(inputs)
    start = tuple(p.name for p in inputs) if entry is None else entry.names
    session = make_session(to_bytes(stretch(graph, start, segment.entry).model), "float")
    feeds: list[Batch] = []
    room = sweep_limit() - (0 if entry is None else _bytes(entry.feeds))
    for batch in batches_of(data if entry is None else entry.feeds, size):
        outputs = lane.run(session, fill_up(batch, fixed), list(segment.entry))
        feeds.append(dict(zip(segment.entry, outputs, strict=True)))
        if _bytes(feeds) / len(feeds) * -(-len(data) // size) > room:  # what all batches would take
            return entry
    return _Entry(segment.entry, feeds)


def _bytes(feeds: list[Batch]) -> int:
    return sum(array.nbytes for batch in feeds for array in batch.values())


def sweep_limit() -> int:
    """The bytes of tensors at the cuts that a sweep keeps at most."""
    return at_most(LIMIT)
