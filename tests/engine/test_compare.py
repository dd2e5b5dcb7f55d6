"""Comparing two files."""

from __future__ import annotations

from typing import Any

import pytest

from quant_core.engine import compare, evaluate, latency_ratio, latency_times
from quant_core.errors import DataError
from quant_core.lower import lower, to_bytes
from quant_core.plan import preset_plan
from tests.models import build, node, normal, port


def test_b_is_measured_against_a_as_shipped(bench: Any) -> None:
    model = to_bytes(lower(bench.cache, preset_plan(bench.graph, "int8"), bench.ranges.find))
    result = compare(bench.graph.file.path, model, bench.data, 8)
    assert result.b == evaluate(model, bench.data, bench.reference, "shipped", 8)
    assert (result.a.sqnr_db, result.a.agreement) == (200.0, 1.0)
    assert result.latency_ratio > 0


def test_a_file_against_itself_is_equal(bench: Any) -> None:
    path = bench.graph.file.path
    result = compare(path, path, bench.data, 8)
    assert result.a == result.b


def test_a_slower_file_has_a_higher_ratio(bench: Any) -> None:
    chain = [node("MatMul", [f"t{i}", "w"], [f"t{i + 1}"]) for i in range(60)]
    weights = {"w": normal(1, 8, 8, scale=0.1)}
    x, y = port("x", "N", 3, 8, 8), port("y", "N", 3, 8, 8)
    chain[0].input[0], chain[-1].output[0] = "x", "y"
    slow = build(chain, [x], [y], weights).SerializeToString()
    quick = build([node("Relu", ["x"], ["y"])], [x], [y], {}).SerializeToString()
    assert latency_ratio(quick, slow, bench.data, 8, runs=10) > 2
    assert latency_ratio(slow, quick, bench.data, 8, runs=10) < 0.5


def test_timing_ends_when_its_time_is_over(bench: Any) -> None:
    path = bench.graph.file.path
    assert latency_times(path, path, bench.data, 8, runs=12).shape == (12, 2)
    few = latency_times(path, path, bench.data, 8, runs=12, budget=0.0)
    assert few.shape == (5, 2)
    assert (few > 0).all()


def test_outputs_of_different_shapes_are_refused(bench: Any) -> None:
    other = build([node("Relu", ["x"], ["y"])], [port("x", "N", 3, 8, 8)], [port("y", "N", 3, 8, 8)], {})
    with pytest.raises(DataError, match="different shapes"):
        compare(bench.graph.file.path, other.SerializeToString(), bench.data, 8)


def test_another_number_of_outputs_is_refused(bench: Any) -> None:
    nodes = [node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["z"])]
    outputs = [port(name, "N", 3, 8, 8) for name in ("y", "z")]
    two = build(nodes, [port("x", "N", 3, 8, 8)], outputs, {}).SerializeToString()
    with pytest.raises(DataError):
        compare(bench.graph.file.path, two, bench.data, 8)
