"""Weights: the histogram of a layer with the grid of a scheme drawn on it, and the error of each format."""

from __future__ import annotations

import streamlit as st

from pages.parts import text
from pages.parts.header import Header
from pages.parts.layers import layer_picker
from pages.parts.measuring import known_plan, measure_plan
from pages.parts.opening import calm, opened, theme
from pages.parts.state import State
from pages.parts.tables import csv_button
from quant_core.errors import QuantscopeError
from quant_core.figures import channel_figure, histogram_figure
from quant_core.formats import FORMATS, Scheme
from quant_core.study import Study, channel_ranges, format_errors, weight_histogram, weight_summary

_FORMATS = [name for name in FORMATS if name != "fp32"]
_GRANULARITIES = {"tensor": "Tensor", "channel": "Output channel", "group:32": "Group of 32"}
_RANGES = {"minmax": "Min-max", "mse": "Least mean-square error", "percentile:99.9": "Percentile 99.9"}


def main() -> None:
    state, study = opened()
    header = Header(state, study)
    header.show(known_plan(state, study))
    st.title("Weights", anchor=False)
    st.caption(
        "The values a format can hold, drawn on the values the layer has: what falls between is rounded."
    )
    layer_picker(state, study)
    layer = study.graph.layer(state.layer)
    left, right = st.columns([2, 5], gap="medium")
    with left:
        scheme = _scheme(state)
        channel = _channel(study, state)
    try:
        seen = weight_histogram(study, layer, scheme, channel)
    except QuantscopeError as error:
        calm(error)
        st.stop()
    with right:
        numbers = st.columns(4)
        numbers[0].metric(
            "SQNR",
            text.decibel(seen.error),
            help="Signal-to-quantization-noise ratio of the weights in view.",
        )
        numbers[1].metric(
            "Worst error",
            f"{seen.worst:.3g}",
            help="The largest distance of a weight from its quantized value.",
        )
        numbers[2].metric(
            "Clipped", text.percent(seen.clipped), help="Weights beyond the first and last code."
        )
        bits = study.quantized(layer, scheme).bits / max(1, layer.parameters)
        numbers[3].metric("Bits per weight", f"{bits:.3g}", help="Scales and zero points included.")
        figure = histogram_figure(seen.edges, seen.counts, seen.grid, scheme.number.bits, seen.steps, theme())
        st.plotly_chart(figure, theme=None, key="histogram")
        if seen.steps:
            st.caption(
                "Several scales are in view, so each weight is drawn in steps of its own scale. "
                "Choose a channel to see its values."
            )
    _summary(study, state)
    _formats(study, state)
    st.subheader("Range of each output channel", anchor=False)
    ranges = channel_ranges(study, layer)
    st.plotly_chart(channel_figure(ranges, channel, theme()), theme=None, key="channels")
    csv_button(ranges, "channels")
    header.show(measure_plan(state, study))


def _scheme(state: State) -> Scheme:
    """The scheme that the grid shows; it starts at what the plan in hand has for the layer."""
    planned = state.plan[state.layer].weights or Scheme("int8", "channel")
    slot = f"{state.layer}-{planned}"
    name = st.selectbox("Format", _FORMATS, _FORMATS.index(planned.format), key=f"format-{slot}")
    if FORMATS[name].kind == "float":
        st.caption("A float format has no scale: its grid is finer near zero and is not drawn.")
        return Scheme(name)
    granularities, ranges = list(_GRANULARITIES), list(_RANGES)
    granularity = st.selectbox(
        "One scale for each",
        granularities,
        granularities.index(planned.granularity) if planned.granularity in granularities else 1,
        format_func=_GRANULARITIES.__getitem__,
        key=f"granularity-{slot}",
        help="What shares one scale: the tensor, an output channel, or 32 consecutive weights of a channel.",
    )
    method = st.selectbox(
        "Range",
        ranges,
        ranges.index(planned.range) if planned.range in ranges else 0,
        format_func=_RANGES.__getitem__,
        key=f"range-{slot}",
        help="Where the grid ends: at the extremes, where the squared error is least, or at a percentile.",
    )
    symmetric = st.toggle(
        "Symmetric",
        planned.symmetric,
        key=f"symmetric-{slot}",
        help="Zero point 0: the grid is centred on zero.",
    )
    return Scheme(name, granularity, symmetric, method)


def _channel(study: Study, state: State) -> int | None:
    layer = study.graph.layer(state.layer)
    count = layer.shape[layer.axis] if layer.shape else 1
    options = [None, *range(count)]
    return st.selectbox(
        "Channel",
        options,
        format_func=lambda c: "All channels" if c is None else f"Channel {c}",
        key=f"channel-{state.layer}",
    )


def _summary(study: Study, state: State) -> None:
    layer = study.graph.layer(state.layer)
    s = weight_summary(study, layer)
    st.caption(
        f"{text.name(layer.kind)}, {layer.parameters:,} weights, shape {text.shape(layer.shape)}, "
        f"{s['minimum']:.3g} to {s['maximum']:.3g}, mean {s['mean']:.3g}, "
        f"standard deviation {s['deviation']:.3g}, "
        f"excess kurtosis {s['kurtosis']:.3g}, {text.percent(s['sparsity'])} zeros, "
        f"{text.percent(s['outliers'])} beyond four deviations"
    )


def _formats(study: Study, state: State) -> None:
    st.subheader("Every format side by side", anchor=False)
    table = format_errors(study, study.graph.layer(state.layer))
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        column_config={
            "format": "Format",
            "granularity": "One scale for each",
            "symmetric": "Symmetric",
            "range": "Range",
            "bits_per_weight": st.column_config.NumberColumn("Bits per weight", format="%.2f"),
            "bytes": st.column_config.NumberColumn("Bytes", format="localized"),
            "sqnr_db": st.column_config.ProgressColumn("SQNR, dB", format="%.1f", min_value=0, max_value=100),
            "worst_error": st.column_config.NumberColumn("Worst error", format="%.3g"),
        },
    )
    csv_button(table, "formats")


main()
