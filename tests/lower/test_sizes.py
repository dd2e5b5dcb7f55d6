"""Sizes told by the difference that a layer makes are those of the files that are written."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from quant_core.formats import FORMATS
from quant_core.graph import Graph
from quant_core.lower import Sizes, WeightCache, lower, to_bytes
from quant_core.plan import PARTS, Plan, cell_precision, preset_plan
from tests.bodies import branching
from tests.models import (
    build,
    conv_chain,
    deep_residual,
    fixed_range,
    graph_of,
    matmul_chain,
    node,
    normal,
    port,
    positions,
    recurrent,
    tied_language_model,
    zoo,
)

module = importlib.import_module("quant_core.lower.sizes")


def long_names() -> onnx.ModelProto:
    """A chain of 20 products whose tensors have long names, a mask, and constants that decoders need too."""
    nodes, weights = [], {"causal_mask": np.where(np.tri(8, dtype=bool), 0, -1e9).astype(np.float32)}
    weights["eight"] = np.array([8, 1, 64], np.int64)
    source = "the_input_of_the_whole_model"
    for i in range(20):
        made = f"the_result_of_the_product_with_number_{i}"
        nodes.append(node("MatMul", [source, f"weights_{i}"], [made], name=f"layer_{i}"))
        weights[f"weights_{i}"] = normal(i, 8, 8)
        source = made
    weights["weights_7"][:] = 0.5  # one value: computed instead of stored
    weights["weights_9"] = weights["weights_8"].copy()  # stored once
    nodes.append(node("Add", [source, "causal_mask"], ["masked"], name="add"))
    nodes.append(node("Reshape", ["masked", "eight"], ["y"], name="reshape"))
    return build(nodes, [port("the_input_of_the_whole_model", 8, 8)], [port("y", 8, 1, 8)], weights)


def hundreds() -> onnx.ModelProto:
    """So many tensors that short names get a letter more in the middle of a layer."""
    nodes = [node("Relu", [f"t{i}"], [f"t{i + 1}"], name=f"relu_{i}") for i in range(955)]
    nodes.append(node("MatMul", ["t955", "w"], ["y"], name="layer"))
    return build(nodes, [port("t0", "N", 70)], [port("y", "N", 70)], {"w": normal(0, 70, 70)})


MODELS = [conv_chain, matmul_chain, tied_language_model, positions, recurrent, branching, zoo, long_names]
every_model = pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)


def check(graph: Graph, plan: Plan, sizes: Sizes) -> None:
    written = to_bytes(lower(WeightCache(graph), plan, fixed_range()))
    assert sizes.of(plan, fixed_range()) == len(written), plan.name


@every_model
@pytest.mark.parametrize("part", PARTS)
def test_of_every_layer_in_every_format(
    make: Callable[[], onnx.ModelProto], part: str, tmp_path: Path
) -> None:
    graph = graph_of(make(), tmp_path)
    sizes = Sizes(WeightCache(graph))
    for layer in graph.quantizable:
        for name in FORMATS:
            precision = cell_precision(layer, name, part)
            if precision is not None:
                check(graph, Plan(f"{layer.name} {name}", {layer.name: precision}), sizes)


@every_model
@pytest.mark.parametrize("preset", ["int8", "int8-dynamic", "int4-weights", "fp16"])
def test_of_plans_of_many_layers(make: Callable[[], onnx.ModelProto], preset: str, tmp_path: Path) -> None:
    graph = graph_of(make(), tmp_path)
    check(graph, preset_plan(graph, preset), Sizes(WeightCache(graph)))
    check(graph, Plan(), Sizes(WeightCache(graph)))


def test_where_names_get_longer(tmp_path: Path) -> None:
    graph = graph_of(hundreds(), tmp_path)
    precision = cell_precision(graph.quantizable[0], "int4", "weights")
    assert precision is not None
    check(graph, Plan("", {"layer": precision}), Sizes(WeightCache(graph)))


def test_in_a_deep_graph(tmp_path: Path) -> None:
    graph = graph_of(deep_residual(300), tmp_path)
    layer = graph.quantizable[-1]
    precision = cell_precision(layer, "int8", "weights")
    assert precision is not None
    check(graph, Plan("", {layer.name: precision}), Sizes(WeightCache(graph)))


def test_the_whole_file_is_hardly_ever_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    size_of = module.size_of
    monkeypatch.setattr(module, "size_of", lambda model: written.append(1) or size_of(model))
    graph = graph_of(deep_residual(8), tmp_path)
    sizes, asked = Sizes(WeightCache(graph)), 0
    for layer in graph.quantizable:
        for name in ("int8", "int4", "int2", "fp16", "nf4"):
            for part in PARTS:
                precision = cell_precision(layer, name, part)
                if precision is not None:
                    sizes.of(Plan("", {layer.name: precision}), fixed_range())
                    asked += 1
    assert asked > 100
    assert not written
