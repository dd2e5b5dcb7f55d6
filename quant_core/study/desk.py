"""What the mixed-precision desk shows: the sensitivity matrix, the forecast of a plan, and edits of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import pandas as pd

from quant_core.data import Quality, measure_of
from quant_core.engine import Cell, CellKey
from quant_core.errors import PlanError
from quant_core.formats import FORMATS, Scheme, get_format, sqnr_from_power
from quant_core.plan import Plan, Precision, default_activation_scheme, default_scheme
from quant_core.search import pareto_front
from quant_core.study.edit import choose_scheme
from quant_core.study.records import Evaluation
from quant_core.study.study import Study

WEIGHT_FORMATS = ("fp32", "fp16", "int8", "int4", "int2")
ACTIVATION_FORMATS = ("fp32", "int16", "int8", "int4")


def formats_of(part: str, more: Sequence[str] = ()) -> tuple[str, ...]:
    """The columns of the matrix for `weights` or `activations`, widest first; `more` has further ones as
    `part:format`.
    """
    usual = WEIGHT_FORMATS if part == "weights" else ACTIVATION_FORMATS
    names = {*usual, *(name for name in further_formats(part) if f"{part}:{name}" in more)}
    order = [*usual, *FORMATS]
    return tuple(sorted(names, key=lambda name: (-get_format(name).stored_bits, order.index(name))))


def further_formats(part: str) -> tuple[str, ...]:
    """The formats that can have a column beside the usual ones."""
    usual = WEIGHT_FORMATS if part == "weights" else ACTIVATION_FORMATS
    return tuple(
        name
        for name, number in FORMATS.items()
        if name not in usual
        and not (
            number.kind == "integer" and not number.signed
        )  # a column's own scheme says which sign it has
        and (part == "weights" or number.has_dequantize)
    )


def desk_formats(more: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
    """The formats that the desk measures, for each part; see `formats_of` for `more`."""
    return {
        part: tuple(f for f in formats_of(part, more) if f != "fp32") for part in ("weights", "activations")
    }


def column_label(part: str, name: str) -> str:
    """What a column is called: the format that is stored."""
    scheme = scheme_for(part, name)
    return name if scheme is None else scheme.format


@cache
def scheme_for(part: str, name: str) -> Scheme | None:
    """The scheme that a column stands for, None for fp32."""
    if name == "fp32":
        return None
    return default_scheme(name) if part == "weights" else default_activation_scheme(name)


def desk_cells(study: Study, part: str, more: Sequence[str] = ()) -> list[CellKey]:
    """The cells of the matrix of `part`."""
    if part != "weights" and study.calibration is None:
        return []
    return study.cells(list(desk_formats(more)[part]), (part,))


def plan_cells(plan: Plan) -> list[CellKey]:
    """The cells that a forecast of `plan` takes; schemes that are no column's have none."""
    return [
        CellKey(name, column, part)
        for name, precision in plan.quantized.items()
        for part in ("weights", "activations")
        if (column := chosen_column(precision, part)) not in (None, "fp32")
    ]


def chosen_column(precision: Precision, part: str) -> str | None:
    """The column that `precision` stands in, None where its scheme is not one that a column stands for."""
    scheme = precision.weights if part == "weights" else precision.activations
    if scheme is None:
        return "fp32"
    names = (scheme.format.removeprefix("u"), scheme.format)
    return next((n for n in names if n in FORMATS and scheme_for(part, n) == scheme), None)


def choose(study: Study, plan: Plan, layers: list[str], part: str, name: str) -> tuple[Plan, list[str]]:
    """The plan with column `name` chosen for `layers`, and those left as they were: see `choose_scheme`."""
    return choose_scheme(study, plan, layers, part, scheme_for(part, name))


def smallest_share(study: Study, start: Plan, cells: dict[CellKey, Cell]) -> float:
    """About how small, against the file that was opened, the weights' formats can make it: the bytes that
    each layer saves in its lowest format, summed; 0 as long as `cells` do not know every layer. Layers that
    are locked in `start` keep what they have.
    """
    base = study.bytes_at_once(Plan())[0]
    saved: dict[str, int] = {}
    for key, cell in cells.items():
        if key.part == "weights" and not start[key.layer].locked:
            saved[key.layer] = max(saved.get(key.layer, 0), base - cell.bytes)
    if any(layer.name not in saved and not start[layer.name].locked for layer in study.graph.quantizable):
        return 0.0
    return max(0.0, study.bytes_at_once(start)[0] - sum(saved.values())) / study.graph.file.bytes


