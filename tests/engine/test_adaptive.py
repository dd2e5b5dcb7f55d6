"""The adaptive sweep: every cell soon, on few samples, and close to what all samples say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from quant_core.data import Task
from quant_core.engine import Cell, CellKey, Reference, Sweeper, adaptive_sweep, can_adapt, cell_plan
from quant_core.errors import ModelError, QuantscopeError
from quant_core.lower import WeightCache
from tests.models import conv_chain, matmul_chain

COUNT = 160


@pytest.fixture(scope="module")
def bench(bench_of: Callable[..., Any]) -> Any:
    return bench_of(conv_chain(), COUNT)


def keys_of(bench: Any, formats: tuple[str, ...] = ("int8", "int4", "int2")) -> list[CellKey]:
    keys = [
        CellKey(x.name, f, p) for x in bench.graph.quantizable for f in formats for p in ("weights", "both")
    ]
    return [key for key in keys if cell_plan(bench.graph, key) is not None]


def adapted(bench: Any, keys: list[CellKey], reference: Reference | None = None, **more: Any) -> list[Cell]:
    given = WeightCache(bench.graph), keys, bench.data, reference or bench.reference, bench.ranges.find
    return list(adaptive_sweep(*given, **more))


def exact(bench: Any, keys: Iterable[CellKey], size: int = 32) -> dict[CellKey, Cell]:
    sweeper = Sweeper(WeightCache(bench.graph), bench.data, bench.reference, bench.ranges.find, size)
    return {cell.key: cell for cell in sweeper.measure(keys)}


def test_every_cell_comes_twice_and_is_close_to_what_all_samples_say(bench: Any) -> None:
    keys = keys_of(bench)
    cells, whole = adapted(bench, keys), exact(bench, keys)
    looks, final = cells[: len(keys)], cells[len(keys) :]
    assert {c.key for c in looks} == {c.key for c in final} == set(keys)
    assert all(c.is_first_look and c.quality.samples == 8 for c in looks)
    inside = []
    for cell in final:
        all_samples = whole[cell.key]
        assert cell.band is not None and cell.band.final and not cell.is_first_look
        assert 16 <= cell.quality.samples < COUNT
        assert cell.bytes == all_samples.bytes
        assert cell.quality.metric_name == all_samples.quality.metric_name
        for name in ("agreement", "metric", "sqnr_db"):
            low, high = getattr(cell.band, name)
            assert low <= getattr(cell.quality, name) <= high
            inside.append(low - 1e-6 <= getattr(all_samples.quality, name) <= high + 1e-6)
    assert np.mean(inside) > 0.85


def test_who_had_a_first_look_needs_none(bench: Any) -> None:
    keys = keys_of(bench, ("int4",))
    cells = adapted(bench, keys, looked=keys[:2])
    assert [c.key for c in cells if c.is_first_look] == [k for k in keys if k not in keys[:2]]
    assert {c.key: c for c in cells} == {c.key: c for c in adapted(bench, keys)}


def test_a_cell_that_fails_is_told_once_and_the_others_go_on(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = keys_of(bench, ("int8",))
    plain = Sweeper._cell

    def breaking(self: Any, task: Any, lane: Any) -> Cell:
        if task.key == keys[1]:
            raise ModelError("it does not run")
        return plain(self, task, lane)

    monkeypatch.setattr(Sweeper, "_cell", breaking)
    told: list[tuple[CellKey, QuantscopeError]] = []
    cells = adapted(bench, keys, failed=lambda key, error: told.append((key, error)))
    assert [key for key, _ in told] == [keys[1]]
    assert {c.key for c in cells} == set(keys) - {keys[1]}
    with pytest.raises(ModelError):
        adapted(bench, keys)


def test_outputs_too_large_to_keep_are_swept_on_all_samples(bench: Any) -> None:
    keys = keys_of(bench, ("int8",))
    cells = adapted(bench, keys, Reference(bench.graph.file.path, 100))
    assert {c.key: c for c in cells} == exact(bench, keys)


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_tokens_and_numbers_take_the_draw_alone(bench_of: Callable[..., Any], kind: str) -> None:
    bench = bench_of(matmul_chain(), 96)
    bench.data.labels = None
    keys = keys_of(bench, ("int4",))
    reference = Reference(bench.graph.file.path, task=Task(kind))
    whole = Sweeper(WeightCache(bench.graph), bench.data, reference, bench.ranges.find, 32)
    for cell in whole.measure(keys):
        found = next(c for c in adapted(bench, [cell.key], reference) if not c.is_first_look)
        assert found.band is not None
        low, high = found.band.sqnr_db
        assert low < found.quality.sqnr_db < high
        assert found.quality.sqnr_db == pytest.approx(cell.quality.sqnr_db, abs=3.0)
        assert (found.quality.agreement is None) == (cell.quality.agreement is None)


def test_a_model_with_a_fixed_batch(bench_of: Callable[..., Any]) -> None:
    bench = bench_of(conv_chain(batch=4), 66, 4)
    keys = keys_of(bench, ("int4",))
    whole = exact(bench, keys, 4)
    for cell in adapted(bench, keys):
        if not cell.is_first_look:
            assert cell.quality.sqnr_db == pytest.approx(whole[cell.key].quality.sqnr_db, abs=3.0)


def test_few_samples_are_all_measured() -> None:
    assert can_adapt(64, None)
    assert not can_adapt(63, None)
    assert not can_adapt(1000, 128)
    assert can_adapt(1024, 128)
