"""The noise that a histogram foretells against the noise on the values themselves."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from quant_core.formats import Scheme, affine_parameters, fake_quantize, quantize, sqnr_db
from quant_core.stats import Noise, Ranges, StreamingHistogram, noise_of

METHODS = ["minmax", "mse", "percentile:99.9", "percentile:99.99"]


def drawn(kind: str) -> NDArray[np.float32]:
    rng = np.random.default_rng(11)
    normal = rng.normal(size=60_000)
    raw = {
        "normal": normal,
        "relu": np.maximum(normal - 0.5, 0),
        "relu6": np.clip(3 * normal, 0, 6),
        "outliers": np.concatenate([normal, [60.0, -25.0]]),
        "shifted": normal + 30,
        "pixels": rng.integers(0, 256, 60_000) / 255,
        "few values": rng.integers(0, 17, 60_000) / 16,
    }[kind]
    return raw.astype(np.float32)


def both(values: NDArray[np.float32], scheme: Scheme) -> tuple[Noise, float, tuple[float, float], float]:
    """The noise by histogram, the SQNR of the values (dB), the ends of the range, and the bin width."""
    histogram = StreamingHistogram()
    for batch in np.array_split(values, 7):
        histogram.add(batch)
    low, high = Ranges({"t": histogram}).find("t", scheme)
    scale, zero = affine_parameters(low, high, scheme.number, scheme.symmetric)
    direct = sqnr_db(values, fake_quantize(values, scale, zero, scheme.number))
    return noise_of(histogram, scheme, low, high), direct, (low, high), histogram.width


@pytest.mark.parametrize("kind", ["normal", "relu", "relu6", "outliers", "shifted", "few values"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["uint2", "uint4", "uint8", "int4", "int8", "int16"])
def test_the_ratio_is_that_of_the_values(kind: str, method: str, name: str) -> None:
    scheme = Scheme(name, "tensor", not name.startswith("u"), method)
    found, direct, _, _ = both(drawn(kind), scheme)
    # float32 arithmetic shows at 16 bits, and bins of equal values that lie across a change of code.
    assert found.sqnr_db == pytest.approx(direct, abs=0.5 if name == "int16" else 0.05)


@pytest.mark.parametrize("kind", ["normal", "relu", "outliers", "shifted"])
@pytest.mark.parametrize("method", ["minmax", "mse"])
@pytest.mark.parametrize("name", ["fp8_e4m3", "fp8_e5m2", "fp6_e2m3", "fp4_e2m1", "nf4", "ternary", "int3"])
def test_the_ratio_of_uneven_grids_is_that_of_the_values(kind: str, method: str, name: str) -> None:
    found, direct, _, _ = both(drawn(kind), Scheme(name, "tensor", True, method))
    assert found.sqnr_db == pytest.approx(direct, abs=0.05)


def test_values_that_lie_on_the_grid_lose_nothing() -> None:
    found, direct, _, _ = both(drawn("pixels"), Scheme("uint8", "tensor", False))
    assert direct > 120
    assert found.sqnr_db > 120


@pytest.mark.parametrize("kind", ["normal", "relu", "outliers", "shifted"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["uint4", "uint8", "int16"])
def test_the_share_that_is_clipped_is_that_of_the_values_to_a_bin(kind: str, method: str, name: str) -> None:
    values, scheme = drawn(kind), Scheme(name, "tensor", name.startswith("i"), method)
    found, _, (low, high), width = both(values, scheme)
    scale, zero = affine_parameters(low, high, scheme.number, scheme.symmetric)
    first = (scheme.number.qmin - int(zero) - 0.5) * float(scale)
    last = (scheme.number.qmax - int(zero) + 0.5) * float(scale)
    most = np.mean((values < first + width) | (values > last - width))
    least = np.mean((values < first - width) | (values > last + width))
    assert least <= found.clipped <= most + 1e-12
    if method == "minmax":
        assert found.clipped == 0
    exact = np.rint(values / scale) + zero != quantize(values, scale, zero, scheme.number)
    assert found.clipped == pytest.approx(np.mean(exact), abs=float(most - least) + 1e-12)


def test_a_stride_changes_the_ratio_little() -> None:
    values = drawn("relu")
    histogram = StreamingHistogram()
    histogram.add(values, keep=6000)
    scheme = Scheme("uint8", "tensor", False)
    found = noise_of(histogram, scheme, 0.0, float(values.max()))
    assert found.sqnr_db == pytest.approx(both(values, scheme)[1], abs=0.2)


def test_nothing_seen_has_no_noise() -> None:
    assert noise_of(StreamingHistogram(), Scheme("uint8"), 0.0, 1.0).noise == 0.0


def test_all_zero_is_equal() -> None:
    found, _, _, _ = both(np.zeros(100, np.float32), Scheme("uint8", "tensor", False))
    assert (found.noise, found.clipped) == (0.0, 0.0)
