"""A study: what was measured once is kept, and every size is that of the file."""

from __future__ import annotations

import importlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from quant_core.data import get_sample
from quant_core.engine import CellKey, Sweeper
from quant_core.errors import DataError, FormatError, ModelError, PlanError
from quant_core.formats import Scheme
from quant_core.graph import inputs_of, read_model
from quant_core.plan import PRESETS, Plan, Precision, preset_plan
from quant_core.store import Store
from quant_core.study import Study, open_samples

module = importlib.import_module("quant_core.study.study")
Open = Callable[..., Study]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the engine really measures: the key of each cell, and "plan" or "fp32" for each evaluation."""
    seen: list[object] = []
    measure = Sweeper.measure

    def counting_cells(*given: Any) -> Iterator[Any]:
        for cell in measure(*given):
            seen.append(cell.key)
            yield cell

    def counting(evaluate: Any) -> Any:
        def counted(*given: Any) -> Any:
            seen.append("plan")
            return evaluate(*given)

        return counted

    monkeypatch.setattr(Sweeper, "measure", counting_cells)
    for name in ("evaluate", "evaluate_outputs"):
        monkeypatch.setattr(module, name, counting(getattr(module, name)))
    return seen


def keys_of(study: Study) -> list[CellKey]:
    return study.cells(["int8", "int4"], ("weights",))


def test_a_plan_is_measured_once(open_study: Open, measured: list[object]) -> None:
    study = open_study()
    plan = preset_plan(study.graph, "int8")
    assert study.known(plan) is None
    first = study.evaluate(plan)
    assert study.evaluate(plan) == first == open_study().evaluate(plan) == open_study().known(plan)
    assert measured == ["plan"]


def test_what_a_number_depends_on_makes_another_measurement(open_study: Open, measured: list[object]) -> None:
    plan = preset_plan(open_study().graph, "int8")
    open_study().evaluate(plan)
    open_study(samples=50).evaluate(plan)
    open_study(calibration="30").evaluate(plan)
    open_study().evaluate(plan, "shipped")
    open_study().evaluate(preset_plan(open_study().graph, "int8-tensor"))
    assert measured == ["plan"] * 5


def test_weights_alone_do_not_depend_on_calibration(open_study: Open, measured: list[object]) -> None:
    one, other = open_study(samples=None, calibration="none"), open_study(samples=None)
    assert one.data.key == other.data.key
    for study in (one, other):
        study.evaluate(preset_plan(study.graph, "int8-weights"))
    assert measured == ["plan"]


def test_a_sweep_that_was_stopped_goes_on_where_it_was(open_study: Open, measured: list[object]) -> None:
    study = open_study()
    keys = keys_of(study)
    cells = study.sweep(keys)
    begun = [next(cells) for _ in range(4)]
    cells.close()
    assert measured == [c.key for c in begun]
    layers = [c.key.layer for c in begun]
    assert layers == sorted(layers, key=[k.layer for k in keys].index), "in the order of execution"
    whole = list(open_study().sweep(keys))
    assert [c for c in whole if c in begun] == sorted(begun, key=lambda c: keys.index(c.key))
    assert {c.key for c in whole} == set(keys) and len(whole) == len(keys)
    assert sorted(map(str, measured)) == sorted(map(str, keys))
    assert {c.key: c for c in open_study().sweep(keys)} == {c.key: c for c in whole}
    assert len(measured) == len(keys)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_sweep_that_was_killed_goes_on_where_it_was(home: Path, repo: Path, measured: list[object]) -> None:
    command = [sys.executable, "-m", "quant_core", "sweep", "sample:digits-mobile"]
    process = subprocess.Popen(
        command, cwd=repo, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ.copy()
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None and kept_cells(home) < 5:
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    before = kept_cells(home)
    assert before >= 5, "the sweep measured nothing within a minute"
    study = Study.open("sample:digits-mobile", "sample:digits-mobile")
    keys = study.cells(["int8", "int4", "int2"])
    known = study.known_cells(keys)
    assert len(known) == before < len(keys)
    wanted = [*list(known)[:3], *[k for k in keys if k not in known][:2]]
    assert [c.key for c in study.sweep(wanted)] == wanted
    assert measured == wanted[3:]


def kept_cells(folder: Path) -> int:
    """Cells in the store, read as another process would."""
    if not (folder / "quantscope.sqlite").exists():
        return 0
    with closing(sqlite3.connect(folder / "quantscope.sqlite", timeout=10)) as connection:
        try:
            query = """SELECT count(*) FROM measurements WHERE about LIKE '%"cell %'"""
            return int(connection.execute(query).fetchone()[0])
        except sqlite3.OperationalError:
            return 0


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("corrected", [False, True], ids=["plain", "corrected"])
def test_the_size_is_that_of_the_exported_file(
    open_study: Open, tmp_path: Path, preset: str, corrected: bool
) -> None:
    """Also with bias corrections, which are not measured to know it."""
    study = open_study()
    plan = preset_plan(study.graph, preset).with_bias_correction(corrected)
    written = study.export(plan, tmp_path / "q.onnx")
    assert study.bytes_of(plan) == written["bytes"] == (tmp_path / "q.onnx").stat().st_size


def test_the_size_of_an_evaluation_is_that_of_the_exported_file(open_study: Open) -> None:
    study = open_study()
    plan = preset_plan(study.graph, "w4a8")
    assert study.evaluate(plan).bytes == len(study.lowered(plan)) == study.bytes_of(plan)


def test_an_untouched_plan_equals_the_baseline(open_study: Open) -> None:
    study = open_study()
    found, baseline = study.evaluate(Plan()), study.baseline()
    assert found.metric == found.metric_fp32 == baseline.metric
    assert found.agreement == 1.0
    assert found.sqnr_db > 100


def test_a_dynamic_plan_and_its_baseline_run_sample_by_sample(open_study: Open) -> None:
    study = open_study()
    plan = preset_plan(study.graph, "int8-dynamic")
    found = study.evaluate(plan)
    assert found.metric_fp32 == study.baseline(dynamic=True).metric
    assert found.sqnr_db > 20


def test_activations_need_calibration(open_study: Open) -> None:
    study = open_study(calibration="none")
    for name in ("int8", "w4a8"):
        with pytest.raises(PlanError, match="calibration"):
            study.evaluate(preset_plan(study.graph, name))
    corrected = preset_plan(study.graph, "int8-weights").with_bias_correction()
    with pytest.raises(PlanError, match="calibration"):
        study.evaluate(corrected)
    assert study.evaluate(preset_plan(study.graph, "int8-dynamic")).agreement is not None
    assert {key.part for key in study.cells(["int8"])} == {"weights"}


def test_a_study_without_data_can_be_inspected_and_exported(tmp_path: Path) -> None:
    study = Study.open("sample:digits-cnn", store=Store(tmp_path))
    assert not study.has_data
    assert study.inspect()["layers"]
    assert study.export(preset_plan(study.graph, "int8-weights"), tmp_path / "q.onnx")["bytes"] > 0
    with pytest.raises(DataError, match="--data"):
        study.evaluate(preset_plan(study.graph, "int8-weights"))


def test_a_place_that_cannot_be_written_is_one_plain_sentence(open_study: Open, tmp_path: Path) -> None:
    study = open_study()
    with pytest.raises(ModelError, match="cannot be written"):
        study.export(preset_plan(study.graph, "fp16"), tmp_path / "no" / "such" / "q.onnx")


def test_unknown_formats_name_themselves(open_study: Open) -> None:
    study = open_study()
    with pytest.raises(FormatError, match="'int9'"):
        study.cells(["int8", "int9"])
    with pytest.raises(FormatError, match="fp32"):
        study.cells(["fp32"])


def test_bias_correction_helps_where_weights_are_coarse(open_study: Open) -> None:
    study = open_study()
    scheme = Scheme("int4", "tensor", True, "minmax")
    plan = Plan("coarse", {x.name: Precision(scheme) for x in study.graph.quantizable})
    plain, corrected = study.evaluate(plan), study.evaluate(plan.with_bias_correction())
    assert corrected.sqnr_db > plain.sqnr_db + 1


def test_two_studies_on_one_store_see_each_others_numbers(open_study: Open) -> None:
    first, second = open_study(), open_study()
    plan = preset_plan(first.graph, "fp16")
    assert second.known(plan) is None
    first.evaluate(plan)
    assert second.known(plan) is not None


@pytest.mark.parametrize(("given", "evaluation", "calibration"), [("40", 560, 40), (None, 600, 200)])
def test_samples_are_split_as_asked(given: str | None, evaluation: int, calibration: int) -> None:
    sample = get_sample("digits-cnn")
    opened = open_samples("sample:digits-cnn", inputs_of(read_model(sample.model).model), given)
    assert opened.calibration is not None
    assert (len(opened.evaluation), len(opened.calibration)) == (evaluation, calibration)
