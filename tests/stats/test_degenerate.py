"""Histograms and ranges of values that have no shape to speak of: defined, finite, and without a warning."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from quant_core.errors import FormatError, PlanError
from quant_core.formats import Scheme, affine_parameters, fake_quantize
from quant_core.stats import Ranges, StreamingHistogram, noise_of

pytestmark = pytest.mark.filterwarnings("error")

METHODS = ["minmax", "average", "percentile:99.9", "mse", "octav", "entropy"]
KINDS: dict[str, NDArray[np.float64]] = {
    "zeros": np.zeros((4, 50)),
    "constant": np.full((4, 50), 7.25),
    "below zero": np.full((4, 50), -1e-3),
    "one value": np.array([[3.0]]),
    "subnormal": np.linspace(-1e-42, 1e-42, 200).reshape(4, 50),
    "smallest": np.array([[1e-45, 0.0], [0.0, -1e-45]]),
    "largest": np.linspace(-3.4e38, 3.4e38, 200).reshape(4, 50),
    "without zero": np.linspace(100, 101, 200).reshape(4, 50),
    "both far apart": np.array([[1e-30, 1e30], [-1e30, -1e-30]]),
    "partly finite": np.array([[1.0, np.nan], [np.inf, -2.0], [np.nan, np.nan]]),
}


def histogram_of(values: NDArray[np.float64]) -> StreamingHistogram:
    histogram = StreamingHistogram()
    for batch in np.array_split(values.astype(np.float32), 2):
        histogram.add(batch)
    return histogram


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "symmetric"), [("uint8", False), ("int8", True), ("uint2", False), ("int16", True)]
)
def test_ranges_and_noise_are_finite(kind: str, method: str, name: str, symmetric: bool) -> None:
    histogram, scheme = histogram_of(KINDS[kind]), Scheme(name, "tensor", symmetric, method)
    low, high = Ranges({"t": histogram}).find("t", scheme)
    assert np.isfinite([low, high]).all()
    assert low <= high
    # The search also tries a little more than the range.
    assert low >= min(histogram.minimum, 0) * 1.2 or low >= histogram.minimum
    assert high <= max(histogram.maximum, 0) * 1.2 or high <= histogram.maximum
    noise = noise_of(histogram, scheme, low, high)
    assert np.isfinite([noise.signal, noise.noise, noise.clipped, noise.step, noise.sqnr_db]).all()
    scale, zero = affine_parameters(low, high, scheme.number, symmetric)
    finite = KINDS[kind][np.isfinite(KINDS[kind])].astype(np.float32)
    assert np.isfinite(fake_quantize(finite, scale, zero, scheme.number)).all()


@pytest.mark.parametrize("values", [np.zeros((0, 3)), np.zeros((3, 0)), np.full((2, 3), np.nan)])
@pytest.mark.parametrize("method", METHODS)
def test_nothing_measured_has_no_range(values: NDArray[np.float64], method: str) -> None:
    histogram = histogram_of(values)
    with pytest.raises(PlanError, match="not measured"):
        Ranges({"t": histogram}).find("t", Scheme("uint8", "tensor", False, method))
    assert noise_of(histogram, Scheme("uint8"), 0.0, 1.0).noise == 0.0


def test_a_constant_is_kept_as_well_as_the_grid_allows() -> None:
    histogram = histogram_of(KINDS["constant"])
    low, high = Ranges({"t": histogram}).find("t", Scheme("uint8", "tensor", False))
    assert noise_of(histogram, Scheme("uint8", "tensor", False), low, high).sqnr_db > 100


@pytest.mark.parametrize("name", ["fp32", "fp16"])
def test_a_format_without_a_scale_has_no_noise_to_foretell(name: str) -> None:
    with pytest.raises(FormatError, match="no scale"):
        noise_of(histogram_of(KINDS["constant"]), Scheme(name), 0.0, 1.0)


def test_zeros_leave_the_bins_exactly_also_with_a_stride() -> None:
    rng = np.random.default_rng(3)
    histogram = StreamingHistogram()
    values = np.maximum(rng.normal(size=(5, 4000)), 0).astype(np.float32)
    histogram.add(values, keep=3001)
    part = values.reshape(-1)[:: values.size // 3001]
    assert histogram.without_zeros().counts.sum() == np.count_nonzero(part)
    assert (histogram.occupied(zeros=False)[1] > 0).all()
    assert histogram.zeros == np.count_nonzero(values == 0)
