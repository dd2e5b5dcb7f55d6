"""Each cell of a sweep is what evaluating its whole graph gives, by whatever way it was reached."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from quant_core.engine import Cell, CellKey, Reference, Sweeper, batch_size, cell_plan, evaluate
from quant_core.graph import inputs_of
from quant_core.lower import WeightCache, lower, to_bytes
from quant_core.prepare import generate_inputs
from tests.bodies import branching, looping
from tests.models import (
    conv_chain,
    dataset,
    fixed_range,
    graph_of,
    matmul_chain,
    positions,
    recurrent,
    tied_language_model,
)

PARTS = ("weights", "activations", "both")
MODELS = [conv_chain, matmul_chain, tied_language_model, positions]
module = importlib.import_module("quant_core.engine.sweep")


def keys_of(bench: Any, formats: tuple[str, ...] = ("int8", "int4")) -> list[CellKey]:
    keys = [CellKey(x.name, f, p) for x in bench.graph.quantizable for f in formats for p in PARTS]
    return [key for key in keys if cell_plan(bench.graph, key) is not None]


def swept(bench: Any, keys: list[CellKey], execution: str = "simulated", size: int = 8) -> list[Cell]:
    cache = WeightCache(bench.graph)
    return list(Sweeper(cache, bench.data, bench.reference, bench.ranges.find, size, execution).measure(keys))


def check(bench: Any, execution: str = "simulated", size: int = 8) -> None:
    """Holds every cell to the plain loop: lower the whole graph, run it all."""
    keys = keys_of(bench)
    cells = {cell.key: cell for cell in swept(bench, keys, execution, size)}
    assert set(cells) == set(keys)
    for key in keys:
        plan = cell_plan(bench.graph, key)
        assert plan is not None
        model = to_bytes(lower(bench.cache, plan, bench.ranges.find))
        wanted = evaluate(model, bench.data, bench.reference, execution, size)
        found = cells[key].quality
        assert found.sqnr_db == pytest.approx(wanted.sqnr_db, abs=0.01), key
        assert (found.metric, found.agreement) == (wanted.metric, wanted.agreement), key
        assert found.samples == wanted.samples
        assert cells[key].bytes == len(model)


@pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)
def test_cells_equal_the_plain_loop(
    bench_of: Callable[..., Any], make: Callable[[], onnx.ModelProto]
) -> None:
    check(bench_of(make()))


@pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)
def test_shipped_cells_equal_the_plain_loop(
    bench_of: Callable[..., Any], make: Callable[[], onnx.ModelProto]
) -> None:
    check(bench_of(make()), "shipped")


@pytest.mark.parametrize("samples", [8, 10])
def test_a_model_with_a_fixed_batch(bench_of: Callable[..., Any], samples: int) -> None:
    """Also where the last batch is not full."""
    bench = bench_of(conv_chain(batch=4), samples, 4)
    check(bench, size=batch_size(inputs_of(bench.graph.model)))


@pytest.mark.parametrize("limit", [0, 20_000, 60_000])
def test_a_cut_that_takes_too_much_memory_is_skipped(
    bench: Any, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(module, "LIMIT", limit)
    check(bench)


def test_a_cell_quantizes_one_layer_and_those_that_share_its_weights(bench_of: Callable[..., Any]) -> None:
    bench = bench_of(tied_language_model())
    plan = cell_plan(bench.graph, CellKey("head", "int8", "both"))
    assert plan is not None
    assert set(plan.quantized) == {"head", "embedding"}
    assert plan["embedding"].weights == plan["head"].weights
    assert plan["embedding"].activations is None
    alone = cell_plan(bench.graph, CellKey("head", "int8", "activations"))
    assert alone is not None and set(alone.quantized) == {"head"}


def test_cells_that_do_not_apply_are_left_out(bench_of: Callable[..., Any]) -> None:
    bench = bench_of(tied_language_model())
    assert cell_plan(bench.graph, CellKey("embedding", "int8", "activations")) is None
    assert cell_plan(bench.graph, CellKey("embedding", "int8", "both")) is None
    assert cell_plan(bench.graph, CellKey("head", "fp16", "activations")) is None
    keys = [CellKey("embedding", "int8", "activations"), CellKey("head", "int8", "weights")]
    assert [cell.key for cell in swept(bench, keys)] == keys[1:]


def test_what_cannot_be_quantized_has_no_cell(tmp_path: Path) -> None:
    graph = graph_of(branching(), tmp_path)
    assert cell_plan(graph, CellKey("inside", "int8", "activations")) is None
    assert cell_plan(graph, CellKey("inside", "int8", "weights")) is not None
    assert cell_plan(graph, CellKey("conv", "int8", "weights")) is not None


def test_cells_come_one_by_one_as_they_are_measured(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    plain = module.AllSamples.measure

    def counting(*given: Any) -> Any:
        measured.append(1)
        return plain(*given)

    monkeypatch.setattr(module.AllSamples, "measure", counting)
    sweeper = Sweeper(WeightCache(bench.graph), bench.data, bench.reference, bench.ranges.find, 8)
    cells = sweeper.measure(keys_of(bench))
    next(cells)
    assert len(measured) == 1
    next(cells)
    assert len(measured) == 2


def test_a_part_of_the_cells_gives_the_same_numbers(bench: Any) -> None:
    keys = keys_of(bench)
    whole = {cell.key: cell for cell in swept(bench, keys)}
    for cell in swept(bench, keys[-3:]):
        assert cell.quality.sqnr_db == pytest.approx(whole[cell.key].quality.sqnr_db, abs=0.01)


def test_cells_may_be_asked_in_any_order_a_few_at_a_time(bench: Any) -> None:
    """As a worker does that is given a few at a time."""
    keys = keys_of(bench)
    whole = {cell.key: cell for cell in swept(bench, keys)}
    sweeper = Sweeper(WeightCache(bench.graph), bench.data, bench.reference, bench.ranges.find, 8)
    for part in (keys[-4:], keys[:3], keys[3:-4]):
        for cell in sweeper.measure(part):
            assert cell == whole[cell.key]


def test_a_reference_that_keeps_nothing_gives_the_same_numbers(bench: Any) -> None:
    keys = keys_of(bench, ("int8",))
    reference = Reference(bench.graph.file.path, 0)
    again = Sweeper(WeightCache(bench.graph), bench.data, reference, bench.ranges.find, 8).measure(keys)
    for one, other in zip(swept(bench, keys), again, strict=True):
        assert one == other


@pytest.mark.parametrize("make", [recurrent, looping], ids=lambda f: f.__name__)
def test_layers_in_bodies_and_recurrent_ones_have_cells(make: Any, tmp_path: Path) -> None:
    graph = graph_of(make(), tmp_path)
    feeds = generate_inputs(inputs_of(graph.model), seed=3)
    keys = [CellKey(x.name, "int4", "weights") for x in graph.quantizable]
    reference = Reference(graph.file.path)
    found = list(Sweeper(WeightCache(graph), dataset(feeds), reference, fixed_range(), 2).measure(keys))
    assert [cell.key for cell in found] == keys
    assert all(5 < cell.quality.sqnr_db < 120 for cell in found)


@pytest.mark.parametrize("lot", [1, 40, 1 << 15])
def test_metering_batches_together_changes_no_number(
    bench_of: Callable[..., Any], lot: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("quant_core.engine.bench"), "_LOT", lot)
    check(bench_of(conv_chain(), 27))  # the last batch is not full
