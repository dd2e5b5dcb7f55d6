"""Settling runs the graph as far as one tensor, and measures there what calibration measures."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from quant_core.data import Subset
from quant_core.engine import calibrate, settle
from quant_core.errors import ModelError
from quant_core.formats import Scheme
from quant_core.stats import StreamingHistogram, drift, enough, settling
from tests.models import conv_chain, matmul_chain

module = importlib.import_module("quant_core.engine.settle")
UINT8 = Scheme("uint8", "tensor", False)


@pytest.mark.parametrize("make", [conv_chain, matmul_chain], ids=lambda f: f.__name__)
def test_every_checkpoint_is_a_calibration_of_the_first_samples(
    bench_of: Callable[..., Any], make: Callable[[], Any]
) -> None:
    bench = bench_of(make())
    for tensor in dict.fromkeys(layer.input for layer in bench.graph.quantizable):
        found = settle(bench.graph, tensor, bench.data)
        assert found.held_out is None
        assert [k.extremes.samples for k in found.checkpoints] == [1, 2, 4, 8, 16, 20]
        for kept in found.checkpoints:
            first = Subset(bench.data, np.arange(kept.extremes.samples))
            expected = calibrate(bench.graph, first).histograms[tensor]
            assert kept.count == expected.count
            np.testing.assert_allclose(
                [kept.minimum, kept.maximum], [expected.minimum, expected.maximum], rtol=1e-4, atol=1e-5
            )


def test_held_out_samples_are_measured_apart(bench: Any) -> None:
    tensor = bench.graph.quantizable[-1].input
    mine, others = (Subset(bench.data, np.arange(*ends)) for ends in ((0, 13), (13, 20)))
    found = settle(bench.graph, tensor, mine, others)
    assert found.held_out is not None
    assert found.checkpoints[-1].extremes.samples == 13
    assert found.held_out.extremes.samples == 7
    table = settling(found.checkpoints, UINT8, ["minmax", "mse"])
    assert set(enough(table)) == {"minmax", "mse"}
    compared = drift(StreamingHistogram.from_snapshot(found.checkpoints[-1]), found.held_out, UINT8)
    assert 0 <= compared.outside <= 1


def test_only_what_the_tensor_needs_is_run(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    make = module.make_session

    def watching(model: bytes, *given: Any) -> Any:
        seen.append([n.op_type for n in onnx.load_from_string(model).graph.node])
        return make(model, *given)

    monkeypatch.setattr(module, "make_session", watching)
    inner = [layer.input for layer in bench.graph.quantizable if layer.input != "x"]
    for tensor in (inner[0], "x"):
        settle(bench.graph, tensor, bench.data)
    assert len(seen) == 1  # an input needs no run at all
    assert len(seen[0]) < len(list(bench.graph.model.graph))


def test_a_model_that_fixes_its_batch(bench_of: Callable[..., Any]) -> None:
    bench = bench_of(conv_chain(batch=4), 6, 4)
    found = settle(bench.graph, bench.graph.quantizable[1].input, bench.data)
    assert [k.extremes.samples for k in found.checkpoints] == [1, 2, 4, 6]


def test_progress_counts_all_samples(bench: Any) -> None:
    seen: list[tuple[int, int]] = []
    settle(bench.graph, "x", bench.data, bench.data, lambda *p: seen.append(p))
    assert seen[-1] == (40, 40)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_tensor_that_is_not_there_is_refused(bench: Any) -> None:
    with pytest.raises(ModelError, match="no tensor 'nowhere'"):
        settle(bench.graph, "nowhere", bench.data)
