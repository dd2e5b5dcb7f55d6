"""Integer arithmetic: the numbers are those that were measured, and a place that is chosen is followed."""

from __future__ import annotations

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from quant_core.study import INTEGER_WEIGHTS, Study, follow, known_integers

PAGE = "pages/explore/arithmetic.py"
SAMPLE = "sample:digits-mobile"

Run = Callable[..., AppTest]


def metrics(test: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in test.metric}


def test_what_is_shown_was_measured(run: Run) -> None:
    test = run(PAGE)
    study = Study.open(SAMPLE, SAMPLE)
    layer = study.graph.quantizable[0]
    known = known_integers(study, layer, INTEGER_WEIGHTS[0])
    assert known is not None
    shown = metrics(test)
    assert shown["As ONNX Runtime"] == "100 %"
    assert shown["Bits of the sums"] == f"{known.bits} of 32"
    assert shown["Fixed point differs"] == f"{known.found.fixed_differ:,}"


def test_a_place_that_is_chosen_is_followed(run: Run) -> None:
    test = run(PAGE)
    for label, value in (("Output channel", 3), ("Place in the output", 17)):
        next(field for field in test.number_input if field.label == label).set_value(value)
        test.run()
        assert not test.exception
    study = Study.open(SAMPLE, SAMPLE)
    layer = study.graph.quantizable[0]
    known = known_integers(study, layer, INTEGER_WEIGHTS[0])
    assert known is not None
    expected = {step.name: step.value for step in follow(layer, known, 17, 3).steps}
    table = next(frame.value for frame in test.dataframe if "Accumulator" in set(frame.value["step"]))
    values = dict(zip(table["step"], table["value"], strict=True))
    assert values["Accumulator"] == f"{expected['Accumulator']:,.0f}"
    assert values["Output code"] == f"{expected['Output code']:,.0f}"


def test_weights_with_a_zero_point_show_all_four_terms(run: Run) -> None:
    test = run(PAGE)
    test.segmented_control[0].set_value(2)
    test.run()
    assert not test.exception
    assert test.session_state["quantscope"].view.integers == 2
    steps = set(test.dataframe[0].value["step"])
    assert {"Less the weights' zero point", "Plus both zero points"} <= steps


def test_the_next_layer_starts_at_a_place_it_has(run: Run) -> None:
    test = run(PAGE)
    next(f for f in test.number_input if f.label == "Output channel").set_value(15)
    test.run()
    next(b for b in test.button if b.label == "Next").click()
    test.run()
    assert not test.exception
    assert test.session_state["quantscope"].view.channel is None
    assert metrics(test)["As ONNX Runtime"] == "100 %"
