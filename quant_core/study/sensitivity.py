"""The sensitivity table: which cells exist, in which order layers stand, and the worst of them in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from quant_core.data import measure_of
from quant_core.engine import Cell, CellKey
from quant_core.graph import Layer
from quant_core.plan import cell_precision, why_not
from quant_core.study.records import band_ends
from quant_core.study.study import Study
from quant_core.study.weights import widest_channel

MEASURES = ("sqnr_db", "agreement", "metric")
ORDERS = ("model", "damage", "damage per byte", "bytes", "name")

Columns = tuple[tuple[str, str], ...]  # part and format
_reasons: WeakKeyDictionary[Study, dict[Columns, dict[tuple[str, str, str], str]]] = WeakKeyDictionary()


def reasons(study: Study, columns: Columns) -> dict[tuple[str, str, str], str]:
    """Why a (layer, part, format) is not possible, of those that are not."""
    known = _reasons.setdefault(study, {})
    if columns not in known:
        known[columns] = {
            (layer.name, part, name): why
            for layer in study.graph.quantizable
            for part, name in columns
            if (why := _reason(study, layer, part, name)) is not None
        }
    return known[columns]


def _reason(study: Study, layer: Layer, part: str, name: str) -> str | None:
    if name == "fp32":
        return None
    precision = cell_precision(layer, name, part)
    if precision is None:
        return "its input holds indices" if layer.input is None else f"{name} is not a format for activations"
    if part != "weights" and study.calibration is None:
        return "activations need calibration samples"
    reason = why_not(layer, precision)
    return None if reason is None else str(reason)


def loss(cell: Cell, measure: str, baseline: float | None = None) -> float:
    """How much worse than FP32 a cell is, more is worse: dB below none for SQNR, a lost share for agreement
    and metric, an added error where less is better. NaN where the outputs have no such measure.
    """
    quality = cell.quality
    if measure == "sqnr_db":
        return -quality.sqnr_db
    if measure == "agreement":
        return float("nan") if quality.agreement is None else 1.0 - quality.agreement
    if quality.metric is None or baseline is None:
        return float("nan")
    worse = baseline - quality.metric
    return worse if measure_of(quality.metric_name).more_is_better else -worse


def ordered(
    study: Study,
    cells: Mapping[CellKey, Cell],
    order: str,
    measure: str = "sqnr_db",
    baseline: float | None = None,
) -> tuple[str, ...]:
    """The names of the layers in the order `order`, one of `ORDERS`: by the largest damage among the
    measured cells, by that damage for each byte saved, by the bytes of the weights. Layers without a
    measured cell come last.
    """
    names = [layer.name for layer in study.graph.quantizable]
    if order == "name":
        return tuple(sorted(names))
    if order == "bytes":
        return tuple(sorted(names, key=lambda n: -study.graph.layer(n).bytes))
    if order == "model":
        return tuple(names)
    worst: dict[str, float] = {}
    for key, cell in cells.items():
        value = loss(cell, measure, baseline)
        if order == "damage per byte":
            # Noise adds up in power and shares add up as they are; decibels do not.
            value = 10.0 ** (value / 10.0) if measure == "sqnr_db" else value
            value /= max(1, study.graph.layer(key.layer).bytes)
        if not np.isnan(value):
            worst[key.layer] = max(value, worst.get(key.layer, -np.inf))
    return tuple(sorted(names, key=lambda n: -worst.get(n, -np.inf)))


@dataclass(frozen=True)
class Finding:
    """One of the worst cells, and a sentence on why."""

    cell: Cell
    why: str


def worst_cells(
    study: Study,
    cells: Mapping[CellKey, Cell],
    measure: str = "sqnr_db",
    baseline: float | None = None,
    count: int = 10,
) -> list[Finding]:
    """The most damaging layers, each at the format that does most: at most `count`, the worst first."""
    of_layer: dict[str, Cell] = {}
    for key, cell in cells.items():
        value = loss(cell, measure, baseline)
        old = of_layer.get(key.layer)
        if not np.isnan(value) and (old is None or value > loss(old, measure, baseline)):
            of_layer[key.layer] = cell
    found = sorted(of_layer.values(), key=lambda c: -loss(c, measure, baseline))[:count]
    return [Finding(cell, _why(study, cell)) for cell in found]


def _why(study: Study, cell: Cell) -> str:
    """What stands out in the layer of a cell: how many values share a scale, how uneven they are, what they
    feed.
    """
    layer = study.graph.layer(cell.key.layer)
    said = []
    if cell.key.part != "activations":
        weights = study.graph.weights(layer)
        outputs = max(1, layer.shape[layer.axis] if layer.shape else 1)
        channel, ratio = widest_channel(study, layer)
        each = weights.size // outputs
        if layer.kind.startswith("Depthwise"):
            said.append(f"each output channel has only {each} weights, whose errors do not average out")
        if ratio > 3:
            said.append(f"output channel {channel} has {ratio:.3g} times the median range")
        spread = float(np.abs(weights).max(initial=0.0) / max(float(weights.std()), 1e-30))
        if spread > 8:
            said.append(f"its largest weight is {spread:.3g} standard deviations out")
    if cell.key.part != "weights" and study.has_ranges and layer.input is not None:
        histogram = study.ranges.histograms.get(layer.input)
        if histogram is not None and histogram.count:
            values, counts = histogram.occupied()
            power = float((values.astype(np.float64) ** 2 * counts).sum() / max(float(counts.sum()), 1.0))
            peak = max(abs(histogram.minimum), abs(histogram.maximum))
            if power > 0 and peak / power**0.5 > 10:
                said.append(f"its input reaches {peak / power**0.5:.3g} times its root mean square")
    names = [x.name for x in study.graph.quantizable]
    if layer.name == names[0]:
        said.append("it is the first layer, so all others see its error")
    elif layer.name == names[-1]:
        said.append("it is the last layer, so its error reaches the output as it is")
    return "; ".join(said) if said else "nothing stands out in its values: the levels are simply too few"


def sensitivity_table(cells: Mapping[CellKey, Cell]) -> pd.DataFrame:
    """Measured cells as a table: layer, format, quantized, metric, agreement, sqnr_db, kl, bytes and more;
    where some were measured on few samples, with the ends of the 95 % intervals.
    """
    few = any(cell.band is not None for cell in cells.values())
    rows = []
    for key, cell in cells.items():
        row = {"layer": key.layer, "format": key.format, "quantized": key.part, **vars(cell.quality)}
        rows.append({**row, "bytes": cell.bytes, **(band_ends(cell) if few else {})})
    return pd.DataFrame(rows)
