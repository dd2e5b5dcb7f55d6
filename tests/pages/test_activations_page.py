"""The Activations page: what it shows of a layer, and how it takes what cannot be shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import measuring
from pages.parts.state import State
from quant_core.formats import Scheme
from quant_core.study import Source, Study, load_session, new_session_id, scheme_losses
from tests.models import tied_language_model

PAGE = "pages/explore/activations.py"
Run = Callable[..., AppTest]


def box(test: AppTest, label: str) -> Any:
    return next(x for x in (*test.selectbox, *test.toggle) if x.label == label)


def ratio(test: AppTest) -> str:
    return next(m.value for m in test.metric if m.label == "SQNR")


def test_formats_and_ranges_change_what_is_shown(run: Run) -> None:
    test = run(PAGE, layer="block3.project")
    seen = {ratio(test)}
    for label, value in (("Format", "uint4"), ("Range", "mse"), ("Symmetric", True), ("Format", "int16")):
        box(test, label).set_value(value)
        test.run()
        assert not test.exception
        seen.add(ratio(test))
    assert len(seen) == 5
    view = test.session_state["quantscope"].view
    assert (view.overlay, view.range, view.symmetric) == ("int16", "mse", True)


def test_the_table_of_formats_is_that_of_the_histogram(run: Run) -> None:
    test = run(PAGE, layer="block3.project")
    study = Study.open("sample:digits-mobile", "sample:digits-mobile")
    expected = scheme_losses(study.ranges, study.graph.layer("block3.project"))
    clips, table, *_ = (frame.value for frame in test.dataframe)
    assert table["sqnr_db"].tolist() == pytest.approx(expected["sqnr_db"].tolist())
    assert set(table["symmetric"]) == {"Yes", "No", "–"}
    assert "Least MSE" in set(clips["range"])
    assert list(clips["shown"]).count("In view") == 1
    said = " ".join(c.value for c in test.caption)
    assert f"From {study.calibration_samples} calibration samples; bins of width" in said


def test_settling_is_measured_on_request_and_says_what_is_enough(run: Run) -> None:
    test = run(PAGE, layer="block3.project")
    next(b for b in test.button if b.label == "Measure").click()
    test.run()
    assert not test.exception
    assert not any(b.label == "Measure" for b in test.button)
    said = " ".join(c.value for c in (*test.caption, *test.warning))
    assert "Min-max" in said and "samples" in said
    assert "On held-out samples the range of calibration gives" in said
    study = Study.open("sample:digits-mobile", "sample:digits-mobile")
    top = study.ranges.histograms[study.graph.layer("block3.project").input or ""].extremes.top
    shown = next(f.value for f in test.dataframe if "largest" in f.value)
    assert shown["sample"].tolist() == [number for _, number in top]


@pytest.mark.parametrize("name", ["fp8_e4m3", "fp8_e5m2"])
def test_minifloats_are_drawn_on_activations(run: Run, name: str) -> None:
    test = run(PAGE, layer="block3.project", overlay=name)
    assert box(test, "Format").value == name
    assert not any(t.label == "Symmetric" for t in test.toggle)


def test_the_overlay_of_the_link_is_drawn_and_kept(run: Run) -> None:
    test = run(PAGE, layer="block3.project", overlay="uint4")
    assert box(test, "Format").value == "uint4"
    record = load_session(test.session_state["quantscope"].id)
    assert record is not None and record["view"]["overlay"] == "uint4"


def test_a_float_overlay_is_not_drawn_on_activations(run: Run) -> None:
    test = run(PAGE, layer="block3.project", overlay="fp16")
    assert box(test, "Format").value == ""
    assert box(test, "Format").format_func("") == "Default: uint8"


def test_the_scheme_in_view_goes_into_the_plan(run: Run) -> None:
    test = run(PAGE, layer="block3.project", overlay="uint4")
    box(test, "Range").set_value("mse")
    test.run()
    next(b for b in test.button if b.label.startswith("Use this format")).click()
    test.run()
    assert not test.exception
    state = test.session_state["quantscope"]
    assert state.plan["block3.project"].activations == Scheme("uint4", "tensor", True, "mse")
    assert next(b for b in test.button if b.label.startswith("Use this format")).disabled


def test_without_calibration_samples_the_page_says_what_to_do(run: Run) -> None:
    state = State(new_session_id(), Source(data=None))
    state.save()
    test = run(PAGE, study=state.id)
    assert any("none are open" in box.value for box in test.info)
    assert not test.metric


def test_while_the_ranges_are_measured_nothing_is_measured_here(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[object] = []
    monkeypatch.setattr(measuring, "_ask", lambda *_: None)
    monkeypatch.setattr(Study, "has_ranges", False)
    monkeypatch.setattr(Study, "calibrate", lambda *given: measured.append(given))
    test = run(PAGE)
    assert any("Calibrating" in box.value for box in test.info)
    assert not test.metric
    assert measured == []


def test_indices_have_nothing_to_quantize(run: Run, tmp_path: Path) -> None:
    onnx.save(tied_language_model(), tmp_path / "model.onnx")
    ids = np.random.default_rng(0).integers(0, 12, (40, 6))
    np.savez(tmp_path / "data.npz", ids=ids)
    state = State(new_session_id(), Source(str(tmp_path / "model.onnx"), str(tmp_path / "data.npz")))
    state.save()
    test = run(PAGE, study=state.id, layer="embedding")
    assert any("its input holds indices" in box.value for box in test.info)
    assert not test.metric
    box(test, "Layer").set_value("head")
    test.run()
    assert not test.exception
    assert test.metric
