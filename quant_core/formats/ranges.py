"""Range methods: from the values that share one scale to the ends of their range.

A row is what shares one scale: the weights of a channel, or the bins of an activation histogram with their
counts.

| method | the range |
|---|---|
| `minmax` | smallest and largest value: nothing is clipped |
| `percentile:P` | holds P % of the values |
| `mse` | least mean-square quantization error, by search |
| `octav` | the same, by the fixed point of Sakr et al. 2022 |
| `entropy` | least KL divergence of the quantized distribution, Migacz 2017 |

`average` and `dynamic` need samples and are no property of a row: `quant_core.stats` and the runtime give
them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quant_core.errors import FormatError
from quant_core.formats.number import Format
from quant_core.formats.range_entropy import entropy_range
from quant_core.formats.range_mse import mse_range
from quant_core.formats.range_octav import octav_range

Rows = NDArray[np.float32]
Ends = tuple[NDArray[np.float64], NDArray[np.float64]]


def find_range(rows: Rows, method: str, number: Format, symmetric: bool, counts: Rows | None = None) -> Ends:
    """Low and high end per row, float64 `[rows]`, by the range method.

    `rows` is `[rows, values]`; `counts`, of the same shape, says how often each value occurs, and rows then
    rise. Rows without values have the range 0 to 0. FormatError where a value is NaN or infinite, and where
    `method` is none of those in the table above."""
    if rows.shape[1] == 0:
        return np.zeros(len(rows)), np.zeros(len(rows))
    low, high = minmax_range(rows)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise FormatError("the values hold NaN or infinite ones", "leave them in fp32, or take those out")
    if method == "minmax":
        return low, high
    if method == "mse":
        return mse_range(rows, number, symmetric, counts)
    if method == "octav":
        return octav_range(rows, number, symmetric, counts)
    if method == "entropy":
        return entropy_range(rows, number, symmetric, counts)
    if method.startswith("percentile:"):
        return percentile_range(rows, float(method.split(":")[1]), counts)
    raise FormatError(
        f"'{method}' does not give a range from values alone",
        "choose minmax, percentile:P, mse, octav or entropy",
    )


def minmax_range(rows: Rows) -> Ends:
    """The smallest and the largest value of each row, `[rows]`. Nothing is clipped; one outlier sets the
    step.
    """
    return rows.min(axis=1).astype(np.float64), rows.max(axis=1).astype(np.float64)


def percentile_range(rows: Rows, percentile: float, counts: Rows | None = None) -> Ends:
    """The range that holds `percentile` % of the values, the same share cut off at either end.

    Without counts, ends between two values are interpolated. Source: Wu et al. 2020, "Integer Quantization
    for Deep Learning Inference", on calibration, there for magnitudes; here each end has its own."""
    tail = (100.0 - percentile) / 200.0
    if counts is None:
        ends = np.quantile(rows.astype(np.float64), [tail, 1.0 - tail], axis=1)
        return ends[0], ends[1]
    low = np.empty(len(rows))
    high = np.empty(len(rows))
    for i, (values, weight) in enumerate(zip(rows, counts, strict=True)):
        cumulative = np.cumsum(weight, dtype=np.float64)
        total = cumulative[-1]
        low[i] = values[min(int(np.searchsorted(cumulative, tail * total, "right")), values.size - 1)]
        high[i] = values[min(int(np.searchsorted(cumulative, (1.0 - tail) * total, "left")), values.size - 1)]
    return low, high
