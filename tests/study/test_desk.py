"""The desk: edits keep locks and ties, forecasts come from cells, alternatives say what is saved."""

from __future__ import annotations

from pathlib import Path

import pytest

from quant_core.plan import Plan, Precision, default_scheme, preset_plan
from quant_core.store import Store
from quant_core.study import (
    Cell,
    CellKey,
    Study,
    alternatives,
    choose,
    chosen_column,
    desk_cells,
    desk_formats,
    forecast_sqnr,
    further_formats,
    plan_cells,
    toggle_lock,
    tradeoff,
    widest_channel,
)

CNN = "sample:digits-cnn"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study.open(CNN, CNN, None, None, 60, Store(tmp_path))


@pytest.fixture
def cells(study: Study) -> dict[CellKey, Cell]:
    keys = desk_cells(study, "weights")
    return {cell.key: cell for cell in study.sweep(keys)}


def names(study: Study) -> list[str]:
    return [layer.name for layer in study.graph.quantizable]


def test_a_column_is_chosen_for_all_layers_but_the_locked(study: Study) -> None:
    locked, *others = names(study)
    plan, refused = choose(study, toggle_lock(Plan(), locked), names(study), "weights", "int4")
    assert refused == [f"{locked}: it is locked"]
    assert plan[locked].weights is None
    assert {chosen_column(plan[name], "weights") for name in others} == {"int4"}


def test_weights_and_activations_are_chosen_apart(study: Study) -> None:
    first = names(study)[0]
    plan, _ = choose(study, Plan(), [first], "weights", "int8")
    plan, _ = choose(study, plan, [first], "activations", "int4")
    assert (chosen_column(plan[first], "weights"), chosen_column(plan[first], "activations")) == (
        "int8",
        "int4",
    )
    back, _ = choose(study, plan, [first], "weights", "fp32")
    assert chosen_column(back[first], "weights") == "fp32"
    assert chosen_column(back[first], "activations") == "int4"


def test_choosing_what_is_chosen_gives_the_same_plan(study: Study) -> None:
    plan, _ = choose(study, Plan(), names(study), "weights", "int8")
    again, refused = choose(study, plan, names(study), "weights", "int8")
    assert again is plan
    assert refused == []


def test_a_forecast_of_one_layer_is_its_cell(study: Study, cells: dict[CellKey, Cell]) -> None:
    first = names(study)[0]
    plan, _ = choose(study, Plan(), [first], "weights", "int4")
    expected = cells[CellKey(first, "int4", "weights")].quality.sqnr_db
    assert forecast_sqnr(plan, cells) == pytest.approx(expected)
    assert study.evaluate(plan).sqnr_db == pytest.approx(expected, abs=0.01)


def test_there_is_no_forecast_where_a_cell_is_missing(study: Study, cells: dict[CellKey, Cell]) -> None:
    first = names(study)[0]
    plan, _ = choose(study, Plan(), [first], "weights", "int4")
    assert forecast_sqnr(plan, {}) is None
    assert forecast_sqnr(preset_plan(study.graph, "int4-weights"), cells) is None


def test_alternatives_are_the_lower_formats_with_what_they_save(
    study: Study, cells: dict[CellKey, Cell]
) -> None:
    first = names(study)[0]
    plan = Plan("p", {first: Precision(default_scheme("int8"))})
    found = alternatives(study, plan, first, cells)
    assert [a.format for a in found] == ["int4", "int2"]
    lower = Plan("q", {first: Precision(default_scheme("int4"))})
    assert found[0].saves == study.bytes_of(plan) - study.bytes_of(lower)
    assert found[0].quality.sqnr_db > found[1].quality.sqnr_db


def test_the_tradeoff_marks_the_plans_that_no_other_beats(study: Study) -> None:
    plans = [preset_plan(study.graph, name) for name in ("fp16", "int8-weights", "int4-weights")]
    points, label, reference = tradeoff([(plan, study.evaluate(plan)) for plan in plans])
    assert label == "top-1, %"
    assert reference == pytest.approx(100 * (study.baseline().metric or 0))
    front = points[points["front"]].sort_values("share")
    assert front["value"].is_monotonic_increasing
    assert points["share"].idxmin() in front.index


def test_the_widest_channel_is_measured_against_the_median(study: Study) -> None:
    layer = study.graph.quantizable[0]
    channel, ratio = widest_channel(study, layer)
    assert layer.shape is not None
    assert 0 <= channel < layer.shape[layer.axis]
    assert ratio >= 1.0


def test_further_columns_are_measured_like_the_usual_ones(study: Study) -> None:
    more = ("weights:nf4", "weights:ternary", "activations:fp8_e4m3", "weights:no such format")
    formats = desk_formats(more)
    assert formats["weights"] == ("fp16", "int8", "int4", "nf4", "int2", "ternary")
    assert formats["activations"] == ("int16", "int8", "fp8_e4m3", "int4")
    assert set(desk_formats()["weights"]) < set(formats["weights"])
    first = study.graph.quantizable[0].name
    keys = [k for k in desk_cells(study, "weights", more) if k.layer == first]
    cells = {cell.key: cell for cell in study.sweep(keys)}
    assert {k.format for k in cells} == set(formats["weights"])
    plan, refused = choose(study, Plan(), [first], "weights", "nf4")
    assert not refused
    assert chosen_column(plan[first], "weights") == "nf4"
    assert plan_cells(plan) == [CellKey(first, "nf4", "weights")]
    assert forecast_sqnr(plan, cells) == pytest.approx(cells[plan_cells(plan)[0]].quality.sqnr_db, abs=1e-6)
    saved = [a.saves for a in alternatives(study, plan, first, cells)]
    assert saved == sorted(saved) and min(saved) > 0  # in bytes of the file: its tables count
    assert all(not name.startswith("uint") for name in further_formats("weights"))
