"""The layer picker: one selection for all pages."""

from __future__ import annotations

import streamlit as st

from pages.parts.state import State
from quant_core.study import Study


def layer_picker(state: State, study: Study) -> None:
    """A list of layers and two arrows; the choice is the selection of the window."""
    names = [layer.name for layer in study.graph.quantizable]
    kinds = {layer.name: layer.kind for layer in study.graph.quantizable}
    at = names.index(state.layer)

    st.session_state["layer-picker"] = state.layer
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Layer",
            names,
            key="layer-picker",
            format_func=lambda n: f"{n}  ({kinds[n]})",
            on_change=lambda: state.select(st.session_state["layer-picker"]),
            width=330,
        )
        st.button(
            "Previous",
            icon=":material/chevron_left:",
            disabled=at == 0,
            on_click=state.select,
            args=(names[max(at - 1, 0)],),
        )
        st.button(
            "Next", icon=":material/chevron_right:", disabled=at == len(names) - 1,
            on_click=state.select, args=(names[min(at + 1, len(names) - 1)],),
        )  # fmt: skip
