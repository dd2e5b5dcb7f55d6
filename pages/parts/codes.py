"""The weights as the integers that the file stores, and what one of them becomes step by step."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from pages.parts import text
from pages.parts.charts import chart
from pages.parts.opening import theme
from pages.parts.state import State
from pages.parts.tables import csv_button
from quant_core.figures import codes_figure
from quant_core.formats import Scheme
from quant_core.study import Study, codes_table, journey, weight_codes, widest_channel

_COLUMNS = {
    "position": st.column_config.NumberColumn("Position", help="Place in the channel, in the file's order."),
    "weight": st.column_config.NumberColumn("Weight", format="%.5g", help="As the opened file stores it."),
    "code": st.column_config.NumberColumn("Code", format="%d", help="The integer that is stored instead."),
    "bits": st.column_config.TextColumn("Bits", help="The bits of the code, the highest first."),
    "quantized": st.column_config.NumberColumn("Quantized", format="%.5g", help="What the code stands for."),
    "error": st.column_config.NumberColumn("Error", format="%.2g", help="Quantized less weight."),
}
_MOST_BARS = 256


def codes(state: State, study: Study, scheme: Scheme) -> None:
    """Histogram of codes and its entropy, the codes of a channel, one value's journey."""
    layer = study.graph.layer(state.layer)
    st.subheader("The weights as stored", anchor=False)
    found = weight_codes(study, layer, scheme)
    numbers = [
        ("Levels used", f"{found.used:,} of {found.levels:,}", "Codes that occur, of those there are."),
        ("Entropy", f"{found.entropy:.2f} bits", "Information in one code: no lossless coding needs less."),
        ("Codes as stored", text.size(found.plain_bytes), "Without scales, zero points and tables."),
        (
            "Huffman-coded",
            text.size(found.coded_bytes),
            "What the codes would take with code words by frequency (Han et al. 2016), table included. Not "
            "written: no runtime reads it.",
        ),
    ]
    with st.container(horizontal=True):
        for label, value, said in numbers:
            st.metric(label, value, help=said, width=170)
    if found.codes.size <= _MOST_BARS:
        figure = codes_figure(found.codes, found.counts, scheme.number.bits, theme())
        table = pd.DataFrame({"code": found.codes, "weights": found.counts})
        chart(figure, "codes", table=table, alt=f"How often each code of {scheme.format} occurs")
        if found.used < found.codes.size:
            st.caption("A cross marks a code that no weight has.")
    channel = widest_channel(study, layer)[0] if state.view.channel is None else state.view.channel
    left, right = st.columns([6, 5], gap="medium")
    with left:
        position = _table(state, study, scheme, channel)
    with right:
        _journey(state, study, scheme, channel, position)


def _table(state: State, study: Study, scheme: Scheme, channel: int) -> int:
    """The codes of a channel; gives the position that is ticked."""
    layer = study.graph.layer(state.layer)
    table = codes_table(study, layer, scheme, channel)
    key = f"codes-{state.layer}-{scheme}-{channel}"
    chosen = min(state.view.position, len(table) - 1)
    st.markdown(f"Channel {channel}: the first {len(table):,} weights")
    st.dataframe(
        table,
        hide_index=True,
        height=330,
        column_config=_COLUMNS,
        key=key,
        on_select=partial(_picked, state, key),
        selection_mode="single-row",
    )
    csv_button(table, "channel-codes")
    return max(0, chosen)


def _picked(state: State, key: str) -> None:
    for row in st.session_state[key].selection.rows:
        state.look(position=int(row))


def _journey(state: State, study: Study, scheme: Scheme, channel: int, position: int) -> None:
    layer = study.graph.layer(state.layer)
    st.markdown(f"One value's journey: position {position} of channel {channel}")
    steps = journey(study, layer, scheme, channel, position)
    rows = [{"step": s.name, "how": s.formula, "value": f"{s.value:.7g}"} for s in steps]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height="content",
        column_config={
            "step": st.column_config.TextColumn("Step", help="What is done to the value."),
            "how": st.column_config.TextColumn("How", help="The formula with its numbers."),
            "value": st.column_config.TextColumn("Value", help="What comes out, in float32."),
        },
    )
    csv_button(pd.DataFrame([{"step": s.name, "how": s.formula, "value": s.value} for s in steps]), "journey")
    st.caption("Tick a row of the table to follow another weight.")
