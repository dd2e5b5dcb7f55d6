"""What the Weights page shows of one layer: its histogram with the grid of a scheme, and the error of each
format.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quant_core.formats import QuantizedTensor, Scheme, from_rows, sqnr_db, sqnr_from_power, to_rows
from quant_core.graph import Layer
from quant_core.study.study import Study

BINS = 200
_PER_BIN = 4  # few weights get few bins
COMPARED = (
    Scheme("fp16"),
    Scheme("bf16"),
    Scheme("int16", "channel"),
    Scheme("int8", "tensor"),
    Scheme("int8", "channel"),
    Scheme("int8", "channel", False, "mse"),
    Scheme("int4", "tensor", True, "mse"),
    Scheme("int4", "channel", True, "minmax"),
    Scheme("int4", "channel", True, "mse"),
    Scheme("int4", "channel", False, "mse"),
    Scheme("int4", "group:32", True, "mse"),
    Scheme("int4", "group:32", False, "mse"),
    Scheme("int2", "channel", False, "mse"),
    Scheme("int2", "group:32", False, "mse"),
)
PANELS = (
    Scheme("int8", "channel", True, "minmax"),
    Scheme("int4", "channel", True, "minmax"),
    Scheme("int4", "channel", True, "mse"),
    Scheme("int4", "channel", False, "mse"),
    Scheme("int2", "channel", True, "mse"),
    Scheme("int2", "channel", False, "mse"),
)


@dataclass(frozen=True)
class WeightHistogram:
    """Weights binned for drawing. `edges` `[bins + 1]`, `counts` `[bins]`.

    In `steps` the axis is x / scale + zero point, each weight by its own scale; otherwise it is the weight
    itself. `grid` are the values that have a code (None for a float format), `low` and `high` the first and
    last of them. `clipped` is the share of weights beyond."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    steps: bool
    grid: NDArray[np.float64] | None
    low: float | None
    high: float | None
    clipped: float
    error: float
    worst: float


def weight_histogram(
    study: Study, layer: Layer, scheme: Scheme, channel: int | None = None
) -> WeightHistogram:
    """The histogram of all weights of `layer`, or of one output channel, with the grid of `scheme`.

    Where several scales are in view the axis is in steps, since each has a grid of its own.
    """
    weights, tensor = study.graph.weights(layer), study.quantized(layer, scheme)
    decoded = tensor.decode()
    shown, approximated = (
        x if channel is None else np.take(x, channel, axis=layer.axis) for x in (weights, decoded)
    )
    error, worst = sqnr_db(shown, approximated), float(np.abs(approximated - shown).max(initial=0.0))
    if tensor.scale is None or tensor.zero_point is None:
        counts, edges = np.histogram(shown, _bins(shown.size))
        return WeightHistogram(edges, counts, False, None, None, None, 0.0, error, worst)
    number = scheme.number
    codes = np.arange(number.qmin, number.qmax + 1, dtype=np.float64)
    grouped = bool(tensor.layout.group)
    one_scale = tensor.layout.granularity == "tensor" or (channel is not None and not grouped)
    positions = _steps(weights, tensor)
    steps = positions if channel is None else np.take(positions, channel, axis=layer.axis)
    outside = float(np.mean((np.rint(steps) < number.qmin) | (np.rint(steps) > number.qmax)))
    if one_scale:
        row = 0 if tensor.layout.granularity == "tensor" else int(channel or 0)
        grid = (codes - int(tensor.zero_point[row])) * float(tensor.scale[row])
        counts, edges = np.histogram(shown, _bins(shown.size))
    else:
        grid = codes
        counts, edges = np.histogram(steps, _bins(steps.size))
    return WeightHistogram(
        edges, counts, not one_scale, grid, float(grid[0]), float(grid[-1]), outside, error, worst
    )


