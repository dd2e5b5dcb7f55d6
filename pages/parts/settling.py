"""How many samples are enough for the range of a layer, which samples drive it, and what each channel has."""

from __future__ import annotations

import streamlit as st

from pages.parts import text
from pages.parts.charts import chart
from pages.parts.opening import theme
from pages.parts.scheme import SHORT_RANGES
from pages.parts.state import State
from pages.parts.tables import csv_button
from quant_core.figures import channel_figure, settling_figure
from quant_core.formats import Scheme
from quant_core.study import Ranges, Settling, Study, known_settling, settle_wish, top_samples

_TOP = {
    "sample": st.column_config.NumberColumn("Sample", help="Number among the calibration samples, from 0."),
    "largest": st.column_config.NumberColumn(
        "Largest value", format="%.4g", help="Largest magnitude that this sample brings into the layer."
    ),
    "label": st.column_config.NumberColumn("Label", help="Class of the sample, where there are labels."),
}


def settling(state: State, study: Study, ranges: Ranges, scheme: Scheme) -> None:
    """The settle plot with its verdict, the samples with the largest values, the channels."""
    st.subheader("How many samples are enough", anchor=False)
    layer = study.graph.layer(state.layer)
    found = known_settling(study, layer)
    if found is None:
        _ask(state, study)
    else:
        _plot(state, found, scheme)
    left, right = st.columns([4, 7], gap="medium")
    with left:
        _top(study, ranges, state)
    if found is not None:
        with right:
            _channels(state, found)


def _ask(state: State, study: Study) -> None:
    wish = settle_wish(state.source, state.layer)
    job = wish.find(state.id)
    busy = job is not None and job.alive
    st.caption(
        "Runs the calibration samples and as many held-out ones through the model as far as this layer, "
        "and shows how each range method settles as samples are added."
    )
    if st.button(
        "Measuring" if busy else "Measure", icon=":material/ssid_chart:", disabled=busy, key="settle"
    ):
        wish.ask(state.id)
        st.rerun()


def _plot(state: State, found: Settling, scheme: Scheme) -> None:
    table = found.table(scheme)
    figure = settling_figure(table, SHORT_RANGES, scheme.range, theme())
    chart(figure, "settling", table=table, alt=f"Range of what enters {state.layer} as samples are added")
    method, last = SHORT_RANGES.get(scheme.range, scheme.range), int(table["samples"].max())
    needed = found.enough(scheme)
    if needed is None:
        st.warning(
            f"{method} still changes at {last} samples: more calibration samples would move it.",
            icon=":material/info:",
        )
    else:
        st.caption(
            f"{method}: enough after {needed} of {last} samples. From there the SQNR of all stays within "
            "half a decibel of the final one."
        )
    drift = found.drift(scheme)
    if drift is None:
        return
    said = (
        f"On held-out samples the range of calibration gives {text.decibel(drift.sqnr_db)}, their own "
        f"{text.decibel(drift.own_sqnr_db)}; {text.percent(drift.outside)} of their values lie outside."
    )
    if drift.alarm:
        st.warning(
            f"{said} The calibration samples are not like the others: take more of them, or others.",
            icon=":material/warning:",
        )
    else:
        st.caption(said)


def _top(study: Study, ranges: Ranges, state: State) -> None:
    table = top_samples(study, ranges, study.graph.layer(state.layer))
    st.markdown("Samples with the largest values")
    if table["label"].isna().all():
        table = table.drop(columns="label")
    st.dataframe(table, hide_index=True, height="content", column_config=_TOP)
    csv_button(table, "top-samples")


def _channels(state: State, found: Settling) -> None:
    st.markdown("Range of each channel that enters")
    table = found.channels.assign(outlier=False, sqnr_db=float("nan"))
    width = table["high"] - table["low"]
    table["outlier"] = width > 2 * width.median()
    chart(
        channel_figure(table, None, theme(), "channel", "activation"),
        "activation-channels",
        table=found.channels,
        alt=f"Lowest to highest value of each channel that enters {state.layer}",
    )
    count = int(table["outlier"].sum())
    few = f"{count} channel{'s' if count != 1 else ''} more than twice as wide as the median, marked."
    st.caption(few if count else "No channel is more than twice as wide as the median.")
