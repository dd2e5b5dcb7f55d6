"""Tables of schemes in words: what each does to the weights or activations of a layer."""

from __future__ import annotations

from collections.abc import Container
from functools import partial

import pandas as pd
import streamlit as st

from pages.parts.scheme import GRANULARITIES, SHORT_RANGES, view_of
from pages.parts.state import State
from pages.parts.tables import csv_button
from quant_core.formats import FORMATS, Scheme

SQNR_HELP = "Signal-to-quantization-noise ratio: how far the rounding stands below the values."
CLIPPED_HELP = "Share of values beyond the first and last code, which take that code: saturation."
STEP_HELP = "The scale: from one code to the next."
WORST_HELP = "The largest distance of a weight from its quantized value."
BITS_HELP = (
    "Bits that a weight takes in the file on average: its code, and its part of the scales and zero points. "
    "Few weights to a scale make this larger than the format's own bits."
)
_FIXED = "–"  # the format leaves no choice
_NUMBER = st.column_config.NumberColumn
_TEXT = st.column_config.TextColumn
_COLUMNS = {
    "format": _TEXT("Format", help="How one number is stored."),
    "granularity": _TEXT("One scale for each", help="What shares one scale."),
    "symmetric": _TEXT("Symmetric", help="Zero point 0: the grid is centred on zero."),
    "range": _TEXT("Range", help="The method that chose where the grid ends."),
    "sqnr_db": st.column_config.ProgressColumn(
        "SQNR, dB", format="%.1f", min_value=0, max_value=100, help=SQNR_HELP
    ),
    "clipped": _NUMBER("Clipped, %", format="%.3g", help=CLIPPED_HELP),
    "bits_per_weight": _NUMBER("Bits per weight", format="%.2f", help=BITS_HELP),
    "bytes": _NUMBER("Bytes", format="localized", help="Codes, scales and zero points alone."),
    "worst_error": _NUMBER("Worst error", format="%.3g", help=WORST_HELP),
    "shown": _TEXT("Now", help="The scheme in view, and the one the plan has."),
    "low": _NUMBER("Low end", format="%.4g", help="Where the range begins."),
    "high": _NUMBER("High end", format="%.4g", help="Where the range ends."),
    "step": _NUMBER("Step", format="%.3g", help=STEP_HELP),
}


def scheme_table(
    state: State, part: str, table: pd.DataFrame, name: str, scheme: Scheme, hidden: Container[str] = ()
) -> None:
    """A table of schemes, without the columns `hidden`; a row that is clicked becomes the scheme in view."""
    precision = state.plan[state.layer]
    planned = precision.weights if part == "weights" else precision.activations
    words = labelled(table).assign(shown=marked(table, scheme, planned))
    if "clipped" in words:
        words["clipped"] = 100 * table["clipped"]
    if "low" in words:  # close to zero: the mean of the bin that zero is in
        words["low"] = table["low"].mask(table["low"].abs() < 1e-3 * table["step"], 0.0)
    # The key changes with the scheme: a row that was clicked is marked in the table, not left ticked.
    key = f"{name}-{state.layer}-{scheme}"
    st.dataframe(
        words,
        hide_index=True,
        height="content",
        column_config=_COLUMNS,
        column_order=[c for c in _COLUMNS if c in words and c not in hidden],
        key=key,
        on_select=partial(_pick, state, part, table, key),
        selection_mode="single-row",
    )
    csv_button(table, name)


def _pick(state: State, part: str, table: pd.DataFrame, key: str) -> None:
    for row in st.session_state[key].selection.rows:
        state.look(**view_of(scheme_of(table.iloc[row].to_dict()), part))


def scheme_of(row: dict) -> Scheme:
    """The scheme of a row; activations have no granularity."""
    return Scheme(row["format"], row.get("granularity", "tensor"), bool(row["symmetric"]), row["range"])


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """A table of schemes in words, for reading; columns format, granularity (if any), symmetric, range."""
    words = table.copy()
    words["symmetric"] = ["Yes" if s else "No" for s in table["symmetric"]]
    words["range"] = [SHORT_RANGES.get(r, r) for r in table["range"]]
    if "granularity" in table:
        words["granularity"] = [GRANULARITIES.get(g, g) for g in table["granularity"]]
    numbers = [FORMATS[name] for name in table["format"]]
    words.loc[[not n.has_zero_point for n in numbers], "symmetric"] = _FIXED
    words.loc[[not n.has_range and n.kind != "codebook" for n in numbers], "range"] = _FIXED
    if "granularity" in words:
        words.loc[[n.kind == "float" for n in numbers], "granularity"] = _FIXED
    return words


def marked(table: pd.DataFrame, scheme: Scheme, planned: Scheme | None) -> list[str]:
    """For each row of a table of schemes, whether it is the one in view or in the plan."""
    words = {(True, True): "In view, plan", (True, False): "In view", (False, True): "In plan"}
    schemes = [scheme_of(row) for row in table.to_dict("records")]
    return [words.get((this == scheme, this == planned), "") for this in schemes]
