"""A chain of segments gives what the exported graph gives, and runs no more than it must."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from quant_core.data import Dataset
from quant_core.engine import Chain, Memo, batch_size, make_session, run_whole
from quant_core.graph import inputs_of
from quant_core.lower import WeightCache, lower, to_bytes
from quant_core.plan import Plan, precision_for, preset_plan
from quant_core.study.desk import scheme_for
from tests.models import conv_chain, deep_residual, matmul_chain, positions, tied_language_model

MODELS = [conv_chain, matmul_chain, tied_language_model, positions]
module = importlib.import_module("quant_core.engine.chain")
lanes = importlib.import_module("quant_core.engine.lanes")


def through_chain(bench: Any, plan: Plan, chain: Chain, size: int = 8) -> list[np.ndarray]:
    found = chain.outputs(plan, bench.data, size, bench.ranges.find)
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def through_file(bench: Any, plan: Plan, data: Dataset, size: int = 8) -> list[np.ndarray]:
    session = make_session(to_bytes(lower(bench.cache, plan, bench.ranges.find)), "simulated")
    found = [run_whole(session, feeds) for feeds, _ in data.batches(size)]
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def fresh(bench: Any, limit: int = 1 << 28) -> Chain:
    return Chain(WeightCache(bench.graph), Memo(limit))


def toggled(bench: Any, plan: Plan, layer: int) -> Plan:
    """`plan` with the weights of one layer in int4."""
    chosen = bench.graph.quantizable[layer]
    precision = precision_for(chosen, scheme_for("weights", "int4"), None)
    assert precision is not None
    return plan.edit({chosen.name: precision})


@pytest.mark.parametrize("preset", ["int8", "int8-weights", "int4-weights", "fp16"])
@pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)
def test_a_chain_gives_what_the_exported_graph_gives(
    bench_of: Callable[..., Any], make: Callable[[], onnx.ModelProto], preset: str
) -> None:
    bench = bench_of(make())
    plan = preset_plan(bench.graph, preset)
    for found, wanted in zip(
        through_chain(bench, plan, fresh(bench)), through_file(bench, plan, bench.data), strict=True
    ):
        # Float sums in another order may move a value over the border of a rounding step, by one step.
        assert np.mean(~np.isclose(found, wanted, rtol=1e-4, atol=1e-4)) < 0.02


@pytest.mark.parametrize("samples", [8, 10])
def test_a_model_with_a_fixed_batch(bench_of: Callable[..., Any], samples: int) -> None:
    """Also where the last batch is not full."""
    bench = bench_of(conv_chain(batch=4), samples, 4)
    size = batch_size(inputs_of(bench.graph.model))
    (found,), (wanted,) = (
        through_chain(bench, Plan(), fresh(bench), size),
        through_file(bench, Plan(), bench.data, size),
    )
    assert len(found) == samples
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("limit", [0, 3_000, 30_000, 1 << 28])
def test_numbers_do_not_depend_on_what_was_kept(bench: Any, limit: int) -> None:
    chain, plan = fresh(bench, limit), preset_plan(bench.graph, "int8")
    for layer in range(len(bench.graph.quantizable)):
        plan = toggled(bench, plan, layer)
        (found,), (wanted,) = (
            through_chain(bench, plan, chain),
            through_chain(bench, plan, fresh(bench, limit)),
        )
        np.testing.assert_array_equal(found, wanted)


def test_a_change_runs_only_what_follows_it(
    bench_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_of(deep_residual(8), 20, 8)
    chain, plan = fresh(bench), preset_plan(bench.graph, "int8-weights")
    segments = len(chain.segments(len(bench.data)))
    assert segments > 2
    built: list[int] = []
    ran: list[int] = []
    make, run = module.make_session, lanes.run
    monkeypatch.setattr(module, "make_session", lambda *given: built.append(1) or make(*given))
    monkeypatch.setattr(lanes, "run", lambda *given: ran.append(1) or run(*given))
    through_chain(bench, plan, chain)
    batches = -(-len(bench.data) // 8)
    assert (len(built), len(ran)) == (segments, batches * segments)
    last = toggled(bench, plan, len(bench.graph.quantizable) - 1)
    built.clear(), ran.clear()
    through_chain(bench, last, chain)
    assert (len(built), len(ran)) == (1, batches), "one segment is made anew and run"
    built.clear(), ran.clear()
    through_chain(bench, plan, chain)
    assert (len(built), len(ran)) == (0, batches), "back again: nothing is made"


def test_a_change_of_the_bias_is_a_change(bench: Any) -> None:
    chain, plan = fresh(bench), preset_plan(bench.graph, "int8-weights")
    layer = bench.graph.quantizable[-1]
    correction = {layer.name: np.ones(layer.shape[layer.axis], np.float32)}
    plain = list(chain.outputs(plan, bench.data, 8, bench.ranges.find))
    moved = list(chain.outputs(plan, bench.data, 8, bench.ranges.find, correction))
    assert not np.allclose(plain[0][0], moved[0][0])


def test_all_cuts_of_a_plan_stay_where_the_memo_is_small(
    bench_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_of(deep_residual(8), 20, 8)
    chain, samples = fresh(bench, limit=80_000), len(bench.data)
    segments = chain.segments(samples)
    assert 2 < len(segments) < len(fresh(bench).segments(samples))
    plan = preset_plan(bench.graph, "int8-weights")
    through_chain(bench, plan, chain)
    ran: list[int] = []
    run = lanes.run
    monkeypatch.setattr(lanes, "run", lambda *given: ran.append(1) or run(*given))
    names = [layer.name for layer in bench.graph.quantizable]
    for number in reversed(range(len(segments))):  # from the end on, so that nothing new has to be kept
        ran.clear()
        through_chain(bench, toggled(bench, plan, names.index(segments[number].layers[0])), chain)
        assert len(ran) == -(-samples // 8) * (len(segments) - number)
