"""The Weights page: its controls are those of the window, and a click puts a format into the plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from quant_core.formats import FORMATS, Scheme
from quant_core.plan import Plan
from quant_core.study import Study, channel_errors, choose_scheme, journey, toggle_lock, widest_channel

PAGE = "pages/explore/weights.py"
LAYER = "block3.project"
Run = Callable[..., AppTest]


def box(test: AppTest, label: str) -> Any:
    return next(x for x in (*test.selectbox, *test.toggle) if x.label == label)


def metric(test: AppTest, label: str) -> str:
    return next(m.value for m in test.metric if m.label == label)


def use(test: AppTest) -> Any:
    return next(b for b in test.button if b.label.startswith("Use this format"))


def edit(test: AppTest, change: Callable[[Plan], Plan]) -> None:
    state = test.session_state["quantscope"]
    state.history = [change(state.plan)]
    state.position = 0
    test.run()
    assert not test.exception


@pytest.mark.slow
def test_every_control_is_kept_in_the_window(run: Run) -> None:
    test = run(PAGE, layer=LAYER)
    wanted = {
        "Format": "int4",
        "One scale for each": "tensor",
        "Range": "mse",
        "Symmetric": False,
        "Channel": 3,
    }
    seen = [metric(test, "SQNR")]
    for label, value in wanted.items():
        box(test, label).set_value(value)
        test.run()
        assert not test.exception
        assert box(test, label).value == value
        seen.append(metric(test, "SQNR"))
    assert len(set(seen)) == len(seen)
    state = test.session_state["quantscope"]
    assert state.view.scheme() == Scheme("int4", "tensor", False, "mse")
    again = run(PAGE, study=state.id)
    assert {label: box(again, label).value for label in wanted} == wanted
    assert metric(again, "SQNR") == seen[-1]


def test_without_an_overlay_the_plan_is_drawn_else_int8(run: Run) -> None:
    test = run(PAGE, layer=LAYER)
    assert box(test, "Format").format_func("") == "Default: int8"
    study = Study.open("sample:digits-mobile")
    scheme = Scheme("int4", "group:32", False, "mse")
    edit(test, lambda plan: choose_scheme(study, plan, LAYER, "weights", scheme)[0])
    assert box(test, "Format").format_func("") == "As planned: int4"
    assert box(test, "One scale for each").value == "group:32"
    assert use(test).disabled
    box(test, "Range").set_value("minmax")  # from the plan's scheme, not from the default
    test.run()
    view = test.session_state["quantscope"].view
    assert view.scheme() == Scheme("int4", "group:32", False, "minmax")
    assert not use(test).disabled


def test_the_format_in_view_goes_into_the_plan(run: Run) -> None:
    test = run(PAGE, layer=LAYER, overlay="int4")
    use(test).click()
    test.run()
    assert not test.exception
    state = test.session_state["quantscope"]
    assert state.plan[LAYER].weights == Scheme("int4", "channel", True, "minmax")
    assert set(state.plan.quantized) == {LAYER}
    assert state.can_undo


def test_a_locked_layer_is_left_as_it_was_and_says_so(run: Run) -> None:
    test = run(PAGE, layer=LAYER, overlay="int4")
    edit(test, lambda plan: toggle_lock(plan, LAYER))
    use(test).click()
    test.run()
    assert test.session_state["quantscope"].plan[LAYER].weights is None
    assert any("it is locked" in x.value for x in test.info)


def test_the_table_reads_as_words(run: Run) -> None:
    test = run(PAGE, layer=LAYER)
    table = test.dataframe[0].value
    assert set(table["symmetric"]) == {"Yes", "No", "–"}
    assert {"Output channel", "Tensor", "–"} <= set(table["granularity"])
    assert "Least MSE" in set(table["range"])
    row = table[table["shown"] == "In view"]
    assert row[["format", "granularity"]].values.tolist() == [["int8", "Output channel"]]


def test_channels_are_sorted_by_what_they_cost(run: Run) -> None:
    test = run(PAGE, layer=LAYER, overlay="int4")
    study = Study.open("sample:digits-mobile")
    expected = channel_errors(study, study.graph.layer(LAYER), Scheme("int4", "channel"))
    assert test.dataframe[1].value["channel"].tolist() == expected["channel"].tolist()
    box(test, "Costliest first").set_value(True)
    test.run()
    table = test.dataframe[1].value
    order = expected.sort_values("share", ascending=False, kind="stable")
    assert table["channel"].tolist() == order["channel"].tolist() != expected["channel"].tolist()
    assert table["share"].sum() == pytest.approx(100)
    marked = table.loc[table["outlier"] == "Yes", "channel"].tolist()
    assert sorted(marked) == expected.loc[expected["outlier"], "channel"].tolist() != []


@pytest.mark.parametrize(
    "name", ["bf16", "fp8_e4m3", "int6", "ternary", "binary", "nf4", "nvfp4", "codebook4"]
)
def test_every_format_is_drawn_with_the_controls_it_has(run: Run, name: str) -> None:
    test = run(PAGE, layer=LAYER, overlay=name)
    number = FORMATS[name]
    labels = {x.label for x in (*test.selectbox, *test.toggle)}
    assert ("Symmetric" in labels) == number.has_zero_point
    assert ("Range" in labels) == number.has_range
    assert ("Table by" in labels) == (number.kind == "codebook")
    assert ("One scale for each" in labels) == (number.has_granularity and number.kind != "codebook")
    assert any(number.facts in c.value for c in test.caption)
    study = Study.open("sample:digits-mobile", "sample:digits-mobile")
    layer = study.graph.layer(LAYER)
    assert metric(test, "Levels used").endswith(f"of {number.levels or 1 << number.bits:,}")
    codes = next(f.value for f in test.dataframe if "bits" in f.value)
    steps = next(f.value for f in test.dataframe if "step" in f.value)
    scheme = test.session_state["quantscope"].view.scheme()
    channel = widest_channel(study, layer)[0]
    expected = [f"{s.value:.7g}" for s in journey(study, layer, scheme, channel, 0)]
    assert steps["value"].tolist() == expected
    assert codes["quantized"][0] == journey(study, layer, scheme, channel, 0)[-2].value


def test_a_control_that_does_not_fit_the_next_format_is_replaced(run: Run) -> None:
    test = run(PAGE, layer=LAYER, overlay="int4")
    for label, value in (("One scale for each", "group:32"), ("Format", "codebook4")):
        box(test, label).set_value(value)
        test.run()
        assert not test.exception
    assert test.session_state["quantscope"].view.scheme() == Scheme("codebook4")
    box(test, "One table for each").set_value("channels:16")
    test.run()
    box(test, "Format").set_value("int8")
    test.run()
    assert not test.exception
    assert test.session_state["quantscope"].view.scheme() == Scheme("int8", "channel")
