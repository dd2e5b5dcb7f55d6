"""What the Weights page shows of one layer: its histogram with the grid of a scheme, and its channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quant_core.formats import (
    Format,
    QuantizedTensor,
    Scheme,
    from_rows,
    quantize_tensor,
    sqnr_db,
    sqnr_from_power,
    to_rows,
)
from quant_core.graph import Layer
from quant_core.study.study import Study

BINS = 200
_PER_BIN = 4  # few weights get few bins
PANELS = (
    Scheme("int8", "channel", True, "minmax"),
    Scheme("int4", "channel", True, "minmax"),
    Scheme("int4", "channel", True, "mse"),
    Scheme("int4", "channel", False, "mse"),
    Scheme("fp4_e2m1", "channel", True, "mse"),
    Scheme("codebook4", "channel"),
    Scheme("int2", "channel", False, "mse"),
    Scheme("ternary", "channel", True, "mse"),
    Scheme("binary", "channel"),
)


@dataclass(frozen=True)
class WeightHistogram:
    """Weights binned for drawing. `edges` `[bins + 1]`, `counts` `[bins]`.

    In `steps` the axis is x / scale + zero point, each weight by its own scale; otherwise it is the weight
    itself. `grid` are the values that have a code (None for a float format), `low` and `high` the first and
    last of them. `clipped` is the share of weights beyond; `noise` `[bins]` each bin's share of the squared
    error."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    steps: bool
    grid: NDArray[np.float64] | None
    low: float | None
    high: float | None
    clipped: float
    error: float
    worst: float
    noise: NDArray[np.float64]


def weight_histogram(
    study: Study, layer: Layer, scheme: Scheme, channel: int | None = None
) -> WeightHistogram:
    """The histogram of all weights of `layer`, or of one output channel, with the grid of `scheme`.

    Where several scales are in view the axis is in steps, since each has a grid of its own.
    """
    return histogram_of(study.graph.weights(layer), study.quantized(layer, scheme), layer.axis, channel)


def histogram_of(
    weights: NDArray[np.float32], tensor: QuantizedTensor, axis: int, channel: int | None
) -> WeightHistogram:
    """As `weight_histogram`, of `weights` with output channels on `axis`, quantized as `tensor`."""
    shown, approximated = (
        x if channel is None else np.take(x, channel, axis=axis) for x in (weights, tensor.decode())
    )
    error, worst = sqnr_db(shown, approximated), float(np.abs(approximated - shown).max(initial=0.0))
    squared = np.square(approximated.astype(np.float64) - shown)
    row = _row(tensor, channel)
    steps = row is None and tensor.table is None and tensor.scale is not None
    places = shown.astype(np.float64)
    if steps:
        places = _steps(weights, tensor)
        places = places if channel is None else np.take(places, channel, axis=axis)
    edges = np.histogram_bin_edges(places, _bins(places.size))
    counts, _ = np.histogram(places, edges)
    noise, _ = np.histogram(places, edges, weights=squared)
    grid = _grid(tensor, row) if row is not None else _codes_grid(tensor.scheme.number) if steps else None
    return WeightHistogram(
        edges,
        counts,
        steps,
        grid,
        None if grid is None else float(grid[0]),
        None if grid is None else float(grid[-1]),
        _outside(weights, tensor, axis, channel),
        error,
        worst,
        noise / max(float(squared.sum()), np.finfo(np.float64).tiny),
    )


def _row(tensor: QuantizedTensor, channel: int | None) -> int | None:
    """The one row of scales or tables that is in view, None where there are several or none."""
    layout = tensor.layout
    if tensor.scheme.number.kind == "float" or layout.group:
        return None
    if layout.granularity == "tensor":
        return 0
    return None if channel is None else channel // layout.channels


def _grid(tensor: QuantizedTensor, row: int) -> NDArray[np.float64]:
    """The values that one scale or table allows, rising."""
    if tensor.table is not None:
        return np.unique(tensor.table[row]).astype(np.float64)
    assert tensor.scale is not None and tensor.zero_point is not None
    return (_codes_grid(tensor.scheme.number) - int(tensor.zero_point[row])) * float(tensor.scale[row])


def _codes_grid(number: Format) -> NDArray[np.float64]:
    """The grid at scale 1: every code of an integer format, before its zero point is taken off."""
    return number.grid().astype(np.float64)


def _outside(weights: NDArray[np.float32], tensor: QuantizedTensor, axis: int, channel: int | None) -> float:
    """The share of the weights in view that lie beyond the first and last code."""
    if tensor.scale is None:
        return 0.0
    number, steps = tensor.scheme.number, _steps(weights, tensor)
    steps = steps if channel is None else np.take(steps, channel, axis=axis)
    if number.kind == "integer":
        steps = np.rint(steps)
        return float(np.mean((steps < number.qmin) | (steps > number.qmax)))
    return float(np.mean(np.abs(steps) > number.largest * (1 + 1e-6)))


def _bins(count: int) -> int:
    return max(12, min(BINS, count // _PER_BIN))


def _steps(weights: NDArray[np.float32], tensor: QuantizedTensor) -> NDArray[np.float64]:
    """x / scale + zero point of each weight, in the shape of the tensor."""
    assert tensor.scale is not None and tensor.zero_point is not None
    rows = to_rows(weights, tensor.layout).astype(np.float64)
    scale = np.where(tensor.scale > 0, tensor.scale, 1.0).astype(np.float64)  # a block may underflow to 0
    steps = rows / scale[:, None] + tensor.zero_point[:, None]
    return np.asarray(from_rows(steps, tensor.layout), np.float64)


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
    """A channel of `layer` under several formats, from many levels to few. Each has scales or tables of its
    own for each channel, so that the others need not be quantized.
    """
    weights = _channels(study.graph.weights(layer), layer)[[channel]]
    return [Panel(s, histogram_of(weights, quantize_tensor(weights, 0, s), 0, 0)) for s in PANELS]
