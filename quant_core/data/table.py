"""A table of numbers (CSV with a header) as a data set."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from quant_core.data.dataset import Batch, Labels
from quant_core.errors import DataError
from quant_core.graph import Port

LABELS = ("labels", "label", "target")
_REMEDY = "write a header, then one sample a line with a number in each cell"


def read_table(path: Path, inputs: tuple[Port, ...]) -> tuple[dict[str, np.ndarray], Labels | None]:
    """Arrays for `inputs`, and labels, from the CSV file at `path`.

    An input takes the columns `NAME_0`, `NAME_1`, ..., or `NAME`; the only input of a model else takes all
    columns of numbers in their order, except `label`, `labels` and `target`. DataError where a cell is no
    number or the columns do not fill the input."""
    try:
        with path.open("rb") as stream:
            table = pd.read_csv(
                stream, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8"
            )
    except (
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        UnicodeDecodeError,
        ValueError,
        OSError,
    ) as error:
        raise DataError(f"'{path.name}' is not a readable CSV file", _REMEDY) from error
    if not len(table):
        raise DataError(f"'{path.name}' holds no samples", _REMEDY)
    table.columns = [str(c).strip() for c in table.columns]
    arrays: Batch = {p.name: _input(path.name, table, p, len(inputs) == 1) for p in inputs}
    label = next((c for c in LABELS if c in table.columns and c not in arrays), None)
    if label is None:
        return arrays, None
    values = _numbers(path.name, table, label)
    whole = bool((values == np.floor(values)).all() and (np.abs(values) < 2**53).all())
    return arrays, values.astype(np.int64) if whole else values.astype(np.float32)


def _input(name: str, table: pd.DataFrame, port: Port, alone: bool) -> np.ndarray:
    columns = [port.name] if port.name in table.columns else []
    while f"{port.name}_{len(columns)}" in table.columns and port.name not in table.columns:
        columns.append(f"{port.name}_{len(columns)}")
    if not columns and alone:
        columns = [c for c in table.columns if c not in LABELS and _number(table[c].iloc[0]) is not None]
    if not columns:
        raise DataError(
            f"'{name}' has no column for the input '{port.name}'",
            f"name them '{port.name}_0', '{port.name}_1', ...",
        )
    if port.dtype == "str":
        return (
            table[columns]
            .to_numpy(object)
            .reshape(len(table), *([len(columns)] if len(port.shape) > 1 else []))
        )
    values = np.stack([_numbers(name, table, c) for c in columns], axis=1)
    shape = [d if isinstance(d, int) else None for d in port.shape[1:]]
    known = math.prod(d for d in shape if d is not None)
    free = shape.count(None)
    if free > 1 or (free == 0 and known != len(columns)) or (free == 1 and len(columns) % max(known, 1)):
        wanted = known if free == 0 else f"a multiple of {known}"
        raise DataError(
            f"'{name}' has {len(columns)} columns for the input '{port.name}', which takes {wanted}",
            f"name them '{port.name}_0', '{port.name}_1', ...",
        )
    filled = values.reshape(len(table), *(len(columns) // max(known, 1) if d is None else d for d in shape))
    return _as_kind(name, filled, port)


def _as_kind(name: str, values: np.ndarray, port: Port) -> np.ndarray:
    """Whole numbers as integers where the input takes those."""
    if port.dtype == "unknown" or np.dtype(port.dtype).kind not in "iub":
        return values
    if not (
        np.isfinite(values).all() and (values == np.floor(values)).all() and (np.abs(values) < 2**53).all()
    ):
        raise DataError(f"'{name}' holds numbers with a fraction for '{port.name}'", f"it takes {port.dtype}")
    return values.astype(np.int64)


def _numbers(name: str, table: pd.DataFrame, column: str) -> np.ndarray:
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        cell = str(table[column].iloc[wrong[0]])[:40]
        raise DataError(
            f"'{name}' has '{cell}' in column '{column}', line {wrong[0] + 2}, which is no number", _REMEDY
        )
    return values


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
