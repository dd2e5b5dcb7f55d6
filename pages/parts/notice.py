"""A sentence about what was just done, shown once."""

from __future__ import annotations

import streamlit as st

from pages.parts import text
from pages.parts.state import State


def notice(state: State) -> None:
    """Show the notice of the last action, if it left one."""
    if state.notice:
        st.info(text.name(state.notice), icon=":material/info:")
        state.notice = ""
