"""How many samples are enough, and whether a range holds on others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from quant_core.errors import PlanError
from quant_core.formats import Scheme
from quant_core.stats import (
    Checkpoints,
    Ranges,
    Snapshot,
    StreamingHistogram,
    drift,
    enough,
    noise_of,
    settling,
)

UINT8 = Scheme("uint8", "tensor", False)
METHODS = ["minmax", "average", "percentile:99.9", "mse", "octav", "entropy"]


def samples(count: int, seed: int = 0, spread: float = 1.0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (np.maximum(rng.normal(size=(count, 200)), 0) * spread).astype(np.float32)


def many(seed: int) -> NDArray[np.float32]:
    """Samples enough for the tails of a distribution."""
    return samples(2000, seed)


def checkpoints_of(values: NDArray[np.float32], batch: int) -> tuple[Snapshot, ...]:
    checkpoints = Checkpoints()
    for start in range(0, len(values), batch):
        checkpoints.add(values[start : start + batch])
    return checkpoints.snapshots()


def filled(values: NDArray[np.float32]) -> StreamingHistogram:
    histogram = StreamingHistogram()
    histogram.add(values)
    return histogram


@pytest.mark.parametrize("batch", [1, 3, 8, 100])
def test_checkpoints_lie_at_powers_of_two_and_at_the_end(batch: int) -> None:
    found = checkpoints_of(samples(50), batch)
    assert [k.extremes.samples for k in found] == [1, 2, 4, 8, 16, 32, 50]
    for kept in found:
        values = samples(50)[: kept.extremes.samples]
        assert (kept.minimum, kept.maximum, kept.count) == (values.min(), values.max(), values.size)
    assert [k.extremes.samples for k in checkpoints_of(samples(16), batch)] == [1, 2, 4, 8, 16]
    assert checkpoints_of(samples(0), batch) == ()


def test_every_sample_enters_the_bins_with_about_the_same_share() -> None:
    checkpoints = Checkpoints()
    for start in range(0, 64, 8):
        checkpoints.add(samples(64)[start : start + 8], keep=400)
    counts = [int(k.counts.sum()) for k in checkpoints.snapshots()]
    assert counts == [50 * n for n in (1, 2, 4, 8, 16, 32, 64)]


def test_the_table_holds_the_range_and_what_it_does_to_all_samples() -> None:
    values = samples(40)
    table = settling(checkpoints_of(values, 8), UINT8, METHODS)
    assert list(table.columns) == ["samples", "method", "low", "high", "sqnr_db"]
    assert len(table) == 7 * len(METHODS)
    for row in table.itertuples():
        scheme = Scheme("uint8", "tensor", False, row.method)
        low, high = Ranges({"t": filled(values[: row.samples])}).find("t", scheme)
        np.testing.assert_allclose([row.low, row.high], [low, high], rtol=2e-3)
        assert row.sqnr_db == pytest.approx(noise_of(filled(values), scheme, low, high).sqnr_db, abs=0.1)


def test_nothing_seen_gives_an_empty_table() -> None:
    nothing = checkpoints_of(np.full((4, 3), np.nan, np.float32), 2)
    for kept in ((), nothing):
        table = settling(kept, UINT8, METHODS)
        assert table.empty and list(table.columns) == ["samples", "method", "low", "high", "sqnr_db"]
        assert enough(table) == {}


def test_checkpoints_before_the_first_finite_value_are_left_out() -> None:
    values = samples(8)
    values[:3] = np.nan
    assert settling(checkpoints_of(values, 8), UINT8, ["minmax"])["samples"].tolist() == [4, 8]


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [([30, 39.6, 40], 2), ([39.5, 39.6, 40], 1), ([39.6, 30, 40], 4), ([41, 39.6, 40], 2), ([40], 1)],
)
def test_enough_is_where_the_ratio_stays(ratios: list[float], expected: int) -> None:
    rows = [{"samples": 2**i, "method": "minmax", "sqnr_db": r} for i, r in enumerate(ratios)]
    other = [{"samples": 2**i, "method": "mse", "sqnr_db": 20.0} for i in range(len(ratios))]
    assert enough(pd.DataFrame(rows + other).sample(frac=1, random_state=1)) == {"minmax": expected, "mse": 1}


def test_equal_samples_are_enough_at_once_and_growing_ones_never() -> None:
    equal = np.repeat(samples(1), 32, axis=0)
    assert enough(settling(checkpoints_of(equal, 8), UINT8, ["minmax", "mse"])) == {"minmax": 1, "mse": 1}
    growing = equal * (1 + np.arange(32, dtype=np.float32)[:, None])
    assert enough(settling(checkpoints_of(growing, 8), UINT8, ["minmax"]))["minmax"] == 32


@pytest.mark.parametrize("method", METHODS)
def test_samples_of_one_source_do_not_drift(method: str) -> None:
    scheme = Scheme("uint8", "tensor", False, method)
    found = drift(filled(many(0)), filled(many(1)), scheme)
    assert not found.alarm
    assert found.outside < 0.01
    assert abs(found.loss_db) < 3


@pytest.mark.parametrize("method", METHODS)
def test_brighter_samples_drift(method: str) -> None:
    scheme = Scheme("uint8", "tensor", False, method)
    found = drift(filled(samples(64)), filled(samples(64, seed=1, spread=4.0)), scheme)
    assert found.alarm
    assert found.loss_db > 3
    assert found.sqnr_db == pytest.approx(found.own_sqnr_db - found.loss_db)


def test_the_share_outside_is_that_of_the_values() -> None:
    others = samples(64, seed=1, spread=2.0)
    found = drift(filled(samples(64)), filled(others), UINT8)
    assert found.outside == pytest.approx(float(np.mean(others > found.high)), abs=1e-3)


def test_the_share_outside_raises_the_alarm_only_for_ranges_that_clip_nothing() -> None:
    mine = samples(64)
    clip = Scheme("uint8", "tensor", False, "percentile:60")
    assert drift(filled(mine), filled(mine), clip).outside > 0.01
    assert not drift(filled(mine), filled(mine), clip).alarm
    # A coarse grid hides what is outside: 1.5 % of the values, well below 3 dB.
    others = np.full((10, 1000), 0.4, np.float32)
    others[:, :15] = 1.4
    calm = np.array([[0.0, 1.0]], np.float32)
    for method, expected in (("minmax", True), ("percentile:100", True), ("dynamic", True)):
        found = drift(filled(calm), filled(others), Scheme("uint2", "tensor", False, method))
        assert (found.alarm, found.outside) == (expected, pytest.approx(0.015))
        assert found.loss_db < 3


def test_drift_needs_both() -> None:
    some, none = filled(samples(4)), StreamingHistogram()
    for pair in ((some, none), (none, some)):
        with pytest.raises(PlanError, match="not measured"):
            drift(*pair, UINT8)


@pytest.mark.parametrize("name", ["fp8_e4m3", "fp4_e2m1"])
def test_small_floats_settle_too(name: str) -> None:
    scheme = Scheme(name, "tensor", True)
    table = settling(checkpoints_of(samples(32), 8), scheme, METHODS)
    assert np.isfinite(table[["low", "high", "sqnr_db"]].to_numpy()).all()
    assert set(enough(table)) == set(METHODS)
