"""What the Activations page shows, all of it from the histograms that calibration kept: nothing here runs a
model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quant_core.errors import PlanError
from quant_core.formats import FORMATS, Scheme, affine_parameters
from quant_core.graph import Layer
from quant_core.plan import Precision, default_activation_scheme, why_not
from quant_core.stats import Ranges, StreamingHistogram, noise_of
from quant_core.study.study import Study

BINS = 256
CLIPPING = ("minmax", "average", "percentile:99.99", "percentile:99.9", "mse", "octav", "entropy")
_LAYER_COLUMNS = ["layer", "tensor", "minimum", "maximum", "low", "high"]
_LAYER_COLUMNS += ["mean", "deviation", "zeros", "clipped", "sqnr_db"]
_WIDE = Scheme("uint8", "tensor", False, "percentile:99.9")  # the thick part of a bar: 99.9 % of the values
COMPARED = (
    Scheme("uint16", "tensor", False),
    Scheme("int16", "tensor", True),
    Scheme("uint8", "tensor", False),
    Scheme("uint8", "tensor", False, "percentile:99.99"),
    Scheme("uint8", "tensor", False, "mse"),
    Scheme("int8", "tensor", True),
    Scheme("int8", "tensor", True, "mse"),
    Scheme("uint8", "tensor", False, "entropy"),
    Scheme("fp8_e4m3"),
    Scheme("fp8_e5m2"),
    Scheme("uint4", "tensor", False),
    Scheme("uint4", "tensor", False, "percentile:99.9"),
    Scheme("uint4", "tensor", False, "mse"),
    Scheme("int4", "tensor", True, "mse"),
    Scheme("uint2", "tensor", False, "mse"),
)


@dataclass(frozen=True)
class ActivationHistogram:
    """Activations binned for drawing, without the zeros, which would dwarf the rest behind a ReLU.

    `edges` `[bins + 1]`, `counts` `[bins]`, `grid` `[levels]`: the values that have a code. `width` is of the
    bins that calibration counted in, which are finer than those drawn. `clipped` is the share of values
    beyond the first and last code, `step` the scale."""

    edges: NDArray[np.float64]
    counts: NDArray[np.float64]
    grid: NDArray[np.float64]
    width: float
    step: float
    clipped: float
    sqnr_db: float


def activation_formats() -> list[str]:
    """The formats that an activation can be quantized to."""
    return [name for name, number in FORMATS.items() if number.has_dequantize]


def activation_scheme(scheme: Scheme | None) -> Scheme:
    """The scheme that is drawn for `scheme`: itself where an activation can have it. A range found at run
    time is drawn as that of all samples, and int8's default where an activation cannot have the format.
    """
    default = default_activation_scheme("int8")
    assert default is not None
    if scheme is None or not scheme.number.has_dequantize:
        return default
    return replace(scheme, granularity="tensor", range="minmax" if scheme.is_dynamic else scheme.range)


def why_no_activation(layer: Layer) -> str | None:
    """Why nothing that enters `layer` can be quantized, None where it can."""
    reason = why_not(layer, Precision(activations=activation_scheme(None)))
    return None if reason is None else str(reason)


def _histogram(ranges: Ranges, layer: Layer) -> StreamingHistogram:
    histogram = ranges.histograms.get(layer.input or "")
    if histogram is None or not histogram.count:
        raise PlanError(f"nothing was measured of what enters '{layer.name}'", "give other calibration data")
    return histogram


def activation_histogram(ranges: Ranges, layer: Layer, scheme: Scheme) -> ActivationHistogram:
    """What enters `layer` with the grid of `scheme`. PlanError where calibration saw nothing of it."""
    histogram, number = _histogram(ranges, layer), scheme.number
    low, high = ranges.find(layer.input or "", scheme)
    scale, zero = affine_parameters(low, high, number, scheme.symmetric)
    codes = number.grid().astype(np.float64)
    noise = noise_of(histogram, scheme, low, high)
    edges, counts = histogram.binned(BINS)
    place = int(np.searchsorted(edges, 0.0, "right")) - 1
    if 0 <= place < len(counts):
        counts[place] -= min(counts[place], histogram.zeros * counts.sum() / histogram.count)
    return ActivationHistogram(
        edges,
        counts,
        (codes - int(zero)) * float(scale),
        histogram.width,
        noise.step,
        noise.clipped,
        noise.sqnr_db,
    )


def activation_summary(ranges: Ranges, layer: Layer) -> dict[str, float]:
    """Of what enters `layer`: minimum, maximum, zeros (share) and values, over all values seen; mean and
    deviation of those that went into the bins, `binned` of them: of a large tensor an even part.
    """
    histogram = _histogram(ranges, layer)
    bins = histogram.moments()
    total = float(bins.counts.sum())
    mean = float(np.sum(bins.counts * bins.means) / total)
    variance = float(np.sum(bins.counts * (bins.variances + np.square(bins.means - mean))) / total)
    return {
        "minimum": histogram.minimum,
        "maximum": histogram.maximum,
        "mean": mean,
        "deviation": variance**0.5,
        "zeros": histogram.zeros / histogram.count,
        "values": float(histogram.count),
        "binned": total,
        "not_finite": float(histogram.not_finite),
    }


def scheme_losses(ranges: Ranges, layer: Layer, schemes: tuple[Scheme, ...] = COMPARED) -> pd.DataFrame:
    """What each of `schemes` does to what enters `layer`.

    Columns: format, symmetric, range, low, high (ends of the range), step (scale), clipped (share), sqnr_db.
    """
    histogram = _histogram(ranges, layer)
    rows = []
    for scheme in schemes:
        low, high = ranges.find(layer.input or "", scheme)
        noise = noise_of(histogram, scheme, low, high)
        rows.append(
            {
                "format": scheme.format,
                "symmetric": scheme.symmetric,
                "range": scheme.range,
                "low": low,
                "high": high,
                "step": noise.step,
                "clipped": noise.clipped,
                "sqnr_db": noise.sqnr_db,
            }
        )
    return pd.DataFrame(rows)


def clip_losses(ranges: Ranges, layer: Layer, scheme: Scheme) -> pd.DataFrame:
    """As `scheme_losses`, for the format of `scheme` with each range method, its own among them."""
    methods = dict.fromkeys((*CLIPPING, scheme.range))
    return scheme_losses(ranges, layer, tuple(replace(scheme, range=method) for method in methods))


def layer_activations(study: Study, ranges: Ranges, scheme: Scheme) -> pd.DataFrame:
    """All layers whose input can be quantized, in the order of the model.

    Columns: layer, tensor, minimum, maximum, low, high (the range of 99.9 % of the values), mean, deviation,
    zeros (share), clipped (share) and sqnr_db with `scheme`."""
    rows = []
    for layer in study.graph.quantizable:
        histogram = ranges.histograms.get(layer.input or "")
        if histogram is None or not histogram.count:
            continue
        summary = activation_summary(ranges, layer)
        low, high = ranges.find(layer.input or "", _WIDE)
        noise = noise_of(histogram, scheme, *ranges.find(layer.input or "", scheme))
        rows.append(
            {
                "layer": layer.name,
                "tensor": layer.input,
                **{key: summary[key] for key in ("minimum", "maximum")},
                "low": low,
                "high": high,
                **{key: summary[key] for key in ("mean", "deviation", "zeros")},
                "clipped": noise.clipped,
                "sqnr_db": noise.sqnr_db,
            }
        )
    return pd.DataFrame(rows, columns=_LAYER_COLUMNS)
