"""Which formats have a column in the matrix: the usual ones, and those that are added."""

from __future__ import annotations

import streamlit as st

from pages.parts.state import State
from quant_core.formats import FORMATS
from quant_core.study import column_label, further_formats


def columns_menu(state: State, part: str) -> None:
    """Add columns to the matrix of `part`, or take them away."""
    head = f"{part}:"
    names = further_formats(part)
    key = f"columns-{part}"
    st.session_state[key] = [name for name in names if f"{head}{name}" in state.view.more]

    def choose() -> None:
        others = tuple(m for m in state.view.more if not m.startswith(head))
        state.look(more=(*others, *(f"{head}{name}" for name in st.session_state[key])))

    with st.popover(f"{part.capitalize()} columns", icon=":material/view_column:"):
        st.multiselect(
            f"More formats for {part}",
            names,
            key=key,
            on_change=choose,
            format_func=lambda name: column_label(part, name),
            help="Each gets a column; its cells are measured like the others.",
        )
        for name in st.session_state[key]:
            st.caption(f"**{column_label(part, name)}**: {FORMATS[name].about}")
