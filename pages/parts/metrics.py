"""Metrics as the window writes them: accuracy in percent, ROC AUC as 0.987, errors as they are."""

from __future__ import annotations

from pages.parts import text
from quant_core.study import Evaluation, Quality, measure_of

_NEAR_ONE = 0.999  # above it three decimals say nothing
MADE_UP = "made-up ranges"
MADE_UP_HELP = "Ranges come from made-up inputs, not from samples: take these numbers as a first guess."


def title(name: str | None, otherwise: str = "Quality") -> str:
    """The name of a metric at the beginning of a line: ROC AUC and mAP@0.5 keep their capitals."""
    if not name:
        return otherwise
    return name if name != name.lower() else name.capitalize()


def shown(name: str | None, value: float | None) -> str:
    """A value of the metric called `name`, with three significant digits."""
    if value is None:
        return "–"
    how = measure_of(name)
    if how.percent:
        return text.percent(value)
    if how.share:
        return f"{value:.3f}" if value < _NEAR_ONE else f"{value:.5f}"
    return f"{value:.3g}"


def scaled(name: str | None, value: float | None) -> float | None:
    """A value for a column under `column(name)`."""
    return None if value is None else value * (100.0 if measure_of(name).percent else 1.0)


def column(name: str | None, otherwise: str = "Quality") -> str:
    """The head of a column of a metric, with its unit and, where less is better, a word that says so."""
    how = measure_of(name)
    unit = ", %" if how.percent else ""
    return f"{title(name, otherwise)}{unit}" + ("" if how.more_is_better else " (less is better)")


def number_format(name: str | None) -> str:
    """How a column of a metric writes its numbers."""
    return "%.2f" if measure_of(name).percent else "%.4g"


def left(quality: Quality, joined: str = ", ", few: bool = False) -> str:
    """What a quantized layer leaves: dB, and the agreement or, where outputs have none, the metric. `few`: it
    was measured on a part of the samples.
    """
    said = ("about " if few else "") + text.decibel(quality.sqnr_db)
    if quality.agreement is not None:
        return f"{said}{joined}{text.percent(quality.agreement)} agreement"
    if quality.metric is not None:
        return f"{said}{joined}{quality.metric_name} {shown(quality.metric_name, quality.metric)}"
    return said


def change(e: Evaluation) -> str:
    """What became of the metric against FP32: points of an accuracy, a difference of ROC AUC, per cent of an
    error; empty without one.
    """
    if e.metric is None or e.metric_fp32 is None:
        return ""
    if e.measure.share and not e.measure.percent:
        return f"{e.metric - e.metric_fp32:+.4f}"
    if e.measure.percent:
        return f"{100 * (e.metric - e.metric_fp32):+.2f} points"
    return f"{100 * (e.metric - e.metric_fp32) / max(abs(e.metric_fp32), 1e-12):+.1f} %"
