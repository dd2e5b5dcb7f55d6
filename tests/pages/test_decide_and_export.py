"""Sensitivity, Mixed precision and Export without a browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from streamlit.testing.v1 import AppTest

from quant_core.plan import preset_plan
from quant_core.study import Source, desk_cells, work
from tests.pages.sessions import kept, said

Run = Callable[..., AppTest]

SOURCE = Source("sample:digits-cnn", "sample:digits-cnn", samples=32)
SENSITIVITY = "pages/decide/sensitivity.py"
DESK = "pages/decide/mixed_precision.py"
EXPORT = "pages/prove/export.py"


def test_a_sample_is_swept_without_being_asked_and_the_worst_are_explained(run: Run) -> None:
    test = run(SENSITIVITY, study=kept(SOURCE))
    test.run()
    assert not test.exception
    assert "cells are measured" in said(test)
    assert "The ten worst" in said(test)
    assert "it is the first layer" in said(test) or "it is the last layer" in said(test)


def test_an_own_model_is_swept_when_asked(run: Run, repo: Path, tmp_path: Path) -> None:
    sample = repo / "assets" / "samples" / "digits-cnn"
    source = Source(str(sample / "model.onnx"), str(sample / "evaluation.npz"), None, None, 16)
    test = run(SENSITIVITY, study=kept(source))
    button = next(b for b in test.button if b.label.startswith("Measure "))
    assert "The ten worst" not in said(test)
    button.click()
    test.run()
    test.run()
    assert not test.exception
    assert "The ten worst" in said(test)
    assert not [b for b in test.button if b.label.startswith("Measure ")]


def test_the_export_page_measures_the_very_file(run: Run) -> None:
    test = run(EXPORT, study=kept(SOURCE, "int8"))
    test.run()
    assert not test.exception
    study = SOURCE.open()
    plan = preset_plan(study.graph, "int8")
    table = next(frame.value for frame in test.dataframe if "execution" in frame.value)
    for execution in ("simulated", "shipped"):
        row = table[table["execution"] == execution].iloc[0]
        evaluation = study.evaluate(plan, execution)
        assert np.isclose(row["sqnr_db"], evaluation.sqnr_db)
        assert np.isclose(row["quality"], 100 * (evaluation.metric or 0))
    assert f"{study.bytes_of(plan):,} bytes" in said(test)
    command = test.code[0].value
    assert command.startswith("python -m quant_core export sample:digits-cnn --data sample:digits-cnn")


def test_without_a_quantized_layer_the_export_page_says_what_to_do(run: Run) -> None:
    test = run(EXPORT, study=kept(SOURCE))
    assert "Nothing is quantized yet" in said(test)
    assert not test.dataframe


def test_without_data_pages_say_so_and_go_on(run: Run) -> None:
    study = kept(replace(SOURCE, data=None, samples=None))
    for page in (SENSITIVITY, DESK, EXPORT):
        test = run(page, study=study)
        assert not test.exception
    assert "No data is open" in said(run(SENSITIVITY, study=study))


def test_a_job_that_fails_is_shown_with_a_way_on(run: Run, repo: Path, tmp_path: Path) -> None:
    sample = repo / "assets" / "samples" / "digits-cnn"
    data = tmp_path / "data.npz"
    data.write_bytes((sample / "evaluation.npz").read_bytes())
    source = Source(str(sample / "model.onnx"), str(data), None, None, 16)
    study = kept(source, "int8-weights")
    moved = tmp_path / "moved.npz"
    open_study = work._study

    def gone(source: Source, stamps: tuple[float, ...]) -> object:
        data.rename(moved)
        try:
            return open_study(source, stamps)
        finally:
            moved.rename(data)

    work._study = gone  # type: ignore[assignment]
    try:
        test = run(EXPORT, study=study)
        test.run()
    finally:
        work._study = open_study
    assert not test.exception
    assert "There is no data file" in said(test)
    labels = [b.label for b in test.button]
    assert "Try again" in labels
    assert "Dismiss" in labels


def test_a_preset_of_the_desk_is_the_plan_and_can_be_undone(run: Run) -> None:
    test = run(DESK, study=kept(SOURCE))
    next(b for b in test.button if b.label == "int8-weights").click()
    test.run()
    assert not test.exception
    state = test.session_state["quantscope"]
    assert state.plan.name == "int8-weights"
    assert state.plan.key in state.measured
    next(b for b in test.button if b.label == "Undo").click()
    test.run()
    assert not test.session_state["quantscope"].plan.quantized


def test_a_format_that_is_added_gets_a_column_and_its_cells(run: Run) -> None:
    for page in (DESK, SENSITIVITY):
        test = run(page, study=kept(SOURCE))
        box = next(m for m in test.multiselect if m.label == "More formats for weights")
        assert "nf4" in box.options or "nf4" in str(box.options)
        box.set_value(["nf4", "mxfp4"])
        test.run()
        assert not test.exception
        state = test.session_state["quantscope"]
        assert state.view.more == ("weights:nf4", "weights:mxfp4")
        study = SOURCE.open()
        keys = desk_cells(study, "weights", state.view.more)
        assert {"nf4", "mxfp4"} <= {key.format for key in keys}
        assert len(study.known_cells(keys)) == len(keys)
        assert "cells are measured" in said(test)
