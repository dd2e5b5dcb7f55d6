"""What the matrix draws: cells that stay while plans change, and beside them what a click changes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from pages.parts import text
from quant_core.figures import damage_color, loss_color, palette, text_on
from quant_core.formats import get_format
from quant_core.plan import Plan
from quant_core.study import (
    Band,
    Cell,
    CellKey,
    Study,
    chosen_column,
    column_label,
    loss,
    measure_of,
    reasons,
)

Column = tuple[str, str]  # part and format
_Found = list[Cell | None]


@dataclass(frozen=True)
class Look:
    """How the matrix is drawn: which measure stands in the cells, in which order the layers stand (empty: the
    model's), and whether a click on a cell chooses its format.
    """

    measure: str = "sqnr_db"
    order: tuple[str, ...] = ()
    chooses: bool = True
    baseline: float | None = None  # the FP32 metric, where the measure is the metric


@dataclass(frozen=True)
class Frame:
    """What the cells of a matrix depend on beside their measurements."""

    columns: tuple[Column, ...]
    look: Look
    theme: str
    failed: tuple[tuple[CellKey, str], ...] = ()


_keys: WeakKeyDictionary[Study, dict[Frame, list[CellKey]]] = WeakKeyDictionary()
_cells: WeakKeyDictionary[Study, dict[Frame, tuple[_Found, str]]] = WeakKeyDictionary()
_KEPT = 8  # frames of one study


def matrix_data(
    study: Study, plan: Plan, frame: Frame, cells: Mapping[CellKey, Cell], selected: str
) -> dict[str, Any]:
    """What the component draws: `still` is JSON, the same text as long as no cell changes; `rows` has for
    each layer its chosen column (-1: none), whether it is locked, and bits and colour of its weights.
    """
    colors = palette(frame.theme)
    rows = []
    for layer in _ordered(study, frame.look.order):
        precision = plan[layer.name]
        chosen = -1
        if frame.look.chooses:
            of_part = {part: chosen_column(precision, part) for part in {part for part, _ in frame.columns}}
            chosen = next((i for i, (part, name) in enumerate(frame.columns) if of_part[part] == name), -1)
        rows.append([chosen, int(precision.locked), precision.bits, colors.bits[precision.bits]])
    return {
        "still": _still(study, frame, cells),
        "rows": rows,
        "selected": selected,
        "plan": plan.key,
    }


def _still(study: Study, frame: Frame, cells: Mapping[CellKey, Cell]) -> str:
    """The text of all cells, kept while they are the same: a click then costs nothing for each of them."""
    keys = _keys.setdefault(study, {})
    kept = _cells.setdefault(study, {})
    if frame not in keys:
        layers = _ordered(study, frame.look.order)
        keys[frame] = [CellKey(layer.name, name, part) for layer in layers for part, name in frame.columns]
    found = [cells.get(key) for key in keys[frame]]
    if frame not in kept or kept[frame][0] != found:
        kept[frame] = found, json.dumps(_drawn(study, frame, keys[frame], found), separators=(",", ":"))
    for old in list(kept)[:-_KEPT]:
        del kept[old], keys[old]
    return kept[frame][1]


def _drawn(study: Study, frame: Frame, keys: Sequence[CellKey], found: _Found) -> dict[str, Any]:
    """Cells are short lists, and colours, which many share, are sent once."""
    colors = palette(frame.theme)
    shades: dict[str, int] = {}
    failed = dict(frame.failed)
    impossible = reasons(study, frame.columns)
    metric = next((c.quality.metric_name for c in found if c and c.quality.metric_name), None) or ""
    largest = max((layer.bytes for layer in study.graph.quantizable), default=1)
    layers = []
    for number, layer in enumerate(_ordered(study, frame.look.order)):
        row = slice(number * len(frame.columns), (number + 1) * len(frame.columns))
        entries: list[Any] = []
        for key, cell in zip(keys[row], found[row], strict=True):
            if key.format == "fp32":
                entries.append(0)
            elif key in failed:
                entries.append(["!", failed[key]])
            elif (layer.name, key.part, key.format) in impossible:
                entries.append(["x", impossible[layer.name, key.part, key.format]])
            else:
                entries.append(None if cell is None else _entry(cell, frame, shades))
        layers.append(
            {
                "name": layer.name,
                "kind": layer.kind,
                "shape": text.shape(layer.shape),
                "bytes": text.size(layer.bytes),
                "share": round(layer.bytes / largest, 3),
                "cells": entries,
            }
        )
    return {
        "columns": [
            {
                "name": name,
                "part": part,
                "label": column_label(part, name),
                "color": colors.bits[get_format(name).bits],
                "help": get_format(name).about,
            }
            for part, name in frame.columns
        ],
        "layers": layers,
        "shades": [[color, text_on(color)] for color in shades],
        "metric": metric,
        "percent": measure_of(metric).percent,
        "secondary": colors.secondary,
        "chooses": frame.look.chooses,
        "measure": frame.look.measure,
    }


def _ordered(study: Study, order: Sequence[str]) -> list[Any]:
    layers = {layer.name: layer for layer in study.graph.quantizable}
    return [layers[name] for name in order if name in layers] or list(layers.values())


def _entry(cell: Cell, frame: Frame, shades: dict[str, int]) -> list[Any]:
    """[shade, SQNR, metric, agreement, bytes]: what the cell and its tooltip are made of; and in words how
    far off it may be, where it was measured on few samples.
    """
    quality = cell.quality
    lost = loss(cell, frame.look.measure, frame.look.baseline)
    in_db = frame.look.measure == "sqnr_db"
    how = measure_of(quality.metric_name)
    if frame.look.measure == "metric" and not how.share:  # colours are for shares: of the error of FP32
        lost /= max(abs(frame.look.baseline or 0.0), 1e-12)
    color = damage_color(round(-lost, 1), frame.theme) if in_db else loss_color(round(lost, 4), frame.theme)
    shade = shades.setdefault(color, len(shades))
    agreement = None if quality.agreement is None else round(100 * quality.agreement, 2)
    metric = quality.metric
    if metric is not None:
        metric = round(100 * metric, 2) if how.percent else float(f"{metric:.4g}")
    about = [] if cell.band is None else [_about(cell, cell.band)]
    return [shade, round(quality.sqnr_db, 2), metric, agreement, cell.bytes, *about]


def _about(cell: Cell, band: Band) -> str:
    low, high = band.sqnr_db
    said = f"measured on {cell.quality.samples:,} samples: {low:.1f} to {high:.1f} dB"
    if band.agreement is not None:
        low, high = (100 * share for share in band.agreement)
        said += f", agreement {low:.1f} to {high:.1f} %"
    return f"{said} on all (95 %)"
