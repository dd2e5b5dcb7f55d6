"""Weights: the histogram of a layer with the grid of a scheme drawn on it, and the error of each format."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from pages.parts import text
from pages.parts.channels import channels
from pages.parts.charts import chart
from pages.parts.header import window
from pages.parts.layers import layer_picker
from pages.parts.notice import notice
from pages.parts.opening import calm, theme
from pages.parts.scheme import SHORT_RANGES, labelled, marked, plan_button, scheme_controls, view_of
from pages.parts.state import State
from pages.parts.tables import csv_button
from quant_core.errors import QuantscopeError
from quant_core.figures import histogram_figure, panels_figure
from quant_core.formats import Scheme
from quant_core.study import Study, format_errors, panels, weight_histogram, weight_summary, widest_channel

_SQNR = "Signal-to-quantization-noise ratio of the weights: how far the rounding stands below them."
_BITS = (
    "Bits that a weight takes in the file on average: its code, and its part of the scales and zero points. "
    "Few weights to a scale make this larger than the format's own bits."
)
_COLUMNS = {
    "format": st.column_config.TextColumn("Format", help="How one number is stored."),
    "granularity": st.column_config.TextColumn("One scale for each", help="What shares one scale."),
    "symmetric": st.column_config.TextColumn("Symmetric", help="Zero point 0: the grid is centred on zero."),
    "range": st.column_config.TextColumn("Range", help="The method that chose where the grid ends."),
    "sqnr_db": st.column_config.ProgressColumn(
        "SQNR, dB", format="%.1f", min_value=0, max_value=100, help=_SQNR
    ),
    "bits_per_weight": st.column_config.NumberColumn("Bits per weight", format="%.2f", help=_BITS),
    "bytes": st.column_config.NumberColumn(
        "Bytes", format="localized", help="Codes, scales and zero points, without the file around them."
    ),
    "worst_error": st.column_config.NumberColumn(
        "Worst error", format="%.3g", help="The largest distance of a weight from its quantized value."
    ),
    "shown": st.column_config.TextColumn("Now", help="The scheme in view, and the one the plan has."),
}


def main() -> None:
    with window() as (state, study):
        st.title("Weights", anchor=False)
        st.caption(
            "The values a format can hold, drawn on the values the layer has: what falls between is rounded."
        )
        layer_picker(state, study)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            scheme = scheme_controls(state, "weights")
            _channel(study, state)
        try:
            _layer(state, study, scheme)
            formats = st.container()
            _panels(state, study)
            channels(state, study, scheme)
            with formats:  # last: fourteen schemes of a large layer take seconds, once
                _formats(state, study, scheme)
        except QuantscopeError as error:
            calm(error)


def _layer(state: State, study: Study, scheme: Scheme) -> None:
    """The histogram with the grid, what the grid loses, and the values in words."""
    layer, channel = study.graph.layer(state.layer), state.view.channel
    seen = weight_histogram(study, layer, scheme, channel)
    bits = study.quantized(layer, scheme).bits / max(1, layer.parameters)
    numbers = [
        ("SQNR", text.decibel(seen.error), _SQNR),
        ("Worst error", f"{seen.worst:.3g}", "The largest distance of a weight from its quantized value."),
        ("Clipped", text.percent(seen.clipped), "Weights beyond the first and last code."),
        ("Bits per weight", f"{bits:.3g}", _BITS),
    ]
    with st.container(horizontal=True):
        for label, value, said in numbers:
            st.metric(label, value, help=said, width=120)
    figure = histogram_figure(seen.edges, seen.counts, seen.grid, scheme.number.bits, seen.steps, theme())
    chart(figure, "weights")
    if scheme.number.kind == "float":
        st.caption("A float format has no scale: its grid is finer near zero and is not drawn.")
    elif seen.steps:
        st.caption(
            "Several scales are in view, so each weight is drawn in steps of its own scale. "
            "Choose a channel to see its values."
        )
    s = weight_summary(study, layer)
    st.caption(
        f"{text.name(layer.kind)}, {layer.parameters:,} weights, shape {text.shape(layer.shape)}: "
        f"{s['minimum']:.3g} to {s['maximum']:.3g}, mean {s['mean']:.3g}, standard deviation "
        f"{s['deviation']:.3g}, excess kurtosis {s['kurtosis']:.3g}, {text.percent(s['sparsity'])} zeros, "
        f"{text.percent(s['outliers'])} beyond four deviations.",
        help="Excess kurtosis: how heavy the tails are. 0 for a normal distribution; more means outliers.",
    )
    plan_button(state, study, "weights", scheme)
    notice(state)


def _channel(study: Study, state: State) -> None:
    """The channel in view, or all."""
    layer = study.graph.layer(state.layer)
    count = layer.shape[layer.axis] if layer.shape else 1
    if state.view.channel is not None and state.view.channel >= count:
        state.look(channel=None)
    every = -1  # a select box shows None as nothing chosen
    st.session_state["weights-channel"] = every if state.view.channel is None else state.view.channel

    def choose() -> None:
        chosen = st.session_state["weights-channel"]
        state.look(channel=None if chosen == every else chosen)

    st.selectbox(
        "Channel",
        [every, *range(count)],
        format_func=lambda c: "All channels" if c == every else f"Channel {c}",
        key="weights-channel",
        on_change=choose,
        help="An output channel: the weights that make one channel of the layer's output.",
        width=160,
    )


def _formats(state: State, study: Study, scheme: Scheme) -> None:
    """The error of every format; a row that is clicked becomes the scheme in view."""
    st.subheader("Every format side by side", anchor=False)
    with st.spinner("Quantizing to every format"):
        table = format_errors(study, study.graph.layer(state.layer))
    words = labelled(table).assign(shown=marked(table, scheme, state.plan[state.layer].weights))
    key = f"formats-{state.layer}-{scheme}"  # a row that was clicked is marked in the table, not left ticked
    st.dataframe(
        words,
        hide_index=True,
        height="content",
        column_config=_COLUMNS,
        column_order=list(_COLUMNS),
        key=key,
        on_select=partial(_pick, state, table, key),
        selection_mode="single-row",
    )
    csv_button(table, "formats")
    st.caption("A click on a row draws its grid.")


def _pick(state: State, table: pd.DataFrame, key: str) -> None:
    for row in st.session_state[key].selection.rows:
        record = table.iloc[row][["format", "granularity", "range"]].to_dict()
        state.look(**view_of(Scheme(**record, symmetric=bool(table["symmetric"].iloc[row])), "weights"))


def _panels(state: State, study: Study) -> None:
    """One channel under several grids."""
    layer = study.graph.layer(state.layer)
    channel = state.view.channel
    widest, _ = widest_channel(study, layer)
    shown = widest if channel is None else channel
    st.subheader("What fewer bits leave", anchor=False)
    drawn = []
    for panel in panels(study, layer, shown):
        kind = "symmetric" if panel.scheme.symmetric else "asymmetric"
        method = SHORT_RANGES[panel.scheme.range].lower()
        title = f"{panel.scheme.format} {kind}<br>{method}, {text.decibel(panel.seen.error)}"
        drawn.append((title, panel.seen.edges, panel.seen.counts, panel.seen.grid, panel.scheme.number.bits))
    chart(panels_figure(drawn, theme()), "panels")
    said = ", the one with the widest range" if channel is None else ""
    st.caption(f"Channel {shown}{said}: one line for each value that has a code; SQNR is of this channel.")


main()
