"""Where error enters: each layer's output against FP32's, alone and in company, and the codes between them.

- **Isolated**: the layer by itself, quantized as the plan says, fed what FP32 feeds it. Its own damage.
- **Accumulated**: the same output in the whole quantized graph, where all before it is quantized too. What
  it passes on. Both are `simulated`: outputs inside the shipped file exist in integers only.
- **Codes**: what each QuantizeLinear gives. The codes of FP32 are its activation rounded to the same grid.
  Those of the shipped file are read from it by making them outputs; that does not change its kernels (ONNX
  Runtime 1.31: the outputs stay equal to the bit, on digits-mobile, MobileNet v1 and a transformer), and the
  first batch is compared to make sure: where it does change them, nothing is said of the shipped codes.

Layers are looked at in groups, so many samples at a time that what is alive stays below `LIMIT` bytes; only
sums are kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from quant_core.data import Batch, Dataset
from quant_core.engine.calibrate import with_outputs
from quant_core.engine.evaluate import Progress
from quant_core.engine.probes import Grid, Probe, probes
from quant_core.engine.run import cut_off, fill_up, fixed_batch, run
from quant_core.engine.session import make_session
from quant_core.errors import QuantscopeError
from quant_core.formats import get_format, quantize, sqnr_from_power
from quant_core.graph import Graph, inputs_of, stretch
from quant_core.lower import Corrections, FindRange, WeightCache, lower, to_bytes
from quant_core.plan import Plan
from quant_core.stats import CodeDifferences

LIMIT = 64 << 20
_MOST = 32  # samples at a time


@dataclass
class LayerError:
    """What was summed of one layer: the power of its FP32 output, and of the error alone (None where it stays
    in float) and in company.

    `codes` counts the differences of its input codes, float against simulated; `shipped_codes` simulated
    against shipped; None where the plan stores no plain integer codes there."""

    layer: str
    signal: float = 0.0
    accumulated: float = 0.0
    isolated: float | None = None
    codes: CodeDifferences | None = None
    shipped_codes: CodeDifferences | None = None

    @property
    def accumulated_db(self) -> float:
        """SQNR of the output with all before it quantized too, in dB."""
        return sqnr_from_power(self.signal, self.accumulated)

    @property
    def isolated_db(self) -> float | None:
        """SQNR of the output with only this layer quantized, in dB."""
        return None if self.isolated is None else sqnr_from_power(self.signal, self.isolated)


def layer_errors(
    cache: WeightCache,
    plan: Plan,
    exported: bytes,
    find_range: FindRange,
    corrections: Corrections,
    data: Dataset,
    dynamic: bool = False,
    progress: Progress | None = None,
) -> list[LayerError]:
    """The errors of every layer of the graph itself, in the order of execution, over all of `data`.

    `exported` is the file of `plan` with the given ranges and `corrections`. Samples go one at a time where
    ranges are found as the model runs (`dynamic`). Layers in the bodies of If and Loop are left out."""
    graph = cache.graph
    file = ir.from_proto(onnx.load_from_string(exported))
    fixed = fixed_batch(inputs_of(graph.model))
    found = probes(graph, file, corrections)
    per_sample = [p.bytes * _longer(graph, data) for p in found]
    size = fixed or (1 if dynamic else int(np.clip(LIMIT // max(1, sum(per_sample)), 1, _MOST)))
    errors = {p.name: LayerError(p.name) for p in found}
    members = _groups(found, [size * b for b in per_sample])
    for number, group in enumerate(members):
        watch = _Watch(cache, plan, file, group, find_range, corrections)
        watch.check_shipped(exported, next(data.batches(size))[0], fixed)
        done = 0
        for feeds, _ in data.batches(size):
            watch.add(errors, feeds, fixed)
            done += len(next(iter(feeds.values())))
            if progress is not None:
                progress(number * len(data) + done, len(members) * len(data))
    return [errors[p.name] for p in found]


class _Watch:
    """The sessions that give what a group of probes needs."""

    def __init__(
        self,
        cache: WeightCache,
        plan: Plan,
        file: ir.Model,
        group: Sequence[Probe],
        find_range: FindRange,
        corrections: Corrections,
    ) -> None:
        graph = cache.graph
        self.group = group
        fed = {port.name for port in inputs_of(graph.model)}
        quantized = {p.name: _only(plan, p) for p in group}
        outputs = [p.output for p in group]
        entries = [e for p in group if quantized[p.name].quantized or p.entering for e in p.entries]
        self.float_names = [n for n in dict.fromkeys((*outputs, *entries)) if n not in fed]
        self.code_names = list(dict.fromkeys(p.grid.codes for p in group if p.grid is not None))
        self.simulated_names = list(dict.fromkeys((*(p.written for p in group), *self.code_names)))
        self._float = make_session(with_outputs(graph.model, self.float_names), "float")
        self._simulated = make_session(with_outputs(file, self.simulated_names), "simulated")
        self._shipped: ort.InferenceSession | None = None
        self._watched = with_outputs(file, self.code_names) if self.code_names else None
        self._alone: dict[str, ort.InferenceSession] = {}
        for probe in group:
            if quantized[probe.name].quantized:
                with suppress(QuantscopeError):  # a layer that cannot stand alone has no isolated error
                    part = stretch(graph, probe.entries, (probe.output,))
                    small = WeightCache(part, cache.kept)
                    model = lower(small, quantized[probe.name], find_range, corrections)
                    self._alone[probe.name] = make_session(to_bytes(model), "simulated")

    def check_shipped(self, exported: bytes, feeds: Batch, fixed: int | None) -> None:
        """Read codes from the shipped file where that leaves its outputs as they are, to the bit."""
        if self._watched is None:
            return
        plain, watched = make_session(exported, "shipped"), make_session(self._watched, "shipped")
        names = [port.name for port in plain.get_outputs()]
        filled = fill_up(feeds, fixed)
        pairs = zip(run(plain, filled, names), run(watched, filled, names), strict=True)
        if all(a.tobytes() == b.tobytes() for a, b in pairs):
            self._shipped = watched

    def add(self, errors: dict[str, LayerError], feeds: Batch, fixed: int | None) -> None:
        """Add what one batch shows."""
        count = len(next(iter(feeds.values())))
        filled = fill_up(feeds, fixed)
        wanted = [port.name for port in self._float.get_inputs()]
        given = {name: filled[name] for name in wanted}
        values = dict(filled) | _named(self._float, given, self.float_names)
        simulated = _named(self._simulated, given, self.simulated_names)
        shipped = {} if self._shipped is None else _named(self._shipped, given, self.code_names)

        def cut(array: NDArray[np.generic]) -> NDArray[np.generic]:
            return cut_off([array], count, fixed)[0]

        for probe in self.group:
            error, expected = errors[probe.name], cut(values[probe.output]).astype(np.float64)
            error.signal += float(np.square(expected).sum())
            error.accumulated += _power(cut(simulated[probe.written]), expected)
            if (session := self._alone.get(probe.name)) is not None:
                entering = {port.name: values[port.name] for port in session.get_inputs()}
                alone = _power(cut(run(session, entering)[0]), expected)
                error.isolated = (error.isolated or 0.0) + alone
            if probe.grid is not None and probe.entering is not None:
                self._add_codes(error, probe.grid, cut(values[probe.entering]), simulated, shipped, cut)

    def _add_codes(
        self,
        error: LayerError,
        grid: Grid,
        entering: NDArray[np.generic],
        simulated: Batch,
        shipped: Batch,
        cut: Callable[[NDArray[np.generic]], NDArray[np.generic]],
    ) -> None:
        codes = cut(simulated[grid.codes])
        number, zero = get_format(str(grid.zero.dtype)), np.asarray(grid.zero, np.int32)
        error.codes = error.codes or CodeDifferences()
        error.codes.add(quantize(np.asarray(entering, np.float32), grid.scale, zero, number), codes)
        if grid.codes in shipped:
            error.shipped_codes = error.shipped_codes or CodeDifferences()
            error.shipped_codes.add(codes, cut(shipped[grid.codes]))


def _only(plan: Plan, probe: Probe) -> Plan:
    """`plan` with no other layers than those of `probe`."""
    return replace(plan, layers={name: plan[name] for name in probe.layers})


def _named(session: ort.InferenceSession, feeds: Batch, names: list[str]) -> Batch:
    return dict(zip(names, run(session, feeds, names), strict=True)) if names else {}


def _power(actual: NDArray[np.generic], expected: NDArray[np.float64]) -> float:
    """The power of the error, infinite where the shapes differ."""
    if actual.shape != expected.shape:
        return float("inf")
    return float(np.square(np.subtract(actual, expected, dtype=np.float64)).sum())


def _groups(found: Sequence[Probe], sizes: Sequence[int]) -> list[list[Probe]]:
    """Neighbours together, up to `LIMIT` bytes."""
    groups: list[list[Probe]] = []
    total = LIMIT + 1
    for probe, size in zip(found, sizes, strict=True):
        if total + size > LIMIT:
            groups.append([])
            total = 0
        groups[-1].append(probe)
        total += size
    return groups


def _longer(graph: Graph, data: Dataset) -> int:
    """How many times as large as its model's inferred shapes a sample is: there, free dimensions are 1."""
    sample = data.take(np.arange(1))
    ratios = []
    for port in inputs_of(graph.model):
        known = math.prod(d if isinstance(d, int) else 1 for d in port.shape[1:])
        ratios.append(math.ceil(sample[port.name].size / max(1, known)))
    return max(ratios, default=1)
