"""Open something else: a bundled sample, dropped files, paths on this machine, or a model of the hub."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.parts import metrics, text
from pages.parts.opening import calm, carry_on
from pages.parts.state import State
from pages.parts.way_hub import fetched
from pages.parts.way_path import named
from pages.parts.way_upload import dropped
from quant_core.errors import QuantscopeError
from quant_core.study import Source, samples


def gallery(state: State) -> None:
    """The bundled samples."""
    st.subheader("Samples", anchor=False)
    for sample in samples():
        reference = f"sample:{sample.name}"
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            with st.container(gap=None):
                st.markdown(f"**{text.name(sample.card['title'])}**")
                numbers = f"{sample.card['metric_name']} " + metrics.shown(
                    sample.card["metric_name"], sample.card["metric_fp32"]
                )
                st.caption(text.name(f"{sample.name}, {text.size(sample.card['bytes'])}, {numbers}"))
            is_open = state.source.model == reference
            if st.button("Open" if not is_open else "Is open", key=f"open-{sample.name}", disabled=is_open):
                state.open(Source(reference, reference))
                st.rerun()


def own_model(state: State) -> None:
    """A model of the user's own, three ways. What cannot be opened is said, and what was open stays."""
    st.subheader("Your own model", anchor=False)
    problem = st.empty()
    ways: dict[str, Callable[[], Source | None]] = {
        "Upload": dropped,
        "Path on this machine": named,
        "Hugging Face": lambda: fetched(state),
    }
    for tab, way in zip(st.tabs(list(ways), key="ways"), ways.values(), strict=True):
        with tab:
            try:
                source = way()
            except QuantscopeError as error:
                state.refuse(str(error))
            else:
                if source is not None:
                    state.begin(source)
    with problem:
        carry_on(state)
        if state.problem:
            calm(state.problem)
