"""The ways to open a model: what was asked for survives a reload, and what fails changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts.state import State
from quant_core.errors import ModelError
from quant_core.study import (
    HubModel,
    Source,
    keep_upload,
    load_session,
    new_session_id,
    open_guarded,
    work,
)
from tests.pages.sessions import said

Run = Callable[..., AppTest]
Start = Callable[[], AppTest]

START = "pages/explore/start.py"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PINNED = f"hf:someone/digits@{COMMIT}:onnx/model.onnx"


def field(test: AppTest, label: str):  # type: ignore[no-untyped-def]
    """The field called `label`; of several, the one of the path form or of the hub's."""
    return [f for f in (*test.text_input, *test.checkbox, *test.selectbox) if f.label == label][-1]


def press(test: AppTest, label: str) -> None:
    next(b for b in test.button if b.label == label and b.form_id).click()  # samples have an Open too
    test.run()
    assert not test.exception, test.exception


def source_of(test: AppTest) -> Source:
    return test.session_state["quantscope"].source


def bundled(repo: Path, name: str) -> Path:
    return repo / "assets" / "samples" / name / "model.onnx"


@pytest.fixture(scope="module")
def opened(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the models of this file were opened once."""
    folder = tmp_path_factory.mktemp("opened")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTSCOPE_HOME", str(folder))
        for name in ("digits-mobile", "digits-cnn"):
            open_guarded(Source(str(bundled(repo, name)), None))
    return folder


@pytest.fixture(autouse=True)
def home(opened: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that home for each test."""
    folder = shutil.copytree(opened, tmp_path / "home")
    monkeypatch.setenv("QUANTSCOPE_HOME", str(folder))
    return folder


@pytest.fixture
def model(repo: Path) -> Path:
    return bundled(repo, "digits-cnn")


@pytest.fixture
def start(run: Run, repo: Path) -> Callable[[], AppTest]:
    """Start with a model that measures nothing by itself."""
    first = Source(str(bundled(repo, "digits-mobile")), None)

    def go() -> AppTest:
        state = State(new_session_id(), first)
        state.save()
        return run(START, study=state.id)

    return go


@pytest.mark.slow
def test_a_folder_with_one_model_opens_it_without_data(start: Start, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "exported"
    folder.mkdir()
    shutil.copy(model, folder / "digits.onnx")
    test = start()
    field(test, "Model").set_value(str(folder))
    field(test, "Sizes of free dimensions").set_value("batch=1")
    press(test, "Open")
    assert source_of(test) == Source(str(folder), None, sizes="batch=1")
    assert "digits" in test.subheader[0].value


def test_a_folder_with_several_models_names_them(start: Start, model: Path, tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        shutil.copy(model, tmp_path / name)
    test = start()
    field(test, "Model").set_value(str(tmp_path))
    press(test, "Open")
    assert "a.onnx, b.onnx" in said(test)
    assert source_of(test).data is None and "digits-mobile" in source_of(test).model
    test.run()
    assert "a.onnx, b.onnx" in said(test), "the sentence stays until something else is opened"


def test_a_model_of_the_hub_is_fetched_by_a_job_and_opens(
    start: Start, home: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetch(reference: str, tick: Callable[..., None]) -> str:
        asked.append(reference)
        tick(10, 20, "Fetching model.onnx")
        target = home / "hub" / "someone--digits" / COMMIT / "onnx" / "model.onnx"
        target.parent.mkdir(parents=True)
        shutil.copy(model, target)
        return PINNED

    monkeypatch.setattr(work, "fetch", fetch)
    test = start()
    assert asked == []
    field(test, "Model of the hub").set_value("https://huggingface.co/someone/digits")
    field(test, "Revision").set_value("main")
    press(test, "Fetch and open")
    test.run()
    assert asked == ["hf:someone/digits@main"]
    assert source_of(test) == Source(PINNED, None)
    assert "No data is open" in said(test)


def test_a_hub_that_does_not_answer_is_one_sentence(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(reference: str, tick: Callable[..., None]) -> str:
        raise ModelError("the Hugging Face hub does not answer", "check the network, or give a path")

    monkeypatch.setattr(work, "fetch", fetch)
    test = start()
    field(test, "Model of the hub").set_value("someone/digits")
    press(test, "Fetch and open")
    assert "hub does not answer" in said(test)
    assert source_of(test).data is None and "digits-mobile" in source_of(test).model


@pytest.mark.parametrize("given", ["", "digits", "a/b/c:../x"])
def test_what_names_no_model_of_the_hub_asks_nobody(
    start: Start, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "fetch", lambda *_: pytest.fail("the network was asked"))
    test = start()
    field(test, "Model of the hub").set_value(given)
    press(test, "Fetch and open")
    assert test.warning
    assert source_of(test).data is None and "digits-mobile" in source_of(test).model


@pytest.mark.slow
def test_a_reload_in_the_middle_of_opening_goes_on(run: Run, model: Path) -> None:
    state = State(new_session_id(), Source(str(model), None, samples=5))
    state.begin(Source(str(model), None))
    test = run(START, study=state.id)
    assert source_of(test) == Source(str(model), None)
    again = run(START, study=state.id)
    assert source_of(again).samples == 5, "the link of before has what it had"


def test_another_page_goes_on_opening_too(run: Run, model: Path) -> None:
    state = State(new_session_id(), Source(str(model), None, samples=5))
    state.begin(Source(str(model), None))
    test = run("pages/explore/weights.py", study=state.id)
    assert source_of(test) == Source(str(model), None)


def test_a_second_model_takes_the_place_of_one_that_is_still_opening(run: Run, model: Path) -> None:
    state = State(new_session_id(), Source(str(model), None))
    state.begin(Source("first.onnx", None))
    state.begin(Source(str(model), None))
    assert "'first.onnx' was still being opened" in state.notice
    assert source_of(run(START, study=state.id)).model == str(model)


def test_made_up_inputs_calibrate_where_they_are_wanted(start: Start, model: Path) -> None:
    test = start()
    field(test, "Model").set_value(str(model))
    [box for box in test.checkbox if box.label == "Calibrate on made-up inputs"][1].check()
    press(test, "Open")
    assert source_of(test) == Source(str(model), None, "generated")


def test_a_reference_of_the_hub_is_put_together() -> None:
    assert str(HubModel("a/b", "main", "x.onnx")) == "hf:a/b@main:x.onnx"


def test_the_users_data_is_deleted_once_that_is_confirmed(
    start: Start, home: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = keep_upload("mine.onnx", model.read_bytes())
    monkeypatch.setattr("pages.parts.workspace.Source", lambda: Source(str(model), None))
    test = start()
    before = test.session_state["quantscope"].id
    assert str(home) in said(test)
    test.button(key="delete-data").click()
    test.run()
    assert not test.exception, test.exception
    assert not upload.exists()
    assert load_session(before) is None
    assert "Your data was deleted" in said(test)
