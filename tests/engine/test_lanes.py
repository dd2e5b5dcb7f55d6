"""Lanes: sessions run side by side, what is Python of ours has turns, and numbers stay the same."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_core.engine import (
    ONE_LANE,
    Cell,
    CellKey,
    Chain,
    Lanes,
    Memo,
    Sweeper,
    adaptive_sweep,
    cell_plan,
    measure_lanes,
)
from quant_core.engine.lanes import BYTES, MOST, Lane, in_lanes, ways_for
from quant_core.lower import WeightCache
from quant_core.plan import preset_plan
from tests.models import conv_chain, matmul_chain, positions

TWO = Lanes(2, 1)
module = importlib.import_module("quant_core.engine.lanes")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(count: int) -> None:
    def slow_ones_first(item: int, lane: Lane) -> int:
        with lane.outside():
            np.linalg.norm(np.ones(1000 * (10 - item % 10)))
        return item * item

    found = in_lanes(slow_ones_first, lambda _: range(25), Lanes(count))
    assert list(found) == [number * number for number in range(25)]


def test_lanes_run_at_once_and_take_turns_with_the_rest() -> None:
    together, inside, most = Barrier(3, timeout=10), [0], [0]

    def work(item: int, lane: Lane) -> int:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        inside[0] -= 1
        with lane.outside():
            together.wait()  # passes only where three are outside at once
        return item

    assert list(in_lanes(work, lambda _: range(6), Lanes(3))) == list(range(6))
    assert most[0] == 1


def test_items_are_made_only_as_lanes_are_free() -> None:
    made: list[int] = []

    def items(lane: Lane) -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    found = in_lanes(lambda item, lane: item, items, TWO)
    assert next(found) == 0
    assert len(made) == 2
    assert next(found) == 1
    assert len(made) == 3
    found.close()
    assert len(made) == 3


def test_an_error_ends_the_other_lanes_before_their_next_run() -> None:
    began, stopped = Barrier(2, timeout=10), list[int]()

    def work(item: int, lane: Lane) -> int:
        with lane.outside():
            began.wait()
        if item == 0:
            raise ValueError("the first one")
        try:
            while True:
                lane.pulse()
                with lane.outside():
                    pass
        except Exception:
            stopped.append(item)
            raise

    with pytest.raises(ValueError, match="the first one"):
        list(in_lanes(work, lambda _: range(2), TWO))
    assert stopped == [1]


def test_whoever_waits_can_end_the_work_with_the_pulse() -> None:
    pulses: list[int] = []

    def pulse() -> None:
        pulses.append(1)
        if len(pulses) > 2:
            raise KeyboardInterrupt

    def for_ever(item: int, lane: Lane) -> None:
        while True:
            lane.pulse()
            with lane.outside():
                pass

    with pytest.raises(KeyboardInterrupt):
        list(in_lanes(for_ever, lambda _: range(4), TWO, pulse))


def cells(bench: Any, lanes: Lanes, execution: str = "simulated") -> list[Cell]:
    keys = [
        CellKey(layer.name, name, part)
        for layer in bench.graph.quantizable
        for name in ("int8", "int4")
        for part in ("weights", "activations", "both")
    ]
    keys = [key for key in keys if cell_plan(bench.graph, key) is not None]
    given = WeightCache(bench.graph), bench.data, bench.reference, bench.ranges.find, 8, execution
    return list(Sweeper(*given, lanes=lanes).measure(keys))


@pytest.mark.parametrize("execution", ["simulated", "shipped"])
@pytest.mark.parametrize("make", [conv_chain, matmul_chain, positions], ids=lambda f: f.__name__)
def test_a_sweep_gives_the_same_cells_in_lanes(
    make: Callable[[], Any], execution: str, bench_of: Callable[..., Any]
) -> None:
    bench = bench_of(make(), 20)
    assert cells(bench, Lanes(3, 1), execution) == cells(bench, ONE_LANE, execution)


def test_an_adaptive_sweep_gives_the_same_cells_in_lanes(bench_of: Callable[..., Any]) -> None:
    bench = bench_of(conv_chain(), 160)
    keys = [CellKey(layer.name, "int4", "weights") for layer in bench.graph.quantizable]
    given = WeightCache(bench.graph), keys, bench.data, bench.reference, bench.ranges.find
    assert list(adaptive_sweep(*given, lanes=TWO)) == list(adaptive_sweep(*given))


def test_a_chain_gives_the_same_outputs_in_lanes(bench_of: Callable[..., Any]) -> None:
    bench = bench_of(conv_chain(), 50)
    plan = preset_plan(bench.graph, "int8")

    def outputs(lanes: Lanes) -> list[np.ndarray]:
        chain = Chain(WeightCache(bench.graph), Memo(1 << 28), lanes)
        twice = [list(chain.outputs(plan, bench.data, 8, bench.ranges.find)) for _ in range(2)]
        return [batch[0] for found in twice for batch in found]

    for one, other in zip(outputs(ONE_LANE), outputs(Lanes(3, 1)), strict=True):
        np.testing.assert_array_equal(one, other)


@given(st.integers(1, 256), st.integers(1, 1 << 31))
def test_ways_share_out_all_cores_and_bound_what_lanes_hold(cores: int, size: int) -> None:
    ways = ways_for(cores, size)
    assert ways[-1] == ONE_LANE
    for way in ways[:-1]:
        assert way.count * way.threads == cores
        assert 1 < way.count <= MOST
        assert way.count * size <= BYTES


def test_the_fastest_lanes_are_taken(bench_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    bench = bench_of(conv_chain(), 20)
    batch = bench.data.take(np.arange(8))
    for fastest in ways_for(4, 1000):
        monkeypatch.setattr(module, "threads", lambda: 4)
        monkeypatch.setattr(
            module, "_seconds", lambda session, fed, lanes, f=fastest: 1.0 if lanes == f else 2.0
        )
        assert measure_lanes(bench.graph.file.path, batch, 1000) == fastest
    monkeypatch.undo()
    assert measure_lanes(bench.graph.file.path, batch, BYTES) == ONE_LANE
    assert measure_lanes(bench.graph.file.path, batch, 1000).count >= 1
