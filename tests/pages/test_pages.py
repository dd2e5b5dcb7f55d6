"""The pages run without a browser: what they show, and how they take bad input."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from quant_core.plan import preset_plan
from quant_core.study import Study, load_session
from tests.conftest import HOME

ROUTER = "pages/parts/router.py"
WEIGHTS = "pages/explore/weights.py"

Run = Callable[..., AppTest]


@pytest.fixture
def home(visited: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `visited` for each test: only sessions and jobs are fresh."""
    folder = tmp_path / "home"
    shutil.copytree(visited, folder)
    monkeypatch.setenv(HOME, str(folder))
    return folder


def test_start_shows_what_every_preset_costs(run: Run) -> None:
    test = run(ROUTER)
    table = test.dataframe[0].value
    assert {"int8", "int8-tensor", "int4-weights"} <= set(table["preset"])
    study = Study.open("sample:digits-mobile", "sample:digits-mobile")
    plan = preset_plan(study.graph, "int8")
    row = table[table["preset"] == "int8"].iloc[0]
    assert row["bytes"] == len(study.lowered(plan))
    assert row["metric"] == pytest.approx(100 * (study.evaluate(plan).metric or 0))


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        ("", "", "No model is named"),
        ("missing.onnx", "", "There is no model file"),
        ("README.md", "", "is not a readable ONNX file"),
        ("assets/samples/digits-cnn/model.onnx", "missing.npz", "There is no data file"),
        ("assets/samples/digits-cnn/model.onnx", "README.md", "is no kind of data"),
    ],
)
def test_bad_input_is_one_sentence_and_the_study_stays(
    run: Run, repo: Path, model: str, data: str, said: str
) -> None:
    test = run(ROUTER)
    fields = {field.label: field for field in test.text_input}
    fields["Model"].set_value(str(repo / model) if model else "")
    fields["Data"].set_value(str(repo / data) if data else "")
    next(b for b in test.button if b.label == "Open" and b.form_id).click()
    test.run()
    assert not test.exception
    assert any(said in box.value.replace("\\", "") for box in test.warning), [b.value for b in test.warning]
    assert test.session_state["quantscope"].source.is_sample


def test_weights_page_draws_the_grid_of_every_format(run: Run) -> None:
    test = run(WEIGHTS)
    formats = next(box for box in test.selectbox if box.label == "Format")
    seen = set()
    for name in ("int2", "int8", "fp16"):
        formats = next(box for box in test.selectbox if box.label == "Format")
        formats.set_value(name)
        test.run()
        assert not test.exception
        seen.add(test.metric[0].value)
    assert len(seen) == 3


def test_what_a_window_has_open_is_kept_under_its_link(run: Run) -> None:
    test = run(WEIGHTS)
    state = test.session_state["quantscope"]
    next(b for b in test.button if b.label == "Next").click()
    test.run()
    record = load_session(state.id)
    assert record is not None
    assert record["layer"] == test.session_state["quantscope"].layer != ""
    again = run(WEIGHTS, study=state.id)
    assert again.session_state["quantscope"].layer == record["layer"]


def test_an_unknown_link_opens_the_default_sample(run: Run) -> None:
    test = run(WEIGHTS, study="nobody-has-this")
    assert test.session_state["quantscope"].source.is_sample
    assert test.session_state["quantscope"].id != "nobody-has-this"
