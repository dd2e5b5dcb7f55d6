"""One output of a layer followed through its integer arithmetic."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from pages.parts.state import State
from pages.parts.tables import csv_button
from quant_core.study import Integers, Step, Study, follow

_STEPS = {
    "step": st.column_config.TextColumn("Step", help="What is done."),
    "how": st.column_config.TextColumn("How", help="The formula with its numbers."),
    "value": st.column_config.TextColumn("Value", help="What is added, or what comes out."),
}
_PRODUCTS = {
    "position": st.column_config.NumberColumn("Position", help="In the order in which they are summed."),
    "input": st.column_config.NumberColumn("q_x", help="Code of the input."),
    "weight": st.column_config.NumberColumn("q_w", help="Code of the weight."),
    "product": st.column_config.NumberColumn("Product", help="q_x times q_w."),
    "sum": st.column_config.NumberColumn("Sum so far", help="The accumulator after this product."),
}


def followed(state: State, study: Study, known: Integers) -> None:
    """The pickers, the steps, and the products."""
    st.subheader("One output, step by step", anchor=False)
    row, channel = _pick(state, known)
    found = follow(study.graph.layer(state.layer), known, row, channel)
    left, right = st.columns([6, 5], gap="medium")
    with left:
        st.markdown("As ONNX Runtime computes it")
        _table(found.steps, "integer-steps")
    with right:
        st.markdown("With a fixed-point multiplier, as microcontrollers do")
        _table(found.fixed, "fixed-point-steps")
        st.caption(
            ("The same code. " if found.same else "**Another code.** ")
            + "The float multiplier becomes a 32-bit integer and a shift (Jacob et al. 2018)."
        )
        with st.expander(f"The products: {known.found.products:,}"):
            st.dataframe(found.products, hide_index=True, height=300, column_config=_PRODUCTS)
            csv_button(found.products, "products")


def _pick(state: State, known: Integers) -> tuple[int, int]:
    """Which output of the first calibration sample."""
    last, channels = known.rows - 1, known.form.channels
    channel = min(state.view.channel or 0, channels - 1)
    largest = int(np.abs(known.first_output[:, channel]).argmax())
    row = largest if state.view.row is None else min(state.view.row, last)
    # The keys change with the ends: a field that keeps its key keeps what its old ends made of its value.
    row_key, channel_key = f"integers-row-{state.layer}", f"integers-channel-{state.layer}"
    st.session_state[row_key], st.session_state[channel_key] = row, channel
    with st.container(horizontal=True):
        if channels > 1:
            st.number_input(
                "Output channel",
                0,
                channels - 1,
                key=channel_key,
                on_change=lambda: state.look(channel=int(st.session_state[channel_key])),
                width=150,
            )
        if last:
            st.number_input(
                "Place in the output",
                0,
                last,
                key=row_key,
                on_change=lambda: state.look(row=int(st.session_state[row_key])),
                help="Of the first calibration sample: a pixel, row by row, or a token.",
                width=170,
            )
    return row, channel


def _table(steps: list[Step], name: str) -> None:
    rows = [{"step": s.name, "how": s.formula, "value": _number(s.value)} for s in steps]
    st.dataframe(pd.DataFrame(rows), hide_index=True, height="content", column_config=_STEPS)
    exact = [{"step": s.name, "how": s.formula, "value": s.value} for s in steps]
    csv_button(pd.DataFrame(exact), name)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e12 else f"{value:.7g}"
