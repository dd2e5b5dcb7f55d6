"""Open the study of this window, or say calmly why not."""

from __future__ import annotations

import streamlit as st

from pages.parts import text
from pages.parts.live import take_results
from pages.parts.state import State, current
from quant_core.errors import QuantscopeError
from quant_core.study import Source, Study, check_layer, open_guarded


def opened() -> tuple[State, Study]:
    """State and study of this window. Shows a box and stops the page where the study cannot be opened."""
    state = current()
    take_results(state)
    try:
        study = open_study(state.source)
        state.layer = check_layer(study, state.layer) if study.graph.quantizable else ""
        state.show_in_url()
    except QuantscopeError as error:
        st.title("This study cannot be opened", anchor=False)
        calm(error)
        st.caption(
            "Its plan and everything measured are kept under this link. Put the file back and try again, or "
            "open something else from the sample."
        )
        with st.container(horizontal=True):
            st.button("Try again", icon=":material/refresh:")
            if st.button("Open the default sample", icon=":material/restart_alt:"):
                state.open(Source())
                st.rerun()
        st.stop()
    return state, study


def carry_on(state: State) -> None:
    """Open what the window was asked to open, also after a reload in the middle of it. What was open stays
    where that fails.
    """
    wanted = state.opening
    if wanted is None:
        return
    try:
        open_study(wanted)
    except QuantscopeError as error:
        state.refuse(str(error))
        return
    notice = state.notice
    state.open(wanted)
    state.notice = notice
    st.rerun()


def open_study(source: Source) -> Study:
    """The study of `source`, kept while its files do not change."""
    return _open(source, source.stamps)


@st.cache_resource(max_entries=4, show_spinner="Opening the model and its data")
def _open(source: Source, stamps: tuple[float, ...]) -> Study:
    return open_guarded(source)


def calm(error: QuantscopeError | str) -> None:
    """One plain sentence in a box; what was done before stays."""
    st.warning(text.name(str(error)), icon=":material/info:")


def theme() -> str:
    """The theme the browser shows: light or dark."""
    return st.context.theme.type or "light"
