"""Activations: the histogram of what enters a layer, what each range method keeps of it, and what each format
makes of it. All of it from the histograms of calibration.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from pages.parts import text
from pages.parts.charts import chart
from pages.parts.header import window
from pages.parts.layers import layer_picker
from pages.parts.links import START
from pages.parts.measuring import known_ranges
from pages.parts.nothing import nothing_to_quantize
from pages.parts.notice import notice
from pages.parts.opening import calm, theme
from pages.parts.scheme import SHORT_RANGES, plan_button, scheme_controls
from pages.parts.scheme_table import CLIPPED_HELP, SQNR_HELP, STEP_HELP, scheme_table
from pages.parts.settling import settling
from pages.parts.state import State
from quant_core.errors import QuantscopeError
from quant_core.figures import activation_figure, layer_ranges_figure
from quant_core.formats import Scheme
from quant_core.study import (
    Ranges,
    Study,
    activation_histogram,
    activation_scheme,
    activation_summary,
    clip_losses,
    layer_activations,
    scheme_losses,
    why_no_activation,
)


def main() -> None:
    with window() as (state, study):
        st.title("Activations", anchor=False)
        st.caption("What enters each layer, as calibration samples show it, and what a range cuts off.")
        if nothing_to_quantize(study):
            return
        if study.calibration is None:
            st.info(
                "Activation ranges come from running calibration samples through the model, and none are "
                "open. Open data, with some of it set aside for calibration.",
                icon=":material/info:",
            )
            st.page_link(str(START), label="Open data", icon=":material/home:")
            return
        layer_picker(state, study)
        ranges = known_ranges(state, study)
        if ranges is None:
            st.info(
                "Calibrating: the histograms appear when the samples have gone through the model once. "
                "They are kept.",
                icon=":material/hourglass_empty:",
            )
            return
        _page(state, study, ranges)


def _page(state: State, study: Study, ranges: Ranges) -> None:
    refused = why_no_activation(study.graph.layer(state.layer))
    if refused is None:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            scheme = scheme_controls(state, "activations")
            log = st.toggle(
                "Logarithmic counts",
                key="activations-log",
                persist_state="session",
                help="Shows bins with few values beside bins with many.",
            )
        try:
            _layer(state, study, ranges, scheme, log)
        except QuantscopeError as error:
            calm(error)
    else:
        scheme = activation_scheme(None)
        st.info(text.name(f"Nothing to quantize here: {refused}."), icon=":material/info:")
    _layers(state, study, ranges, scheme)


def _layer(state: State, study: Study, ranges: Ranges, scheme: Scheme, log: bool) -> None:
    """The selected layer: its histogram, the range methods and the formats."""
    layer = study.graph.layer(state.layer)
    planned = state.plan[state.layer].activations
    seen = activation_histogram(ranges, layer, scheme)
    about = activation_summary(ranges, layer)
    clips = clip_losses(ranges, layer, scheme)
    numbers = [
        ("SQNR", text.decibel(seen.sqnr_db), SQNR_HELP),
        ("Clipped", text.percent(seen.clipped), CLIPPED_HELP),
        ("Step", f"{seen.step:.3g}", STEP_HELP),
        ("Zeros", text.percent(about["zeros"]), "Share of values that are exactly zero, as after a ReLU."),
    ]
    with st.container(horizontal=True):
        for label, value, said in numbers:
            st.metric(label, value, help=said, width=120)
    figure = activation_figure(
        seen.edges,
        seen.counts,
        seen.grid,
        scheme.number.bits,
        clips,
        SHORT_RANGES,
        scheme.range,
        log,
        theme(),
    )
    chart(figure, "activations", alt=f"Values that enter {state.layer}, with the grid of {scheme.format}")
    part = (
        "" if about["binned"] == about["values"] else f"; {text.count(about['binned'])} of them in the bins"
    )
    st.caption(
        f"From {study.calibration_samples} calibration samples; bins of width {seen.width:.3g}. "
        f"{text.count(about['values'])} values{part}: {about['minimum']:.3g} to {about['maximum']:.3g}, "
        f"mean {about['mean']:.3g}, standard deviation {about['deviation']:.3g}."
        + (" Zeros are not drawn." if about["zeros"] else "")
        + (f" {about['not_finite']:.0f} values are not finite and left out." if about["not_finite"] else "")
    )
    if planned is not None and planned.is_dynamic:
        st.caption("The plan finds the range of each batch at run time; here it is that of all samples.")
    plan_button(state, study, "activations", scheme)
    notice(state)
    kind = "symmetric" if scheme.symmetric else "asymmetric"
    st.subheader(f"What each range keeps, as {scheme.format}, {kind}", anchor=False)
    scheme_table(state, "activations", clips, "clipping", scheme, ("format", "symmetric"))
    st.subheader("Every format side by side", anchor=False)
    scheme_table(state, "activations", scheme_losses(ranges, layer), "activation-formats", scheme)
    st.caption("Tick a row to draw its grid. SQNR and clipping are computed from the histogram.")
    settling(state, study, ranges, scheme)


def _layers(state: State, study: Study, ranges: Ranges, scheme: Scheme) -> None:
    """The ranges of all layers side by side; a bar that is clicked selects its layer."""
    st.subheader("The range of every layer", anchor=False)
    table = layer_activations(study, ranges, scheme)
    # The key changes with the selection: a click that was carried out must not come again.
    chart(
        layer_ranges_figure(table, state.layer, theme()),
        "layer-ranges",
        key=f"layer-ranges-{state.layer}",
        table=table,
        alt="Range of what enters each layer",
        on_select=partial(_select, state, table, f"layer-ranges-{state.layer}"),
        selection_mode="points",
    )
    st.caption(
        "Thin: from minimum to maximum. Thick: 99.9 % of the values. A click selects a layer. "
        f"From {study.calibration_samples} calibration samples."
    )


def _select(state: State, table: pd.DataFrame, key: str) -> None:
    for point in st.session_state[key].selection.points:
        state.select(str(table["layer"].iloc[int(point["customdata"][0])]))


main()
