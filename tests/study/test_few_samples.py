"""What was measured on few samples is kept, says so, and gives way to what is measured on all."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from quant_core.engine import Sweeper
from quant_core.jobs.worker import Tick
from quant_core.study import CellKey, Source, Study, sensitivity_table, work

SOURCE = Source("sample:digits-cnn", "sample:digits-cnn")
FORMATS = {"weights": ("int8", "int4")}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[CellKey]:
    """The cells that are really measured, in their order."""
    seen: list[CellKey] = []
    plain = Sweeper._cell

    def counting(self: Any, task: Any, lane: Any) -> Any:
        seen.append(task.key)
        return plain(self, task, lane)

    monkeypatch.setattr(Sweeper, "_cell", counting)
    return seen


def keys_of(study: Study) -> list[CellKey]:
    return study.cells(list(FORMATS["weights"]), ("weights",))


def test_few_are_kept_beside_all_and_give_way_to_them(measured: list[CellKey]) -> None:
    study = SOURCE.open()
    keys = keys_of(study)
    cells = {cell.key: cell for cell in study.sweep_adaptively(keys)}
    assert len(measured) == 2 * len(keys)
    again = SOURCE.open()
    assert again.known_cells(keys) == {}
    assert again.known_cells(keys, few=True) == cells
    assert list(again.sweep_adaptively(keys)) == list(cells.values())
    assert len(measured) == 2 * len(keys)
    exact = next(again.sweep(keys[:1]))
    assert exact.band is None
    assert exact.quality.samples == len(study.data) > cells[keys[0]].quality.samples
    for one in (again, SOURCE.open()):
        assert one.known_cells(keys, few=True) == {**cells, keys[0]: exact}


def test_one_that_was_stopped_goes_on_where_it_was(measured: list[CellKey]) -> None:
    study = SOURCE.open()
    keys = keys_of(study)
    cells = study.sweep_adaptively(keys)
    for _ in range(len(keys) + 2):
        next(cells)
    cells.close()
    begun = len(measured)
    later = SOURCE.open()
    assert {c.key for c in later.known_cells(keys, few=True).values() if not c.is_first_look} == set(keys[:2])
    whole = {cell.key: cell for cell in later.sweep_adaptively(keys)}
    assert set(measured[begun:]) == set(keys[2:])
    assert len(measured[begun:]) == len(keys[2:])
    assert not any(cell.is_first_look for cell in whole.values())


class Heard(Tick):
    """What a job says."""

    def __init__(self) -> None:
        self.said: list[tuple[int | None, int | None, str | None]] = []

    def __call__(self, done: int | None = None, total: int | None = None, note: str | None = None) -> None:
        self.said.append((done, total, note))


@pytest.mark.parametrize("exact", [False, True])
def test_a_job_takes_few_samples_where_a_pass_takes_long(
    monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    spec = {"source": asdict(SOURCE), "formats": {part: list(names) for part, names in FORMATS.items()}}
    work._study.cache_clear()
    study = SOURCE.open()
    keys = keys_of(study)
    assert study.is_quick
    monkeypatch.setattr(Study, "is_quick", False)
    tick = Heard()
    result = work._sweep(spec | ({"exact": True} if exact else {}), tick)
    assert result == {"kept": 0, "measured": len(keys), "failed": []}
    assert any(note == "A first look at every cell" for _, _, note in tick.said) != exact
    assert tick.said[-1][:2] == (len(keys), len(keys))
    found = study.known_cells(keys, few=True)
    assert {cell.band is None for cell in found.values()} == {exact}
    assert work._sweep(spec, Heard()) == {"kept": len(keys), "measured": 0, "failed": []}
    assert work._sweep(spec | {"exact": True}, Heard())["kept"] == (len(keys) if exact else 0)


def test_the_table_says_how_far_off_few_may_be() -> None:
    study = SOURCE.open()
    keys = keys_of(study)[:2]
    few = {cell.key: cell for cell in study.sweep_adaptively(keys)}
    table = sensitivity_table(few)
    assert (table["sqnr_db_low"] < table["sqnr_db"]).all()
    assert (table["agreement_high"] >= table["agreement"]).all()
    exact = next(study.sweep(keys[:1]))
    mixed = sensitivity_table({**few, exact.key: exact})
    assert mixed["metric_low"][0] == mixed["metric_high"][0] == exact.quality.metric
    assert "sqnr_db_low" not in sensitivity_table({exact.key: exact})
