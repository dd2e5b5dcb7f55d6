"""The Compare page: measured plans side by side."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts.state import COMPARED, State
from quant_core.plan import Plan, preset_plan
from quant_core.study import Study, choose_scheme, load_session, new_session_id

PAGE = "pages/decide/compare.py"
SAMPLE = "sample:digits-mobile"
Run = Callable[..., AppTest]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home for each test: the page lists every plan that was measured."""
    monkeypatch.setenv("QUANTSCOPE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def study(home: Path) -> Study:
    return Study.open(SAMPLE, SAMPLE)


def session(study: Study, *plans: Plan) -> State:
    state = State(new_session_id())
    for plan in plans:
        state.keep(plan, study.evaluate(plan))
    state.save()
    return state


def tables(test: AppTest) -> list[str]:
    """The tables as text, a cell a line."""
    found = [e.proto.body for e in test.get("html") if "qs-compare" in e.proto.body]
    return [re.sub(r"<[^>]+>", "\n", body.partition("</style>")[2]) for body in found]


def test_with_one_plan_the_page_says_what_to_do(run: Run) -> None:
    test = run(PAGE)
    assert any("two are needed" in x.value for x in test.info)
    assert not test.multiselect


def test_what_differs_is_shown_and_what_does_not_is_counted(run: Run, study: Study) -> None:
    whole = preset_plan(study.graph, "int8-weights")
    less, _ = choose_scheme(study, whole, "head", "weights", None)
    state = session(study, whole, replace(less, name="<i>mine</i>"))
    state.compared = [whole.key, less.key]
    state.save()
    test = run(PAGE, study=state.id)
    numbers, layers = tables(test)
    assert f"{study.evaluate(whole).metric * 100:.1f} %" in numbers
    assert numbers.count("best") >= 1
    assert "&lt;i&gt;mine&lt;/i&gt;" in numbers  # a name from a file is text
    assert "head" in layers and "stem" not in layers
    assert "W int8" in layers and "W fp32" in layers and "A " not in layers
    captions = " ".join(c.value for c in test.caption)
    assert f"{len(study.graph.quantizable) - 1} layers are the same" in captions
    assert "within the noise" in captions


def test_one_that_is_removed_stays_measured(run: Run, study: Study) -> None:
    plans = [preset_plan(study.graph, name) for name in ("int8-weights", "fp16", "int4-weights")]
    state = session(study, *plans)
    state.compared = [plan.key for plan in plans]
    state.save()
    test = run(PAGE, study=state.id)
    test.multiselect[0].unselect(plans[0].key)
    test.run()
    assert not test.exception
    record = load_session(state.id)
    assert record is not None
    assert record["compared"] == [plan.key for plan in plans[1:]]
    assert plans[0].key in test.session_state["quantscope"].measured
    assert "int8-weights" not in tables(test)[0]
    test.multiselect[0].unselect(plans[1].key)
    test.run()
    assert any("second plan" in x.value for x in test.info)


def test_a_plan_is_loaded(run: Run, study: Study) -> None:
    plans = [preset_plan(study.graph, name) for name in ("int8-weights", "fp16")]
    state = session(study, *plans)
    test = run(PAGE, study=state.id)
    assert test.button(key=f"load-{plans[0].key}").label == "Load int8\\-weights"
    test.button(key=f"load-{plans[1].key}").click()
    test.run()
    assert not test.exception
    assert test.session_state["quantscope"].plan == plans[1]
    assert test.button(key=f"load-{plans[1].key}").disabled


def test_no_more_than_four_are_shown_and_unknown_keys_are_left_out(run: Run, study: Study) -> None:
    whole = preset_plan(study.graph, "int8-weights")
    names = [layer.name for layer in study.graph.quantizable[:5]]
    plans = [choose_scheme(study, whole, name, "weights", None)[0] for name in names]
    state = session(study, *plans)
    state.compared = ["gone", *(plan.key for plan in plans)]
    state.save()
    test = run(PAGE, study=state.id)
    assert test.multiselect[0].value == [plan.key for plan in plans[:COMPARED]]
    head = tables(test)[0]
    assert [f"custom ({n})" in head for n in (2, 3, 4, 5)] == [True, True, True, False]
