"""Edits of a plan on the desk, its forecast, and what is drawn of its weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from quant_core.errors import PlanError
from quant_core.formats import Scheme
from quant_core.plan import Plan, Precision, default_activation_scheme, default_scheme, preset_plan
from quant_core.study import (
    Study,
    channel_ranges,
    check_layer,
    choose,
    chosen_column,
    desk_cells,
    forecast_sqnr,
    format_errors,
    formats_of,
    toggle_lock,
    tradeoff,
    weight_histogram,
    weight_summary,
)

Open = Callable[..., Study]


def test_a_click_chooses_one_part_of_one_layer(open_study: Open) -> None:
    study = open_study()
    start = preset_plan(study.graph, "int8")
    plan, refused = choose(study, start, ["conv2"], "weights", "int4")
    assert refused == []
    assert plan["conv2"].weights == default_scheme("int4")
    assert plan["conv2"].activations == start["conv2"].activations
    assert {n for n in start.layers if plan[n] != start[n]} == {"conv2"}
    plan, _ = choose(study, plan, ["conv2"], "activations", "int4")
    assert plan["conv2"].activations == default_activation_scheme("int4")
    plan, _ = choose(study, plan, ["conv2"], "weights", "fp32")
    assert plan["conv2"].weights is None


def test_a_locked_layer_says_so(open_study: Open) -> None:
    study = open_study()
    locked = toggle_lock(Plan(), "conv2")
    plan, refused = choose(study, locked, ["conv1", "conv2"], "weights", "int8")
    assert set(plan.quantized) == {"conv1"}
    assert refused == ["conv2: it is locked"]
    plan, refused = choose(study, toggle_lock(plan, "conv2"), ["conv2"], "weights", "int8")
    assert set(plan.quantized) == {"conv1", "conv2"} and refused == []


@pytest.mark.parametrize("part", ["weights", "activations"])
def test_a_chosen_column_is_found_again(open_study: Open, part: str) -> None:
    study = open_study()
    for name in formats_of(part):
        plan, _ = choose(study, Plan(), ["conv1"], part, name)
        assert chosen_column(plan["conv1"], part) == name
    odd = Scheme("int8", "tensor", False, "percentile:99")
    assert chosen_column(Precision(odd, odd), part) is None


def test_the_forecast_is_the_sum_of_the_noise_of_single_cells(open_study: Open) -> None:
    study = open_study()
    cells = {c.key: c for c in study.sweep(desk_cells(study, "weights"))}
    plan, _ = choose(study, Plan(), ["conv2", "conv3"], "weights", "int4")
    single = [c.quality.sqnr_db for k, c in cells.items() if k.format == "int4" and k.layer in plan.layers]
    expected = -10 * np.log10(sum(10 ** (-db / 10) for db in single))
    found = forecast_sqnr(plan, cells)
    assert found == pytest.approx(expected)
    assert abs(found - study.evaluate(plan).sqnr_db) < 6
    one, _ = choose(study, Plan(), ["conv2"], "weights", "int4")
    assert forecast_sqnr(one, cells) == pytest.approx(study.evaluate(one).sqnr_db, abs=0.01)
    assert forecast_sqnr(choose(study, plan, ["conv1"], "activations", "int8")[0], cells) is None
    assert forecast_sqnr(Plan(), cells) == 200.0


def test_an_unknown_layer_gives_the_first_one(open_study: Open) -> None:
    study = open_study()
    assert check_layer(study, "conv3") == "conv3"
    assert check_layer(study, "gone") == "conv1"
    with pytest.raises(PlanError):
        choose(study, Plan(), ["gone"], "weights", "int8")


def test_the_tradeoff_marks_what_nothing_beats(open_study: Open) -> None:
    study = open_study()
    plans = [preset_plan(study.graph, p) for p in ("fp16", "int8-weights", "int4-weights")]
    plans.append(Plan("worse", {x.name: Precision(Scheme("int2")) for x in study.graph.quantizable}))
    plans.append(Plan("large and bad", {"conv3": Precision(Scheme("int2"))}))
    points, label, reference = tradeoff([(p, study.evaluate(p)) for p in plans])
    assert label == "top-1, %"
    assert reference == pytest.approx(100 * (study.baseline().metric or 0))
    assert points["bytes"].tolist() == [study.bytes_of(p) for p in plans]
    assert not points["front"].iloc[-1]
    assert points["front"].any()


@pytest.mark.parametrize(
    "scheme", [Scheme("int4", "tensor"), Scheme("uint4", "channel", False, "mse")], ids=str
)
def test_every_weight_is_in_the_histogram_and_the_grid_is_what_decodes(
    open_study: Open, scheme: Scheme
) -> None:
    study = open_study()
    layer = study.graph.layer("conv2")
    weights, tensor = study.graph.weights(layer), study.quantized(layer, scheme)
    for channel in (None, 3):
        drawn = weight_histogram(study, layer, scheme, channel)
        assert drawn.counts.sum() == (weights.size if channel is None else weights[3].size)
        assert len(drawn.edges) == len(drawn.counts) + 1
        assert drawn.grid is not None and len(drawn.grid) == 16
        if not drawn.steps:
            decoded = tensor.decode() if channel is None else tensor.decode()[channel]
            assert all(np.abs(drawn.grid - v).min() < 1e-6 for v in np.unique(decoded))


def test_a_float_format_has_no_grid(open_study: Open) -> None:
    study = open_study()
    assert weight_histogram(study, study.graph.layer("conv1"), Scheme("fp16")).grid is None


def test_the_error_table_is_worked_out_from_the_weights(open_study: Open) -> None:
    study = open_study()
    layer = study.graph.layer("conv3")
    weights, table = study.graph.weights(layer), format_errors(study, layer)
    for scheme, row in table.iterrows():
        assert isinstance(scheme, Scheme)
        decoded = study.quantized(layer, scheme).decode()
        assert row["worst_error"] == pytest.approx(float(np.abs(decoded - weights).max()))
        assert scheme.number.bits <= row["bits_per_weight"] < scheme.number.bits + 4
        assert row["bytes"] == pytest.approx(row["bits_per_weight"] * weights.size / 8, abs=1)
    best = {f: table.loc[table["format"] == f, "sqnr_db"].max() for f in ("int16", "int8", "int4", "int2")}
    assert list(best.values()) == sorted(best.values(), reverse=True)


def test_summary_and_channel_ranges_by_numpy(open_study: Open) -> None:
    study = open_study()
    layer = study.graph.layer("conv2")
    weights = study.graph.weights(layer)
    summary, ranges = weight_summary(study, layer), channel_ranges(study, layer)
    assert summary["minimum"] == weights.min() and summary["maximum"] == weights.max()
    assert summary["deviation"] == pytest.approx(weights.std(dtype=np.float64))
    np.testing.assert_array_equal(ranges["low"], weights.reshape(len(weights), -1).min(axis=1))
    np.testing.assert_array_equal(ranges["high"], weights.reshape(len(weights), -1).max(axis=1))