def forecast_sqnr(plan: Plan, cells: dict[CellKey, Cell]) -> float | None:
    """Predicted output SQNR (dB) of `plan`: noise powers of its single cells, summed. None where a cell is
    missing.

    Errors do not add exactly: the sum over-estimates the joint error of many layers, so this is drawn as a
    prediction."""
    noise = 0.0
    for name, precision in plan.quantized.items():
        for part in ("weights", "activations"):
            column = chosen_column(precision, part)
            if column == "fp32":
                continue
            cell = cells.get(CellKey(name, column, part)) if column else None
            if cell is None:
                return None
            noise += 10.0 ** (-cell.quality.sqnr_db / 10.0)
    return sqnr_from_power(1.0, noise)


def check_layer(study: Study, name: str) -> str:
    """`name` if the model has that layer, else the first one; PlanError where there is none to choose."""
    if any(layer.name == name for layer in study.graph.quantizable):
        return name
    if not study.graph.quantizable:
        raise PlanError("the model has no layer that can be quantized", "open another model")
    return study.graph.quantizable[0].name


def tradeoff(measured: list[tuple[Plan, Evaluation]]) -> tuple[pd.DataFrame, str, float | None]:
    """Measured plans as points of size against quality, what quality is, and its value in FP32.

    Columns: key, name, bytes, share, value (per cent, or as it is, or dB without decisions), error
    (standard error, same unit), agreement, sqnr_db, front (whether no other plan beats it in both)."""
    measured = [(plan, e) for plan, e in measured if plan.quantized]
    first = next((e for _, e in measured), None)
    how = measure_of(None if first is None else first.metric_name)
    scale = 100.0 if how.percent else 1.0
    reference = None if first is None or first.metric_fp32 is None else scale * first.metric_fp32
    if first is None or (first.metric is None and first.agreement is None):
        label = "output SQNR, dB"
    else:
        unit = ", %" if how.percent else ""
        label = f"{first.metric_name or 'agreement with FP32'}{unit}"
        label += "" if how.more_is_better else ", less is better"
    rows = []
    for plan, e in measured:
        share = e.metric if e.metric is not None else e.agreement
        rows.append(
            {
                "key": plan.key,
                "name": plan.name,
                "bytes": e.bytes,
                "share": e.share,
                "value": e.sqnr_db if share is None else scale * share,
                "error": float("nan") if e.standard_error is None else 100.0 * e.standard_error,
                "agreement": e.agreement,
                "sqnr_db": e.sqnr_db,
            }
        )
    columns = ["key", "name", "bytes", "share", "value", "error", "agreement", "sqnr_db"]
    points = pd.DataFrame(rows, columns=columns)
    better = points["value"].to_numpy(float) * (1.0 if how.more_is_better else -1.0)
    front = pareto_front(points["share"].to_numpy(float), better)
    return points.assign(front=points.index.isin(front)), label, reference


@dataclass(frozen=True)
class Alternative:
    """A lower format for one layer: bytes saved against the one in hand, and what it then leaves. `few`: that
    was measured on a part of the samples.
    """

    format: str
    saves: int
    quality: Quality
    few: bool = False


def alternatives(study: Study, plan: Plan, layer: str, cells: dict[CellKey, Cell]) -> list[Alternative]:
    """The measured weight formats that are smaller than the one `layer` has in `plan`, the next lower first.

    Bytes are of files in which only this layer (with those that share its weights) is quantized.
    """
    now = cells.get(CellKey(layer, chosen_column(plan[layer], "weights") or "", "weights"))
    size = study.bytes_of(Plan()) if now is None else now.bytes
    found = [
        Alternative(c.key.format, size - c.bytes, c.quality, c.band is not None)
        for k, c in cells.items()
        if (k.layer, k.part) == (layer, "weights") and c.bytes < size
    ]
    return sorted(found, key=lambda a: a.saves)
