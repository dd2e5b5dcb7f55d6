"""Models that are not pictures with classes: other metrics, no data, no layers, quantized already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from quant_core.study import Source, keep_check
from tests.pages.sessions import kept, said

Run = Callable[..., AppTest]

START, MODEL, EXPORT = "pages/explore/start.py", "pages/explore/model.py", "pages/prove/export.py"
EVERY = [
    START,
    MODEL,
    EXPORT,
    "pages/explore/weights.py",
    "pages/explore/activations.py",
    "pages/explore/arithmetic.py",
    "pages/decide/sensitivity.py",
    "pages/decide/mixed_precision.py",
    "pages/decide/compare.py",
    "pages/prove/verify.py",
]


@pytest.mark.parametrize("page", EVERY)
def test_a_quantized_file_is_one_calm_sentence_on_every_page(run: Run, models: Path, page: str) -> None:
    source = Source(str(models / "odd" / "keywords_int8_qdq.onnx"), None)
    assert "quantized layers are listed" in said(run(page, study=kept(source)))


def test_the_layers_of_a_quantized_file_are_listed_with_their_scales(run: Run, models: Path) -> None:
    source = Source(str(models / "odd" / "keywords_int8_qdq.onnx"), None)
    tables = [t.value for t in run(MODEL, study=kept(source)).dataframe]
    table = next(t for t in tables if "ours" in t)
    assert len(table) and table["scales"].str.contains(":").any() and (table["ours"] != "").any()


def test_where_the_bytes_are_adds_up_to_the_file(run: Run, models: Path) -> None:
    source = Source(str(models / "stories" / "model.onnx"), None)
    test = run(MODEL, study=kept(source))
    table = next(t.value for t in test.dataframe if "bytes_after" in t.value)
    assert table["bytes"].sum() == (models / "stories" / "model.onnx").stat().st_size
    assert "can be saved without changing" in said(test)


@pytest.mark.parametrize("page", EVERY)
def test_pages_work_without_data_on_made_up_ranges(run: Run, repo: Path, page: str) -> None:
    model = repo / "assets" / "samples" / "digits-cnn" / "model.onnx"
    test = run(page, study=kept(Source(str(model), None, "generated:8"), "int8"))
    if page in (START, EXPORT):
        assert "Made-up ranges" in said(test)
    if page == "pages/explore/activations.py":
        assert "What each range keeps" in said(test)


@pytest.mark.slow
def test_images_with_the_wrong_preprocessing_are_told_a_better_one(
    run: Run, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = models / "resnet20"
    source = Source(str(folder / "model.onnx"), str(folder / "images"), "16", "raw+stretch", 16)
    found = keep_check(source)
    assert found.better == "torchvision"
    test = run(START, study=kept(source))
    assert "Another preprocessing fits better" in said(test)
    button = next(b for b in test.button if b.label.startswith("Open with"))
    button.click()
    test.run()
    assert test.session_state["quantscope"].source.preprocess == "torchvision+stretch"
