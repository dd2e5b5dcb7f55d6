"""The sensitivity table: what is not possible says why, the order is by damage, the worst are explained."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from quant_core.study import (
    ORDERS,
    Cell,
    CellKey,
    Study,
    cells_of,
    desk_formats,
    loss,
    ordered,
    reasons,
    sensitivity_table,
    worst_cells,
)


@pytest.fixture(scope="module")
def swept() -> tuple[Study, dict[CellKey, Cell]]:
    study = Study.open("sample:digits-cnn", "sample:digits-cnn", samples=64)
    keys = cells_of(study, {**desk_formats(), "both": ("int4",)})
    return study, {cell.key: cell for cell in study.sweep(keys)}


def test_every_cell_is_measured_or_has_a_reason(swept: tuple[Study, dict[CellKey, Cell]]) -> None:
    study, cells = swept
    columns = tuple((part, name) for part, names in desk_formats().items() for name in names)
    why = reasons(study, columns)
    for layer, (part, name) in itertools.product(study.graph.quantizable, columns):
        assert (CellKey(layer.name, name, part) in cells) != ((layer.name, part, name) in why)


def test_without_calibration_activations_say_so() -> None:
    study = Study.open("sample:digits-cnn", "sample:digits-cnn", "none", samples=8)
    why = reasons(study, (("activations", "int8"), ("weights", "int8")))
    assert set(why.values()) == {"activations need calibration samples"}
    assert {part for _, part, _ in why} == {"activations"}


def test_orders_hold_every_layer_once_and_damage_falls(swept: tuple[Study, dict[CellKey, Cell]]) -> None:
    study, cells = swept
    names = [layer.name for layer in study.graph.quantizable]
    for order in ORDERS:
        assert sorted(ordered(study, cells, order)) == sorted(names)
    assert list(ordered(study, cells, "model")) == names

    def worst(name: str) -> float:
        return max(loss(cell, "sqnr_db") for key, cell in cells.items() if key.layer == name)

    by_damage = [worst(name) for name in ordered(study, cells, "damage")]
    assert by_damage == sorted(by_damage, reverse=True)
    sizes = [study.graph.layer(name).bytes for name in ordered(study, cells, "bytes")]
    assert sizes == sorted(sizes, reverse=True)


def test_damage_per_byte_puts_a_small_layer_before_an_equally_damaged_large_one(
    swept: tuple[Study, dict[CellKey, Cell]],
) -> None:
    study, cells = swept
    template = next(iter(cells.values()))
    equal = {
        CellKey(layer.name, "int4", "weights"): Cell(
            CellKey(layer.name, "int4", "weights"), template.quality, template.bytes
        )
        for layer in study.graph.quantizable
    }
    sizes = [study.graph.layer(name).bytes for name in ordered(study, equal, "damage per byte")]
    assert sizes == sorted(sizes)


def test_a_layer_without_a_measured_cell_comes_last(swept: tuple[Study, dict[CellKey, Cell]]) -> None:
    study, cells = swept
    first = study.graph.quantizable[0].name
    others = {key: cell for key, cell in cells.items() if key.layer != first}
    assert ordered(study, others, "damage")[-1] == first


@pytest.mark.parametrize("measure", ["sqnr_db", "agreement", "metric"])
def test_the_worst_are_one_a_layer_the_worst_first_with_a_reason(
    swept: tuple[Study, dict[CellKey, Cell]], measure: str
) -> None:
    study, cells = swept
    baseline = study.baseline().metric
    found = worst_cells(study, cells, measure, baseline, count=3)
    layers = [finding.cell.key.layer for finding in found]
    assert len(layers) == len(set(layers)) == 3
    losses = [loss(finding.cell, measure, baseline) for finding in found]
    assert losses == sorted(losses, reverse=True)
    assert np.isclose(losses[0], max(loss(cell, measure, baseline) for cell in cells.values()))
    assert all(finding.why for finding in found)


def test_the_table_has_a_row_for_each_cell(swept: tuple[Study, dict[CellKey, Cell]]) -> None:
    table = sensitivity_table(swept[1])
    assert len(table) == len(swept[1])
    assert {"layer", "format", "quantized", "sqnr_db", "agreement", "metric", "bytes"} <= set(table.columns)
