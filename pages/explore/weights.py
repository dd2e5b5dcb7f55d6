"""Weights: the histogram of a layer with the grid of a scheme drawn on it, and the error of each format."""

from __future__ import annotations

import streamlit as st

from pages.parts import text
from pages.parts.channels import channels
from pages.parts.charts import chart
from pages.parts.codes import codes
from pages.parts.header import window
from pages.parts.layers import layer_picker
from pages.parts.measuring import known_formats
from pages.parts.nothing import nothing_to_quantize
from pages.parts.notice import notice
from pages.parts.opening import calm, theme
from pages.parts.scheme import SHORT_RANGES, plan_button, scheme_controls
from pages.parts.scheme_table import BITS_HELP, SQNR_HELP, WORST_HELP, scheme_table
from pages.parts.state import State
from quant_core.errors import QuantscopeError
from quant_core.figures import histogram_figure, panels_figure
from quant_core.formats import Scheme
from quant_core.study import Study, panels, weight_histogram, weight_summary, widest_channel


def main() -> None:
    with window() as (state, study):
        st.title("Weights", anchor=False)
        st.caption(
            "The values a format can hold, drawn on the values the layer has: what falls between is rounded."
        )
        if nothing_to_quantize(study):
            return
        layer_picker(state, study)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            scheme = scheme_controls(state, "weights")
            _channel(study, state)
        try:
            _layer(state, study, scheme)
            _formats(state, study, scheme)
            _panels(state, study)
            channels(state, study, scheme)
            codes(state, study, scheme)
        except QuantscopeError as error:
            calm(error)


def _layer(state: State, study: Study, scheme: Scheme) -> None:
    """The histogram with the grid, what the grid loses, and the values in words."""
    layer, channel = study.graph.layer(state.layer), state.view.channel
    seen = weight_histogram(study, layer, scheme, channel)
    bits = study.quantized(layer, scheme).bits_per_weight
    numbers = [
        ("SQNR", text.decibel(seen.error), SQNR_HELP),
        ("Worst error", f"{seen.worst:.3g}", WORST_HELP),
        ("Clipped", text.percent(seen.clipped), "Weights beyond the first and last code."),
        ("Bits per weight", f"{bits:.3g}", BITS_HELP),
    ]
    with st.container(horizontal=True):
        for label, value, said in numbers:
            st.metric(label, value, help=said, width=120)
    number = scheme.number
    figure = histogram_figure(
        seen.edges, seen.counts, seen.grid, number.bits, seen.steps, theme(), noise=seen.noise
    )
    chart(figure, "weights", alt=f"Weights of {state.layer}, with the grid of {scheme.format}")
    drawn = "Below: the share of the squared error that each bin has."
    if number.kind == "float":
        drawn += " A float format has no scale: its grid is finer near zero and is not drawn."
    elif seen.steps:
        drawn += (
            " Several scales are in view, so each weight is drawn in steps of its own scale."
            " Choose a channel to see its values."
        )
    elif seen.grid is None:
        drawn += " Several tables are in view: choose a channel to see the values of its own."
    st.caption(drawn)
    st.caption(f"**{number.name}**: {number.about} {number.facts}")
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
    table, missing = known_formats(state, study)
    scheme_table(state, "weights", table, "formats", scheme)
    more = f" {missing} more are being measured." if missing else ""
    st.caption(f"Tick a row to draw its grid.{more}")


def _panels(state: State, study: Study) -> None:
    """One channel under several grids."""
    layer = study.graph.layer(state.layer)
    channel = state.view.channel
    widest, _ = widest_channel(study, layer)
    shown = widest if channel is None else channel
    st.subheader("What fewer bits leave", anchor=False)
    drawn = []
    for panel in panels(study, layer, shown):
        kind = "" if panel.scheme.symmetric else " asymmetric"
        method = SHORT_RANGES[panel.scheme.range]
        title = f"{panel.scheme.format}{kind}<br>{method}: {text.decibel(panel.seen.error)}"
        drawn.append((title, panel.seen.edges, panel.seen.counts, panel.seen.grid, panel.scheme.number.bits))
    chart(panels_figure(drawn, theme()), "panels", alt=f"Channel {shown} with the grids of eight formats")
    said = ", the one with the widest range" if channel is None else ""
    st.caption(f"Channel {shown}{said}: one line for each value that has a code; SQNR is of this channel.")


main()
