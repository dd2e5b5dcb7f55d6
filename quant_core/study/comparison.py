"""Measured plans side by side: their numbers, which is best in each, and the layers that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from quant_core.data import measure_of
from quant_core.plan import Plan, Precision, differences
from quant_core.study.records import Evaluation
from quant_core.study.study import Study

Z = 1.96  # standard errors in half a 95 % interval
_MORE_IS_BETTER = {"bytes": False, "metric": True, "agreement": True, "sqnr_db": True}


@dataclass(frozen=True)
class Row:
    """One quantity of every plan. `best` marks the best and those that equal it; `close` those whose distance
    to the best is within the noise, None where the quantity has no interval."""

    key: str
    values: tuple[float | None, ...]
    best: tuple[bool, ...]
    close: tuple[bool, ...] | None = None


def compared(plan: Plan, evaluation: Evaluation) -> Evaluation:
    """The evaluation as it stands beside others: FP32 is the file that was opened, not the prepared graph."""
    return evaluation if plan.quantized else replace(evaluation, bytes=evaluation.bytes_fp32)


def comparison(evaluations: Sequence[Evaluation]) -> list[Row]:
    """Bytes, metric, agreement and SQNR of several measured plans; a quantity that none has is left out.

    Two metrics are within the noise where they differ by less than the wider of their 95 % intervals."""
    rows = []
    for key, more in _MORE_IS_BETTER.items():
        values = tuple(getattr(e, key) for e in evaluations)
        known = [v for v in values if v is not None]
        if not known:
            continue
        if key == "metric":
            more = measure_of(next(e.metric_name for e in evaluations if e.metric is not None)).more_is_better
        top = max(known) if more else min(known)
        best = tuple(v is not None and v == top for v in values)
        close = None
        if key == "metric" and any(e.measure.counted for e in evaluations if e.metric is not None):
            halves = [Z * (e.standard_error or 0.0) for e in evaluations]
            reach = halves[best.index(True)]
            close = tuple(
                v is not None and abs(v - top) <= max(h, reach) for v, h in zip(values, halves, strict=True)
            )
        # Where all are equal, none stands out.
        rows.append(Row(key, values, best if len(set(known)) > 1 else (False,) * len(best), close))
    return rows


def numbers_table(names: Sequence[str], evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """The numbers of measured plans, one row each, for a file.

    Columns: plan, bytes, share (of FP32), metric_name, metric, half_interval (of the metric, 95 %),
    agreement, sqnr_db, execution, samples, calibration_samples, generated_calibration, and further metrics by
    their names."""
    rows = []
    for name, e in zip(names, evaluations, strict=True):
        half = None if e.standard_error is None else Z * e.standard_error
        rows.append(
            {
                "plan": name,
                "bytes": e.bytes,
                "share": e.share,
                "metric_name": e.metric_name,
                "metric": e.metric,
                "half_interval": half,
                "agreement": e.agreement,
                "sqnr_db": e.sqnr_db,
                "execution": e.execution,
                "samples": e.samples,
                "calibration_samples": e.calibration_samples,
                "generated_calibration": e.generated_calibration,
                **e.more,
            }
        )
    return pd.DataFrame(rows)


def layer_differences(study: Study, plans: Sequence[Plan]) -> dict[str, tuple[Precision, ...]]:
    """The layers that not all of `plans` treat alike, in the order of the model."""
    return differences(plans, [layer.name for layer in study.graph.quantizable])


def weight_shares(study: Study, plans: Sequence[Plan]) -> pd.DataFrame:
    """How many of a model's weights each plan stores in how many bits; columns plan (its number), bits,
    layers, weights and share (of all weights of layers that can be quantized).
    """
    every = study.graph.quantizable
    total = max(1, sum(layer.parameters for layer in every))
    rows = []
    for number, plan in enumerate(plans):
        for bits in sorted({plan[layer.name].bits for layer in every}, reverse=True):
            chosen = [layer for layer in every if plan[layer.name].bits == bits]
            weights = sum(layer.parameters for layer in chosen)
            rows.append(
                {
                    "plan": number,
                    "bits": bits,
                    "layers": len(chosen),
                    "weights": weights,
                    "share": weights / total,
                }
            )
    return pd.DataFrame(rows)
