"""The model of latency: timed once, it predicts every plan of these precisions, and no others."""

from __future__ import annotations

import pytest

from quant_core.engine import Times
from quant_core.plan import Plan, Precision, preset_plan
from quant_core.study import Study, costs, measure_costs, predicted_latency, unmeasured_kernels


@pytest.fixture
def study() -> Study:
    return Study.open("sample:digits-cnn", "sample:digits-cnn", samples=16)


def test_what_was_timed_is_not_timed_again(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = preset_plan(study.graph, "int8")
    assert set(unmeasured_kernels(study, plan)) == {"int8 x uint8"}
    assert predicted_latency(study, plan) is None
    measure_costs(study, plan)
    again = Study.open("sample:digits-cnn", "sample:digits-cnn", samples=16)
    assert unmeasured_kernels(again, plan) == {}
    found = predicted_latency(again, plan)
    assert found is not None and 0.1 < found < 10.0
    monkeypatch.setattr(costs, "layer_times", lambda *_: pytest.fail("it was timed again"))
    measure_costs(again, plan)
    assert predicted_latency(again, preset_plan(study.graph, "w8a16")) is None


def test_weights_alone_run_in_float(study: Study) -> None:
    plan = preset_plan(study.graph, "int4-weights")
    assert unmeasured_kernels(study, plan) == {}
    assert predicted_latency(study, plan) == 1.0


def test_a_layer_costs_less_in_company(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """With times that are known: float 4 ms a layer and 4 beside, in company 1 + 1 and 2, alone 5."""
    nodes = [layer.node for layer in study.graph.quantizable]
    count = len(nodes)
    assert count >= 3

    def times(layer: float, quantizers: float, beside: float) -> Times:
        other = {"Relu": beside, "QuantizeLinear": quantizers * count}
        return Times(dict.fromkeys(nodes, layer), other, dict.fromkeys(nodes, quantizers))

    timed = [times(4.0, 0.0, 4.0), times(1.0, 1.0, 2.0), times(4.0, 1.0, 3.0), times(4.0, 1.0, 3.0)]
    monkeypatch.setattr(costs, "layer_times", lambda *_: timed)
    whole = preset_plan(study.graph, "int8")
    measure_costs(study, whole)
    plain = 4.0 * count + 4.0
    assert predicted_latency(study, whole) == pytest.approx((2.0 * count + 2.0) / plain)
    first, second, *_ = whole.layers
    one = Plan("", {first: whole[first]}, study.graph.file.sha256)
    beside = 4.0 - 2.0 / count
    assert predicted_latency(study, one) == pytest.approx((5.0 + 4.0 * (count - 1) + beside) / plain)
    two = Plan("", {first: whole[first], second: whole[second]}, study.graph.file.sha256)
    spent = 2.0 + 3.5 + 4.0 * (count - 2) + 4.0 - 4.0 / count
    assert predicted_latency(study, two) == pytest.approx(spent / plain)


def test_kernels_are_those_of_both_formats(study: Study) -> None:
    plan = preset_plan(study.graph, "int8")
    both = next(iter(plan.layers.values()))
    assert costs.kernels_of(both) == "int8 x uint8"
    assert costs.kernels_of(Precision(None, both.activations)) == "fp32 x uint8"
    assert costs.kernels_of(Precision(both.weights)) == costs.FLOAT
    dynamic = next(iter(preset_plan(study.graph, "int8-dynamic").layers.values()))
    assert costs.kernels_of(dynamic) == "int8 x uint8, dynamic"
