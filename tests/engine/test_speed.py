"""Kernels joined to layers, and the memory of a fresh process."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from quant_core.engine import latency_times, layer_times, peak_memory, threads
from quant_core.graph import inputs_of
from quant_core.lower import lower, to_bytes
from quant_core.plan import preset_plan


@pytest.mark.parametrize("preset", [None, "int8", "int8-dynamic", "int4-weights"])
def test_every_layer_finds_its_kernel(bench: Any, preset: str | None) -> None:
    model = bench.graph.model
    if preset is not None:
        plan = preset_plan(bench.graph, preset)
        content = to_bytes(lower(bench.cache, plan, bench.ranges.find))
        model = ir.from_proto(onnx.load_from_string(content))
    before = [node.name for node in model.graph]
    (found,) = layer_times(bench.graph, [model], bench.data.arrays, runs=3)
    assert list(found.layers) == ["first", "depthwise", "pointwise", "classifier"]
    assert all(ms > 0 for ms in found.layers.values())
    assert found.total >= sum(found.others.values()) >= 0
    assert [node.name for node in model.graph] == before


def test_a_process_that_loads_a_model_takes_more_than_one_that_does_not(bench: Any) -> None:
    ballast = np.zeros(1 << 22, np.uint8)
    ballast[:] = 1  # the parent's own memory has no part in it
    path = bench.graph.file.path
    found = peak_memory(path, inputs_of(bench.graph.model), bench.data, 4)
    assert 0 < found.before <= found.peak
    assert found.model == found.peak - found.before
    again = peak_memory(path.read_bytes(), inputs_of(bench.graph.model), bench.data, 4)
    assert abs(again.before - found.before) < 16 << 20


def test_times_end_with_the_budget(bench: Any) -> None:
    path = bench.graph.file.path
    assert latency_times(path, path, bench.data, 4, runs=8).shape == (8, 2)
    assert len(latency_times(path, path, bench.data, 4, runs=1000, budget=0.0)) == 5


def test_threads_are_at_most_the_cores() -> None:
    assert 1 <= threads() <= (os.cpu_count() or 1)
