"""A sentence about what was just done, shown until the next thing is done."""

from __future__ import annotations

import streamlit as st

from pages.parts import text
from pages.parts.state import State

_PAGE = "quantscope-page"


def notice(state: State) -> None:
    """Show the notice of the last action, if it left one and this is still its page."""
    page = st.context.url
    page = (page or "").split("?")[0]
    if st.session_state.get(_PAGE) not in (None, page):
        state.notice = ""
    st.session_state[_PAGE] = page
    if state.notice:
        st.info(text.name(state.notice), icon=":material/info:")
