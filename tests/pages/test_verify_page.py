"""Verify without a browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from quant_core.plan import preset_plan
from quant_core.study import Source, known_certificate
from tests.pages.sessions import kept, said

Run = Callable[..., AppTest]

SOURCE = Source("sample:digits-cnn", "sample:digits-cnn", samples=32)
VERIFY = "pages/prove/verify.py"


def shown(run: Run, source: Source, preset: str | None) -> AppTest:
    """The page when all it asked for is measured."""
    test = run(VERIFY, study=kept(source, preset))
    test.run()
    assert not test.exception
    return test


def test_the_file_is_certified_and_the_page_says_what_was_found(run: Run) -> None:
    test = shown(run, SOURCE, "int8")
    study = SOURCE.open()
    found = known_certificate(study, preset_plan(study.graph, "int8"))
    assert found is not None
    assert f"{found.bytes:,} bytes" in said(test)
    assert found.sha256 in said(test)
    labels = [m.label for m in test.metric]
    assert labels == ["Top-1 of the file", "Top-1 of FP32", "Change", "Agreement", "SQNR"]
    ledger = next(frame.value for frame in test.dataframe if "pair" in frame.value)
    assert list(ledger["pair"]) == ["FP32 → simulated", "FP32 → shipped", "simulated → shipped"]
    assert "Most error enters at" in said(test)
    assert "Peak memory of a fresh process" in said(test)
    assert "Peak of the activations" in said(test)


def test_changed_decisions_are_listed(run: Run) -> None:
    test = shown(run, replace(SOURCE, samples=None), "int4-weights")
    study = replace(SOURCE, samples=None).open()
    found = known_certificate(study, preset_plan(study.graph, "int4-weights"))
    assert found is not None
    if found.flips:
        table = next(frame.value for frame in test.dataframe if "shipped" in frame.value)
        assert list(table["sample"]) == [flip.sample for flip in found.flips]
    else:
        assert "decides as FP32 does" in said(test)


def test_a_second_visit_measures_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shown(run, SOURCE, "int8")
    monkeypatch.setattr("pages.parts.measuring._ask", lambda *_: pytest.fail("it was asked again"))
    assert "Where error enters" in said(run(VERIFY, study=kept(SOURCE, "int8")))


def test_of_fp32_there_is_nothing_to_certify(run: Run) -> None:
    test = shown(run, SOURCE, None)
    assert "Nothing is quantized yet" in said(test)
    assert not test.dataframe
    assert not test.metric


def test_without_data_one_sentence_says_so(run: Run) -> None:
    test = shown(run, replace(SOURCE, data=None, samples=None), "int8-weights")
    assert "No data is open" in said(test)
    assert "Peak of the activations" in said(test)
    assert not test.dataframe


def test_a_plan_that_needs_calibration_says_so_without_it(run: Run) -> None:
    test = shown(run, replace(SOURCE, data=None, samples=None), "int8")
    assert "no calibration samples" in said(test)


def test_without_labels_and_with_other_tasks_there_is_no_less_than_can_be(run: Run) -> None:
    anomaly = Source("sample:sensor-anomaly", "sample:sensor-anomaly", samples=32)
    test = shown(run, anomaly, "int8")
    assert [m.label for m in test.metric] == ["ROC AUC of the file", "ROC AUC of FP32", "SQNR"]
    assert "Decisions that changed" not in said(test)


def test_weights_alone_have_no_codes_between_layers(run: Run) -> None:
    test = shown(run, SOURCE, "int8-weights")
    assert "codes that enter layers" not in said(test)
    assert "Where error enters" in said(test)


@pytest.mark.slow
def test_samples_without_labels_still_have_decisions(run: Run, repo: Path, tmp_path: Path) -> None:
    import numpy as np

    sample = repo / "assets" / "samples" / "digits-cnn"
    with np.load(sample / "evaluation.npz") as file:
        np.savez(tmp_path / "plain.npz", **{n: file[n] for n in file.files if n != "labels"})
    source = Source(str(sample / "model.onnx"), str(tmp_path / "plain.npz"), samples=24)
    test = shown(run, source, "int8")
    assert [m.label for m in test.metric] == ["Agreement", "SQNR"]
    assert "Decisions that changed" in said(test)


def test_a_part_that_fails_leaves_what_was_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from quant_core.errors import ModelError

    def broken(*_: object, **__: object) -> None:
        raise ModelError("the layers cannot be watched", "try again")

    monkeypatch.setattr("quant_core.study.certify.layer_errors", broken)
    test = shown(run, SOURCE, "int8-tensor")
    assert "Not measured." in said(test)
    assert "The layers cannot be watched" in said(test)
    assert test.metric[0].label == "Top-1 of the file"
    assert "Try again" in [b.label for b in test.button]
