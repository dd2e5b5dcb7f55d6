"""Calibration sees what really enters each layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from quant_core.engine import calibrate, with_outputs
from quant_core.engine.calibrate import by_sample
from quant_core.formats import Scheme
from tests.models import conv_chain, dataset, matmul_chain, simulate, tied_language_model

UINT8 = Scheme("uint8", "tensor", False)


@pytest.mark.parametrize("make", [conv_chain, matmul_chain], ids=lambda f: f.__name__)
def test_ranges_are_those_of_the_tensors(bench_of: Callable[..., Any], make: Callable[[], Any]) -> None:
    bench = bench_of(make())
    names = [x.input for x in bench.graph.quantizable]
    inner = [n for n in names if n != "x"]
    values = simulate(with_outputs(bench.graph.model, inner), bench.data.arrays)[1:]
    tensors = {**bench.data.arrays, **dict(zip(inner, values, strict=True))}
    for name in names:
        low, high = bench.ranges.find(name, UINT8)
        np.testing.assert_allclose(
            [low, high], [tensors[name].min(), tensors[name].max()], rtol=1e-4, atol=1e-5
        )
        histogram = bench.ranges.histograms[name]
        assert histogram.count == histogram.occupied()[1].sum() == tensors[name].size


def test_indices_are_not_calibrated(bench_of: Callable[..., Any]) -> None:
    bench = bench_of(tied_language_model())
    assert set(bench.ranges.histograms) == {"e", "r"}


@pytest.mark.parametrize("samples", [4, 6])
def test_what_fills_up_a_fixed_batch_is_not_counted(bench_of: Callable[..., Any], samples: int) -> None:
    bench = bench_of(conv_chain(batch=4), samples, 4)
    counts = {name: h.count for name, h in bench.ranges.histograms.items()}
    assert counts["x"] == samples * 3 * 64
    assert sorted(counts.values()) == sorted([samples * 8 * 64] * 2 + [samples * 3 * 64, samples * 8])


def test_the_order_of_samples_does_not_matter(bench: Any) -> None:
    turned = dataset({"x": bench.data.arrays["x"][::-1].copy()})
    other = calibrate(bench.graph, turned)
    for name, histogram in bench.ranges.histograms.items():
        again = other.histograms[name]
        assert again.minimum == pytest.approx(histogram.minimum, rel=1e-5)
        assert again.count == histogram.count
        assert np.abs(again.occupied()[1].sum() - histogram.occupied()[1].sum()) == 0


def test_progress_counts_samples(bench: Any) -> None:
    seen: list[tuple[int, int]] = []
    calibrate(bench.graph, bench.data, lambda *p: seen.append(p))
    assert seen[-1] == (20, 20)


def test_extremes_are_those_of_the_samples(bench: Any) -> None:
    flat = bench.data.arrays["x"].reshape(20, -1).astype(np.float64)
    extremes = bench.ranges.histograms["x"].extremes
    np.testing.assert_allclose(extremes.average, (flat.min(axis=1).mean(), flat.max(axis=1).mean()))
    largest = np.abs(flat).max(axis=1)
    assert [number for _, number in extremes.top] == np.argsort(-largest, kind="stable")[:8].tolist()
    for histogram in bench.ranges.histograms.values():
        assert (histogram.extremes.samples, histogram.extremes.measured) == (20, 20)


def test_rows_are_samples() -> None:
    """Also where the first axis counts samples times tokens; what has no such axis is one row."""
    values = np.arange(24, dtype=np.float32)
    assert by_sample(values.reshape(4, 6), 4).shape == (4, 6)
    tokens = by_sample(values.reshape(12, 2), 4)
    np.testing.assert_array_equal(tokens, values.reshape(4, 6))
    assert by_sample(values.reshape(3, 8), 4).shape == (1, 24)
    assert by_sample(np.float32(3).reshape(()), 4).shape == (1, 1)