def _bins(count: int) -> int:
    return max(12, min(BINS, count // _PER_BIN))


def _steps(weights: NDArray[np.float32], tensor: QuantizedTensor) -> NDArray[np.float64]:
    """x / scale + zero point of each weight, in the shape of the tensor."""
    assert tensor.scale is not None and tensor.zero_point is not None
    rows = to_rows(weights, tensor.layout).astype(np.float64)
    steps = rows / tensor.scale[:, None].astype(np.float64) + tensor.zero_point[:, None]
    return np.asarray(from_rows(steps, tensor.layout), np.float64)


def format_errors(study: Study, layer: Layer) -> pd.DataFrame:
    """The weights of `layer` in each of the compared schemes.

    Columns: format, granularity, symmetric, range, bits_per_weight (scales and zero points included), bytes,
    sqnr_db, worst_error."""
    weights = study.graph.weights(layer)
    rows = []
    for scheme in COMPARED:
        tensor = study.quantized(layer, scheme)
        decoded = tensor.decode()
        rows.append(
            {
                **scheme.to_json(),
                "granularity": tensor.layout.granularity,
                "bits_per_weight": tensor.bits / max(1, weights.size),
                "bytes": -(-tensor.bits // 8),
                "sqnr_db": sqnr_db(weights, decoded),
                "worst_error": float(np.abs(decoded - weights).max(initial=0.0)),
            }
        )
    table = pd.DataFrame(rows)
    # Where a channel is too small for groups, two schemes are one.
    return table.drop_duplicates(["format", "granularity", "symmetric", "range"], ignore_index=True)


def weight_summary(study: Study, layer: Layer) -> dict[str, float]:
    """Minimum, maximum, mean, standard deviation, excess kurtosis, sparsity, and the share beyond four
    deviations.
    """
    x = study.graph.weights(layer).astype(np.float64).ravel()
    mean, deviation = float(x.mean()), float(x.std())
    centred = (x - mean) / deviation if deviation > 0 else np.zeros_like(x)
    return {
        "minimum": float(x.min()),
        "maximum": float(x.max()),
        "mean": mean,
        "deviation": deviation,
        "kurtosis": float((centred**4).mean() - 3.0) if deviation > 0 else 0.0,
        "sparsity": float((x == 0).mean()),
        "outliers": float((np.abs(centred) > 4).mean()),
    }


def widest_channel(study: Study, layer: Layer) -> tuple[int, float]:
    """The output channel with the widest range of weights, and how many times the median range that is."""
    table = channel_ranges(study, layer)
    width = (table["high"] - table["low"]).to_numpy(float)
    median = float(np.median(width))
    widest = int(width.argmax())
    return widest, float(width[widest] / median) if median > 0 else 1.0


def channel_ranges(study: Study, layer: Layer) -> pd.DataFrame:
    """Lowest and highest weight of each output channel; columns channel, low, high, and outlier: whether the
    range is more than twice the median one, so that one scale for all would cost the others a bit.
    """
    rows = _channels(study.graph.weights(layer), layer)
    low, high = rows.min(axis=1), rows.max(axis=1)
    width = high.astype(np.float64) - low
    outlier = width > 2 * np.median(width)
    return pd.DataFrame({"channel": np.arange(len(rows)), "low": low, "high": high, "outlier": outlier})


def channel_errors(study: Study, layer: Layer, scheme: Scheme) -> pd.DataFrame:
    """As `channel_ranges`, with what `scheme` costs in each: columns sqnr_db, of the channel alone, and share
    of the squared error of the whole layer.
    """
    weights = study.graph.weights(layer)
    exact = _channels(weights, layer).astype(np.float64)
    error = np.square(_channels(study.quantized(layer, scheme).decode(), layer) - exact).sum(axis=1)
    signal = np.square(exact).sum(axis=1)
    ratios = [sqnr_from_power(s, n) if s else 200.0 for s, n in zip(signal, error, strict=True)]
    total = float(error.sum())
    return channel_ranges(study, layer).assign(sqnr_db=ratios, share=error / total if total else 0.0)


def _channels(weights: NDArray[np.float32], layer: Layer) -> NDArray[np.float32]:
    """`[channels, weights of one]`."""
    count = layer.shape[layer.axis] if layer.shape else 1
    return np.moveaxis(weights, layer.axis, 0).reshape(count, -1) if layer.shape else weights.reshape(1, -1)


@dataclass(frozen=True)
class Panel:
    """One scheme on the weights of one channel: `grid` `[levels]`, SQNR in dB of that channel."""

    scheme: Scheme
    seen: WeightHistogram


def panels(study: Study, layer: Layer, channel: int) -> list[Panel]:
    """A channel of `layer` under several formats, from many levels to few."""
    return [Panel(scheme, weight_histogram(study, layer, scheme, channel)) for scheme in PANELS]
