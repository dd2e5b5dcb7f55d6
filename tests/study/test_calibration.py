"""Calibration runs the model once: later studies of the same model and samples find the ranges kept."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quant_core.plan import default_activation_scheme
from quant_core.study import Study

module = importlib.import_module("quant_core.study.calibration")
Open = Callable[..., Study]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of samples of each calibration that really runs the model."""
    seen: list[int] = []
    calibrate = module.calibrate

    def counting(graph: Any, data: Any, *given: Any) -> Any:
        seen.append(len(data))
        return calibrate(graph, data, *given)

    monkeypatch.setattr(module, "calibrate", counting)
    return seen


def found(study: Study) -> list[tuple[float, float]]:
    schemes = [default_activation_scheme("int8"), default_activation_scheme("int4")]
    inputs = [x.input for x in study.graph.quantizable if x.input]
    return [study.ranges.find(name, scheme) for name in inputs for scheme in schemes if scheme]


def test_a_second_study_does_not_run_the_model_again(open_study: Open, runs: list[int]) -> None:
    first = open_study()
    assert not first.has_ranges
    assert runs == []
    ranges = found(first)
    second = open_study()
    assert first.has_ranges and second.has_ranges
    assert found(second) == found(first) == ranges
    assert runs == [first.calibration_samples]


def test_other_samples_have_other_ranges(open_study: Open, runs: list[int]) -> None:
    found(open_study())
    other = open_study(calibration="30")
    assert not other.has_ranges
    found(other)
    assert runs == [open_study().calibration_samples, 30]


@pytest.mark.parametrize("content", [b"", b"damaged", None], ids=["empty", "damaged", "cut"])
def test_a_damaged_file_is_measured_again(
    open_study: Open, runs: list[int], tmp_path: Path, content: bytes | None
) -> None:
    ranges = found(open_study())
    (file,) = (tmp_path / "ranges").iterdir()
    file.write_bytes(file.read_bytes()[:-100] if content is None else content)
    study = open_study()
    assert not study.has_ranges
    assert found(study) == ranges
    assert len(runs) == 2
    assert open_study().has_ranges


def test_a_file_of_an_older_version_is_measured_again(
    open_study: Open, runs: list[int], tmp_path: Path
) -> None:
    ranges = found(open_study())
    (file,) = (tmp_path / "ranges").iterdir()
    with np.load(file) as kept:
        older = {key: kept[key] for key in kept.files if key not in ("version", "samples", "sums")}
    with file.open("wb") as stream:
        np.savez_compressed(stream, **older)
    assert found(open_study()) == ranges
    assert len(runs) == 2


def test_a_folder_that_cannot_be_written_costs_only_the_copy(
    open_study: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    study = open_study()
    monkeypatch.setattr(Path, "replace", full)
    assert found(study)
    assert study.has_ranges and not open_study().has_ranges
    assert list((tmp_path / "ranges").iterdir()) == []  # no half-written file stays


def test_progress_counts_samples(open_study: Open) -> None:
    seen: list[tuple[int, int]] = []
    study = open_study()
    study.calibrate(lambda *p: seen.append(p))
    assert seen[-1] == (study.calibration_samples,) * 2


def test_without_calibration_samples_there_is_nothing_to_measure(open_study: Open) -> None:
    study = open_study(calibration="none")
    assert study.has_ranges
    assert study.ranges.histograms == {}
