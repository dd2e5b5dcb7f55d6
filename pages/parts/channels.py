"""The output channels of a layer: their ranges, and what the scheme in view costs in each."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from pages.parts.charts import chart
from pages.parts.opening import theme
from pages.parts.state import State
from pages.parts.tables import csv_button
from quant_core.figures import channel_figure
from quant_core.formats import Scheme
from quant_core.study import Study, channel_errors

_COLUMNS = {
    "channel": st.column_config.NumberColumn("Channel", help="Output channel."),
    "low": st.column_config.NumberColumn("Lowest", format="%.4g", help="Lowest weight."),
    "high": st.column_config.NumberColumn("Highest", format="%.4g", help="Highest weight."),
    "sqnr_db": st.column_config.NumberColumn(
        "SQNR, dB", format="%.1f", help="Signal-to-quantization-noise ratio of this channel's weights alone."
    ),
    "share": st.column_config.NumberColumn(
        "Share of the error, %", format="%.3g", help="Its part of the squared error of the whole layer."
    ),
    "outlier": st.column_config.TextColumn(
        "Outlier",
        help="Yes where the range is more than twice the median one: one scale for all channels would then "
        "cost the others a bit.",
    ),
}


def channels(state: State, study: Study, scheme: Scheme) -> None:
    """A chart and a table; a click on a bar or a row puts the channel in view."""
    st.subheader("Range of each output channel", anchor=False)
    by_cost = st.toggle(
        "Costliest first",
        key="channels-by-cost",
        persist_state="session",
        help="In the order of their part of the layer's squared error with the format in view; otherwise in "
        "the order of the file.",
    )
    table = channel_errors(study, study.graph.layer(state.layer), scheme)
    if by_cost:
        table = table.sort_values("share", ascending=False, kind="stable", ignore_index=True)
    # Keys change with what is selected: a click that was carried out must not come again.
    slot = f"{state.layer}-{scheme}-{state.view.channel}-{by_cost}"
    chart(
        channel_figure(table, state.view.channel, theme()),
        "channels",
        key=f"channels-{slot}",
        alt=f"Lowest to highest weight of each output channel of {state.layer}",
        on_select=partial(_clicked, state, f"channels-{slot}"),
        selection_mode="points",
    )
    far = table.loc[table["outlier"], "channel"].tolist()
    named = ", ".join(map(str, sorted(far)[:8])) + (f" and {len(far) - 8} more" if len(far) > 8 else "")
    outliers = f" Outliers, marked with a triangle: {named}." if far else " No outliers."
    st.caption(f"A click on a bar, or a tick at a row, puts that channel in view.{outliers}")
    key = f"channel-table-{slot}"
    words = table.assign(share=100 * table["share"], outlier=table["outlier"].map({True: "Yes", False: ""}))
    st.dataframe(
        words,
        hide_index=True,
        height="content" if len(table) <= 10 else 360,
        column_config=_COLUMNS,
        column_order=list(_COLUMNS),
        key=key,
        on_select=partial(_picked, state, table, key),
        selection_mode="single-row",
    )
    csv_button(table, "channels")


def _clicked(state: State, key: str) -> None:
    for point in st.session_state[key].selection.points:
        state.look(channel=int(point["customdata"][0]))


def _picked(state: State, table: pd.DataFrame, key: str) -> None:
    for row in st.session_state[key].selection.rows:
        state.look(channel=int(table["channel"].iloc[row]))
