"""In how many lanes a model runs is measured once on a machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quant_core.engine import Lanes
from quant_core.study import Source

SOURCE = Source("sample:digits-cnn", "sample:digits-cnn")


def test_lanes_are_measured_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[Any] = []
    monkeypatch.setattr(
        "quant_core.study.lanes.measure_lanes", lambda *given: measured.append(given) or Lanes(3, 2)
    )
    for _ in range(2):
        assert SOURCE.open().lanes == Lanes(3, 2)
    assert len(measured) == 1


def test_numbers_do_not_depend_on_lanes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = []
    for number, lanes in enumerate((Lanes(), Lanes(3, 1))):
        monkeypatch.setattr("quant_core.study.lanes.measure_lanes", lambda *given, found=lanes: found)
        monkeypatch.setenv("QUANTSCOPE_HOME", str(tmp_path / str(number)))
        study = SOURCE.open()
        assert study.lanes == lanes
        cells.append(list(study.sweep(study.cells(["int8", "int2"]))))
    assert cells[0] == cells[1]
