"""Ranges from histograms against the same ranges from all the values."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from quant_core.errors import PlanError
from quant_core.formats import FORMATS, Scheme, affine_parameters, fake_quantize, find_range
from quant_core.stats import Ranges, StreamingHistogram


def activations(kind: str) -> NDArray[np.float32]:
    rng = np.random.default_rng(7)
    raw = {
        "normal": rng.normal(size=20_000),
        "relu": np.maximum(rng.normal(size=20_000), 0),
        "outliers": np.concatenate([rng.normal(size=20_000), [40.0, -25.0]]),
        "shifted": rng.normal(size=20_000) + 30,
        "few values": rng.integers(0, 3, 20_000) * 0.3,
    }[kind]
    return raw.astype(np.float32)


KINDS = ["normal", "relu", "outliers", "shifted", "few values"]


def ranges_of(values: NDArray[np.float32]) -> tuple[Ranges, StreamingHistogram]:
    histogram = StreamingHistogram()
    for batch in np.array_split(values, 13):
        histogram.add(batch)
    return Ranges({"t": histogram}), histogram


@pytest.mark.parametrize("kind", KINDS)
def test_minmax_is_exact(kind: str) -> None:
    values = activations(kind)
    found = ranges_of(values)[0].find("t", Scheme("uint8", "tensor", False))
    assert found == (float(values.min()), float(values.max()))


@pytest.mark.parametrize("kind", ["normal", "relu", "outliers", "shifted"])
@pytest.mark.parametrize("share", [99.0, 99.9])
def test_percentiles_are_within_a_bin_of_numpys(kind: str, share: float) -> None:
    values = activations(kind)
    ranges, histogram = ranges_of(values)
    found = ranges.find("t", Scheme("uint8", "tensor", False, f"percentile:{share}"))
    expected = np.percentile(values.astype(np.float64), [(100 - share) / 2, (100 + share) / 2])
    between = np.diff(np.sort(values))[[10, -11]].max()  # values lie this far apart in the tails
    np.testing.assert_allclose(found, expected, atol=2 * histogram.width + 10 * between)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["uint2", "uint4", "uint8"])
def test_mse_loses_no_more_than_on_the_values_themselves(kind: str, name: str) -> None:
    values, number = activations(kind), FORMATS[name]

    def error(low: float, high: float) -> float:
        scale, zero = affine_parameters(low, high, number, False)
        return float(np.square(fake_quantize(values, scale, zero, number) - values).sum(dtype=np.float64))

    found = ranges_of(values)[0].find("t", Scheme(name, "tensor", False, "mse"))
    low, high = find_range(values[None], "mse", number, False)
    assert error(*found) <= 1.02 * error(float(low[0]), float(high[0])) + 1e-6
    assert error(*found) <= 1.02 * error(float(values.min()), float(values.max())) + 1e-6


def test_a_range_never_leaves_what_was_seen() -> None:
    values = activations("normal")
    ranges, _ = ranges_of(values)
    for method in ("percentile:99.99", "percentile:100"):
        low, high = ranges.find("t", Scheme("uint8", "tensor", False, method))
        assert values.min() <= low < high <= values.max()


def test_percentile_100_is_the_whole_range() -> None:
    values = activations("outliers")
    found = ranges_of(values)[0].find("t", Scheme("uint8", "tensor", False, "percentile:100"))
    np.testing.assert_allclose(found, (values.min(), values.max()), rtol=1e-5)


@pytest.mark.parametrize("histograms", [{}, {"t": StreamingHistogram()}], ids=["unknown", "empty"])
def test_a_tensor_that_was_not_calibrated_is_refused(histograms: dict[str, StreamingHistogram]) -> None:
    with pytest.raises(PlanError, match="not measured"):
        Ranges(histograms).find("t", Scheme("uint8"))


NAMES = ["t", "a/b:0", "../x", "ü\n", "nul\0", ""]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["minmax", "mse", "percentile:99.9", "percentile:99.99"])
def test_a_file_gives_the_same_ranges(kind: str, method: str) -> None:
    histogram = ranges_of(activations(kind))[1]
    ranges = Ranges({**dict.fromkeys(NAMES, histogram), "empty": StreamingHistogram()})
    again = Ranges.from_bytes(ranges.to_bytes())
    assert list(again.histograms) == [*NAMES, "empty"]
    assert again.histograms["empty"].count == 0
    for name in NAMES:
        for scheme in (Scheme("uint4", "tensor", False, method), Scheme("int8", "tensor", True, method)):
            assert again.find(name, scheme) == ranges.find(name, scheme)


def test_a_file_without_ranges() -> None:
    assert Ranges.from_bytes(Ranges({}).to_bytes()).histograms == {}


def test_a_damaged_file_is_refused() -> None:
    whole = ranges_of(activations("normal"))[0].to_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for content in (b"", b"PK", whole[: len(whole) // 2], whole[:-30], bytes(flipped), b"no archive at all"):
        with pytest.raises(ValueError):
            Ranges.from_bytes(content)
