"""The two tables of Compare: the numbers of the plans, and the layers that differ. Names are escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from pages.parts import metrics, text
from quant_core.figures import palette, text_on
from quant_core.formats import Scheme
from quant_core.plan import Precision
from quant_core.study import Evaluation, Row, comparison

_STYLE = f"<style>{Path(__file__).with_name('compare.css').read_text(encoding='utf-8')}</style>"
_LABELS = {
    "bytes": ("Size", "Bytes of the exported file, and as a share of the file that was opened."),
    "metric": ("Quality", "The metric over the samples evaluated, with its 95 % interval."),
    "agreement": ("Agreement", "Share of samples whose top-1 equals that of the FP32 model."),
    "sqnr_db": ("SQNR", "Signal-to-quantization-noise ratio of the outputs in dB; more is better."),
}
_HOW = {
    "execution": (
        "Execution",
        "Simulated: the arithmetic of the plan, run in float. Shipped: the exported file.",
    ),
    "samples": ("Samples", "Samples evaluated, and samples that ranges were calibrated on."),
}


def numbers_html(names: Sequence[str], evaluations: Sequence[Evaluation]) -> str:
    """Rows are quantities, columns are plans; the best of a row says so."""
    lines = []
    for row in comparison(evaluations):
        label, said = _LABELS[row.key]
        if row.key == "metric":
            label = metrics.title(_metric(evaluations), label)
        cells = [_number(row, at, e) for at, e in enumerate(evaluations)]
        lines.append(_line(label, said, cells))
    for name in dict.fromkeys(n for e in evaluations for n in e.more):
        cells = [_further(name, e) for e in evaluations]
        lines.append(_line(metrics.title(name), "A further metric of the same run, and that of FP32.", cells))
    how = [
        [text.escape(e.execution.capitalize()) for e in evaluations],
        [f"{e.samples:,}<small>{_ranges(e)}</small>" for e in evaluations],
    ]
    lines += [_line(*_HOW[key], cells) for key, cells in zip(_HOW, how, strict=True)]
    return _table(["", *names], lines)


def _metric(evaluations: Sequence[Evaluation]) -> str | None:
    return next((e.metric_name for e in evaluations if e.metric is not None), None)


def _ranges(e: Evaluation) -> str:
    made_up = f'<span class="qs-best qs-near">{metrics.MADE_UP}</span>'
    return made_up if e.generated_calibration else f"ranges from {e.calibration_samples:,}"


def _further(name: str, e: Evaluation) -> str:
    """A further metric, and that of FP32."""
    if name not in e.more:
        return "–"
    fp32 = f"<small>FP32 {metrics.shown(name, e.more_fp32[name])}</small>" if name in e.more_fp32 else ""
    return f"<b>{metrics.shown(name, e.more[name])}</b>{fp32}"


def _number(row: Row, at: int, e: Evaluation) -> str:
    value = row.values[at]
    if value is None:
        return "–"
    mark = '<span class="qs-best">best</span>' if row.best[at] else ""
    if row.close is not None and row.close[at] and not row.best[at] and any(row.best):
        mark = '<span class="qs-best qs-near">within the noise</span>'
    if row.key == "bytes":
        return f"<b>{text.size(value)}</b>{mark}<small>{100 * e.share:.1f} % of FP32</small>"
    if row.key == "metric":
        half = ""
        if e.standard_error is not None:
            half = f' <span class="qs-half">± {196 * e.standard_error:.1f}</span>'
        against = ""
        if e.metric_fp32 is not None:
            against = f"<small>{metrics.change(e)} against FP32</small>"
        return f"<b>{metrics.shown(e.metric_name, value)}</b>{half}{mark}{against}"
    shown = text.decibel(value) if row.key == "sqnr_db" else text.percent(value)
    return f"<b>{shown}</b>{mark}"


def noise_sentence(names: Sequence[str], evaluations: Sequence[Evaluation]) -> str:
    """Which plans cannot be told apart by their metric on these samples; empty where all can."""
    row = next((r for r in comparison(evaluations) if r.key == "metric"), None)
    if row is None or row.close is None or sum(row.close) < 2:
        return ""
    close = [name for name, near in zip(names, row.close, strict=True) if near]
    every = "All plans" if len(close) == len(names) else f"{', '.join(close[:-1])} and {close[-1]}"
    metric = _metric(evaluations) or "the metric"
    return f"{every} differ in {metric} by less than the 95 % interval: that is within the noise."


def layers_html(names: Sequence[str], layers: Mapping[str, tuple[Precision, ...]], theme: str | None) -> str:
    """Rows are layers, columns are plans: what differs of a layer, in the colour of its bits."""
    lines = []
    for layer, row in layers.items():
        columns = [""] * len(row)
        for letter, part in (("W", "weights"), ("A", "activations")):
            schemes: list[Scheme | None] = [getattr(p, part) for p in row]
            if len(set(schemes)) == 1:
                continue
            formats = {scheme and scheme.format for scheme in schemes}
            detailed = len(formats) < len(set(schemes))  # where formats alone do not tell them apart
            columns = [
                c + _chip(letter, part, s, detailed, theme) for c, s in zip(columns, schemes, strict=True)
            ]
        if len({p.bias_correction for p in row}) > 1:
            said = ["bias corrected" if p.bias_correction else "bias as it was" for p in row]
            columns = [f"{c}<small>{words}</small>" for c, words in zip(columns, said, strict=True)]
        cells = "".join(f"<td>{column}</td>" for column in columns)
        lines.append(f'<tr><th scope="row" class="qs-layer">{text.escape(layer)}</th>{cells}</tr>')
    return _table(["Layer", *names], lines)


def _chip(letter: str, part: str, scheme: Scheme | None, detailed: bool, theme: str | None) -> str:
    bits = 32 if scheme is None else scheme.number.bits
    colors = palette(theme)
    color = colors.bits.get(bits, colors.secondary)
    name = "fp32" if scheme is None else scheme.format
    said = f"{part}: {name if scheme is None else scheme}"
    chip = f'<span class="qs-bits" style="background:{color};color:{text_on(color)}">{letter} {name}</span>'
    rest = f"<small>{_rest(scheme)}</small>" if detailed and scheme is not None else ""
    return f'<span class="qs-part" title="{said}">{chip}{rest}</span>'


def _rest(scheme: Scheme) -> str:
    if scheme.number.kind == "float":
        return ""
    symmetry = "symmetric" if scheme.symmetric else "asymmetric"
    return f"{scheme.granularity}, {symmetry}, {scheme.range}"


def _line(label: str, said: str, cells: Sequence[str]) -> str:
    columns = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row" title="{text.escape(said)}">{text.escape(label)}</th>{columns}</tr>'


def _table(head: Sequence[str], lines: Sequence[str]) -> str:
    columns = "".join(f'<th scope="col">{text.escape(name)}</th>' for name in head)
    body = "".join(lines)
    table = f"<table><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table>"
    return f'{_STYLE}<div class="qs-compare">{table}</div>'


def layers_table(names: Sequence[str], layers: Mapping[str, tuple[Precision, ...]]) -> pd.DataFrame:
    """The layers that differ, for a file: columns layer, plan, weights, activations, bias_correction."""
    rows = [
        {
            "layer": layer,
            "plan": name,
            "weights": str(p.weights or "fp32"),
            "activations": str(p.activations or "fp32"),
            "bias_correction": p.bias_correction,
        }
        for layer, row in layers.items()
        for name, p in zip(names, row, strict=True)
    ]
    return pd.DataFrame(rows, columns=["layer", "plan", "weights", "activations", "bias_correction"])
