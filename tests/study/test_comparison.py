"""Plans side by side: the best of each number, what is noise, and what differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from quant_core.plan import Plan, preset_plan
from quant_core.study import (
    Evaluation,
    Row,
    Study,
    choose_scheme,
    compared,
    comparison,
    layer_differences,
    numbers_table,
    weight_shares,
)

BASE = Evaluation(1000, 4000, 0.90, 0.91, "top-1", 0.95, 20.0, 0.1, 400, 400, 100, "simulated")


def rows(*evaluations: Evaluation) -> dict[str, Row]:
    return {row.key: row for row in comparison(evaluations)}


def test_small_is_best_in_bytes_and_large_in_the_rest() -> None:
    found = rows(BASE, replace(BASE, bytes=900, metric=0.5, agreement=0.6, sqnr_db=30.0))
    assert {key: row.best for key, row in found.items()} == {
        "bytes": (False, True),
        "metric": (True, False),
        "agreement": (True, False),
        "sqnr_db": (False, True),
    }


def test_equal_numbers_are_best_together_and_none_is_where_all_are_equal() -> None:
    found = rows(BASE, BASE, replace(BASE, bytes=2000))
    assert found["bytes"].best == (True, True, False)
    assert found["metric"].best == (False, False, False)


def test_a_difference_below_the_interval_is_noise() -> None:
    half = 1.96 * (0.9 * 0.1 / 400) ** 0.5
    near, far = replace(BASE, metric=0.9 - 0.9 * half), replace(BASE, metric=0.9 - 2 * half)
    assert rows(BASE, near, far)["metric"].close == (True, True, False)
    assert rows(BASE, near)["bytes"].close is None


def test_what_no_plan_has_is_left_out() -> None:
    bare = replace(BASE, metric=None, metric_fp32=None, agreement=None)
    assert list(rows(bare, bare)) == ["bytes", "sqnr_db"]
    assert rows(bare, BASE)["metric"].values == (None, 0.9)
    assert rows(bare, BASE)["metric"].close == (False, True)


def test_fp32_has_the_bytes_of_the_file_that_was_opened(open_study: Callable[..., Study]) -> None:
    plan = preset_plan(open_study().graph, "int8-weights")
    assert compared(Plan(), BASE).bytes == BASE.bytes_fp32
    assert compared(plan, BASE) == BASE


def test_the_file_has_the_interval(open_study: Callable[..., Study]) -> None:
    table = numbers_table(["a", "b"], [BASE, replace(BASE, metric=None)])
    assert list(table["plan"]) == ["a", "b"]
    assert table["half_interval"][0] == pytest.approx(1.96 * 0.015)
    assert table["half_interval"].isna().tolist() == [False, True]


def test_only_layers_that_differ_are_listed(open_study: Callable[..., Study]) -> None:
    study = open_study()
    names = [x.name for x in study.graph.quantizable]
    whole = preset_plan(study.graph, "int8-weights")
    less, _ = choose_scheme(study, whole, names[1], "weights", None)
    found = layer_differences(study, [whole, less, whole])
    assert list(found) == [names[1]]
    assert [p.weights is None for p in found[names[1]]] == [False, True, False]


def test_the_shares_of_bits_count_every_weight_once(open_study: Callable[..., Study]) -> None:
    study = open_study()
    whole = preset_plan(study.graph, "int8-weights")
    first = study.graph.quantizable[0]
    mixed, _ = choose_scheme(study, whole, first.name, "weights", None)
    table = weight_shares(study, [whole, mixed])
    assert table.groupby("plan")["share"].sum().tolist() == pytest.approx([1.0, 1.0])
    part = table[(table["plan"] == 1) & (table["bits"] == 32)].iloc[0]
    assert (part["layers"], part["weights"]) == (1, first.parameters)
