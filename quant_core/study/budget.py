"""Search a plan under a budget: sweep on calibration samples, choose, lower, check the size, measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from quant_core.data import Dataset, draw
from quant_core.engine import CellKey, Pulse
from quant_core.errors import SearchError
from quant_core.formats import sqnr_from_power
from quant_core.plan import Plan, Precision, cell_precision
from quant_core.search import choose_under_budget
from quant_core.study.records import Evaluation
from quant_core.study.study import Study

FORMATS = ("fp16", "int8", "int4", "int2")
SAMPLES = 64  # SQNR ranks cells as well on 16 samples as on all
_TRIES = 12

CellProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Found:
    """A plan that search found, what it predicted (dB, bytes) and what was measured."""

    plan: Plan
    predicted_sqnr_db: float
    predicted_bytes: int
    evaluation: Evaluation


@dataclass(frozen=True)
class _Table:
    """Rows are groups of layers that share stored weights, columns are FP32 and the formats."""

    groups: list[tuple[str, ...]]
    columns: tuple[str, ...]
    damage: np.ndarray  # noise-to-signal ratio of the outputs
    cost: np.ndarray  # bytes against the same file in float


class BudgetSearch:
    """Search over the weight formats of all layers. Damage is measured on calibration samples, so that the
    samples evaluated have no part in the choice. Locked layers keep the precision of `start`. `pulse` is
    called often, so that a caller can stop the search."""

    def __init__(
        self,
        study: Study,
        formats: tuple[str, ...] = FORMATS,
        start: Plan | None = None,
        pulse: Pulse = lambda: None,
    ) -> None:
        self.study, self.formats, self._pulse = study, formats, pulse
        self.start = start or Plan("search", {}, study.graph.file.sha256, study.graph.file.name)
        self._table: _Table | None = None

    def measure(self, progress: CellProgress | None = None) -> None:
        """Fill the table of damages; the cells come from the store where they are known."""
        study = self.study
        data = self._data()
        keys = study.cells(list(self.formats), ("weights",))
        known = {}
        for cell in study.sweep(keys, "simulated", data, self._pulse):
            known[cell.key] = cell
            if progress is not None:
                progress(len(known), len(keys))
        base = len(study.lowered(Plan()))
        groups = _groups(study)
        columns = ("fp32", *self.formats)
        damage, cost = np.full((len(groups), len(columns)), np.inf), np.zeros((len(groups), len(columns)))
        damage[:, 0] = 0.0
        for row, group in enumerate(groups):
            for column, name in enumerate(self.formats, start=1):
                key = CellKey(group[0], name, "weights")
                if key in known:
                    damage[row, column] = 10.0 ** (-known[key].quality.sqnr_db / 10.0)
                    cost[row, column] = known[key].bytes - base
            if any(self.start[name].locked for name in group):
                damage[row, 1:] = np.inf
        self._table = _Table(groups, columns, damage, cost)

    def under(self, max_bytes: int, columns: int | None = None) -> tuple[Plan, float, int]:
        """The plan of least predicted damage of at most `max_bytes`, and its predicted SQNR (dB) and bytes.

        Bytes of layers add up but for what they share in the file, so the true file is written and the budget
        of the program corrected until it fits. Only the first `columns` formats, FP32 counted, are used.
        SearchError where no plan fits.
        """
        if self._table is None:
            self.measure()
        table = self._table
        assert table is not None
        fixed = Plan(
            "locked", {n: p for n, p in self.start.layers.items() if p.locked}, self.study.graph.file.sha256
        )
        room, step = float(max_bytes - self.study.bytes_of(fixed)), 16.0
        best: tuple[Plan, float, int] | None = None
        seen: set[str] = set()
        for _ in range(_TRIES):
            try:
                choice = choose_under_budget(table.damage[:, :columns], table.cost[:, :columns], room)
            except SearchError as error:
                if best is not None:
                    break
                raise self._unreachable(table, max_bytes) from error
            plan = self._plan(table, choice, f"at most {max_bytes} bytes")
            size = self.study.bytes_of(plan)
            sqnr = sqnr_from_power(1.0, float(table.damage[np.arange(len(choice)), choice].sum()))
            if size <= max_bytes and (best is None or sqnr > best[1]):
                best = plan, sqnr, size
            if plan.key not in seen:
                seen.add(plan.key)
                room += max_bytes - size  # room that the sum of layers missed, or took too much
            elif size <= max_bytes:
                break
            else:
                room, step = room - step, 2 * step
        if best is None:
            raise self._unreachable(table, max_bytes)
        return best

    def _unreachable(self, table: _Table, max_bytes: int) -> SearchError:
        least = self._least(table)
        if least <= max_bytes:
            return SearchError(f"no plan of at most {max_bytes} bytes was found", "allow a few more bytes")
        share, formats = 100 * least / self.study.graph.file.bytes, ", ".join(self.formats)
        return SearchError(
            f"no plan of {formats} weights has at most {max_bytes} bytes, the smallest has {least}",
            f"allow {least} bytes ({share:.1f} % of FP32) or more",
        )

    def within_bytes(self, max_bytes: int) -> Found:
        """The best plan of at most `max_bytes`, measured.

        Single-layer damages say little about how layers at few bits add up, so the program is solved again
        without the lowest formats, one format for all layers is a candidate too, each plan is tried with and
        without bias correction, and the one that does best on calibration samples is taken.
        """
        candidates: dict[str, tuple[Plan, float, int]] = {}
        for columns in range(len(self.formats) + 1, min(2, len(self.formats)), -1):
            try:
                plan, sqnr, size = self.under(max_bytes, columns)
            except SearchError:
                if not candidates:
                    raise
                break
            candidates.setdefault(plan.key, (plan, sqnr, size))
        for plan, sqnr, size in [*candidates.values(), *self._uniform(max_bytes)]:
            candidates.setdefault(plan.key, (plan, sqnr, size))
            if self.study.calibration is not None:
                corrected = plan.with_bias_correction()
                candidates.setdefault(corrected.key, (corrected, sqnr, size))
        fitting = [c for c in candidates.values() if self.study.bytes_of(c[0]) <= max_bytes]
        if len(fitting) > 1:
            calibration = self.study.calibration
            fitting.sort(key=lambda c: -self._evaluate(c[0], calibration).sqnr_db)
        plan, sqnr, size = fitting[0]
        return Found(plan, sqnr, size, self._evaluate(plan))

    def _evaluate(self, plan: Plan, data: Dataset | None = None) -> Evaluation:
        return self.study.evaluate(plan, progress=lambda *_: self._pulse(), data=data)

    def _uniform(self, max_bytes: int) -> list[tuple[Plan, float, int]]:
        """One format for all free layers, the first that fits; with predicted SQNR (dB) and bytes."""
        table = self._table
        assert table is not None
        for column in range(1, len(table.columns)):
            choice = np.where(np.isfinite(table.damage[:, column]), column, 0)
            plan = self._plan(table, choice, f"at most {max_bytes} bytes")
            size = self.study.bytes_of(plan)
            if size <= max_bytes:
                noise = float(table.damage[np.arange(len(choice)), choice].sum())
                return [(plan, sqnr_from_power(1.0, noise), size)]
        return []

    def within_drop(self, points: float) -> Found:
        """The smallest plan that loses at most `points` percentage points of the metric (of an error: adds so
        many per cent), or of agreement without labels.

        Bisects over the budget; each plan on the way is measured.
        """
        if self._table is None:
            self.measure()
        assert self._table is not None
        low, high = self._least(self._table), self.study.bytes_of(Plan())
        best: Found | None = None
        for _ in range(_TRIES):
            budget = (low + high) // 2 if best is not None or low < high else low
            found = self.within_bytes(budget)
            if _drop(found.evaluation) <= points:
                best, high = found, min(budget, found.evaluation.bytes)
            else:
                low = budget
            if high - low < max(64, high // 200):
                break
        if best is None:
            raise SearchError(f"no plan found loses at most {points:g} points", "allow a larger drop")
        return best

    def _data(self) -> Dataset:
        calibration = self.study.calibration
        return draw(calibration if calibration is not None else self.study.data, SAMPLES)

    def _plan(self, table: _Table, choice: np.ndarray, name: str) -> Plan:
        changes: dict[str, Precision] = {}
        for group, column in zip(table.groups, choice, strict=True):
            for layer in group:
                if self.start[layer].locked:
                    changes[layer] = self.start[layer]
                elif column:
                    precision = cell_precision(
                        self.study.graph.layer(layer), table.columns[column], "weights"
                    )
                    changes[layer] = precision or Precision()
        file = self.study.graph.file
        return Plan(name, changes, file.sha256, file.name)

    def _least(self, table: _Table) -> int:
        smallest = np.where(np.isfinite(table.damage), table.cost, np.inf).argmin(axis=1)
        return self.study.bytes_of(self._plan(table, smallest, "smallest"))


def _drop(evaluation: Evaluation) -> float:
    if evaluation.lost is not None:
        return evaluation.lost
    if evaluation.agreement is None:
        raise SearchError("the outputs have no decisions to compare", "search with --max-bytes")
    return 100.0 * (1.0 - evaluation.agreement)


def _groups(study: Study) -> list[tuple[str, ...]]:
    """Layers that share stored weights stand together: quantizing one alone would store the weights twice."""
    seen: set[str] = set()
    groups = []
    for layer in study.graph.quantizable:
        if layer.name not in seen:
            groups.append((layer.name, *layer.tied))
            seen.update(groups[-1])
    return groups
