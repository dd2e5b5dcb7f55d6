"""The scheme whose grid is drawn: one for Weights and Activations, kept in the view of the window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from pages.parts.plans import take
from pages.parts.state import State
from quant_core.errors import QuantscopeError
from quant_core.formats import FORMATS, Scheme
from quant_core.study import Study, activation_formats, activation_scheme, choose_scheme

WEIGHT_FORMATS = [name for name in FORMATS if name != "fp32"]
GRANULARITIES = {
    "tensor": "Tensor",
    "channel": "Output channel",
    "group:32": "Group of 32",
    "group:64": "Group of 64",
    "channels:16": "16 output channels",
    "group:16": "Block of 16",
}
RANGES = {
    "minmax": "Min-max",
    "average": "Average min-max",
    "percentile:99.99": "Percentile 99.99",
    "percentile:99.9": "Percentile 99.9",
    "mse": "Least mean-square error",
    "octav": "OCTAV",
    "entropy": "Entropy (KL)",
}
TABLES = {"kmeans": "Best table (exact k-means)", "lloyd": "Lloyd's k-means"}
RANGE_WORDS = {**RANGES, **TABLES, "mean": "Mean magnitude", "dynamic": "Dynamic"}
SHORT_RANGES = {
    "minmax": "Min-max",
    "percentile:99.99": "99.99 %",
    "percentile:99.9": "99.9 %",
    "average": "Average",
    "mse": "Least MSE",
    "octav": "OCTAV",
    "entropy": "Entropy",
    "kmeans": "Best table",
    "lloyd": "Lloyd",
    "mean": "Mean",
    "dynamic": "Dynamic",
}
RANGE_HELP = (
    "Where the grid ends: at the extremes, at a percentile (the same share cut off at either end), where "
    "the mean-square error is least (by a grid, or OCTAV's Newton steps), or where the distribution changes "
    "least (entropy)."
)
TABLE_HELP = (
    "How the values of the table are found: the best there are, by dynamic programming, or by Lloyd's steps "
    "from a random start, as most tools do."
)


def scheme_in_view(state: State, part: str) -> Scheme:
    """The scheme shown for the selected layer: the overlay, else what the plan in hand has, else int8."""
    precision = state.plan[state.layer]
    if part == "weights":
        return state.view.scheme() if state.view.overlay else precision.weights or Scheme("int8", "channel")
    overlay = FORMATS.get(state.view.overlay)
    if overlay is None or not overlay.has_dequantize:
        return activation_scheme(precision.activations)
    return activation_scheme(state.view.scheme())


def scheme_controls(state: State, part: str) -> Scheme:
    """Format, granularity, range and symmetry, in one row where there is room; gives the scheme in view."""
    scheme = scheme_in_view(state, part)
    planned = state.plan[state.layer].weights if part == "weights" else state.plan[state.layer].activations
    formats = WEIGHT_FORMATS if part == "weights" else activation_formats()
    rest = "As planned" if planned is not None else "Default"
    overlay = state.view.overlay if state.view.overlay in formats else ""
    bare = replace(state.view, overlay="")
    default = scheme_in_view(replace(state, view=bare), part).format
    _select(
        state, part, "overlay", "Format", ["", *formats], overlay,
        lambda name: name or f"{rest}: {default}", "How one number is stored; its values are drawn as lines.",
    )  # fmt: skip
    number = scheme.number
    is_table = number.kind == "codebook"
    if part == "weights" and number.has_granularity:
        _select(
            state, part, "granularity", "One table for each" if is_table else "One scale for each",
            list(GRANULARITIES)[:2] + (["channels:16"] if is_table else ["group:32", "group:64"]),
            scheme.granularity, lambda name: GRANULARITIES.get(name, name),
            "What shares one scale or table: the tensor, an output channel, a group of consecutive weights "
            "of a channel, or 16 output channels.",
        )  # fmt: skip
    if number.has_range or is_table:
        methods = TABLES if is_table else _ranges_of(part)
        _select(
            state, part, "range", "Table by" if is_table else "Range", list(methods), scheme.range,
            lambda n: RANGE_WORDS.get(n, n), TABLE_HELP if is_table else RANGE_HELP,
        )  # fmt: skip
    if not number.has_zero_point:
        return scheme
    key = f"{part}-symmetric"
    st.session_state[key] = scheme.symmetric
    st.toggle(
        "Symmetric",
        key=key,
        on_change=_changed,
        args=(state, part, "symmetric", key),
        help="Zero point 0: the grid is centred on zero.",
    )
    return scheme


def _ranges_of(part: str) -> dict[str, str]:
    """The range methods for a part: weights have no samples to average over."""
    return {name: words for name, words in RANGES.items() if name != "average" or part != "weights"}


def _select(
    state: State, part: str, field: str, label: str, options: list, value: Any, named: Any, said: str
) -> None:
    """A select box that shows the state, and changes it."""
    key = f"{part}-{field}"
    options = options if value in options else [*options, value]  # a plan file may have others
    st.session_state[key] = value
    st.selectbox(
        label, options, key=key, format_func=named, help=said, width=210,
        on_change=_changed, args=(state, part, field, key),
    )  # fmt: skip


def _changed(state: State, part: str, field: str, key: str) -> None:
    value = st.session_state[key]
    changes = {} if state.view.overlay else view_of(scheme_in_view(state, part), part)
    state.look(**{**changes, field: value})


def view_of(scheme: Scheme, part: str) -> dict[str, Any]:
    """The fields of the view that show `scheme`; what its format leaves no choice about stays as it was."""
    changes: dict[str, Any] = {"overlay": scheme.format}
    number = scheme.number
    if number.has_zero_point:
        changes["symmetric"] = scheme.symmetric
    if number.has_range or number.kind == "codebook":
        changes["range"] = scheme.range
    if number.has_granularity and part == "weights":
        changes["granularity"] = scheme.granularity
    return changes


def plan_button(state: State, study: Study, part: str, scheme: Scheme) -> None:
    """Put the scheme in view into the plan, and say what was refused."""
    precision = state.plan[state.layer]
    same = scheme == (precision.weights if part == "weights" else precision.activations)
    said = "The plan has it already." if same else f"{scheme}; undo takes it back."
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Use this format for the layer in the plan",
            icon=":material/add_task:",
            disabled=same,
            help=said,
            on_click=_use,
            args=(state, study, part, scheme),
            key=f"{part}-use",
        )
        if same:
            st.caption("In the plan.")


def _use(state: State, study: Study, part: str, scheme: Scheme) -> None:
    try:
        plan, refused = choose_scheme(study, state.plan, state.layer, part, scheme)
    except QuantscopeError as error:
        state.notice = str(error)
        return
    take(state, plan)
    state.notice = f"Left as it was: {'; '.join(refused)}." if refused else ""
