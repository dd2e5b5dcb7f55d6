"""A click on a link is not lost to the tick of a timer.

A fragment that looks after work runs every second, and its tick names the page it comes from. Where it
reaches Streamlit (seen with 1.67) while a change of page still waits for its turn, the two become one
request, which takes its page from the tick: the one that the user is about to leave. Where it comes a little
later, before the browser knows the new page, the old one's address is shown again, or the old page itself.
So ticks from another page are dropped for a while after a click changed the page. What comes later still
runs a fragment that both pages have as if the old one were there, and `st.rerun` would bring that back: the
fragment compares `page()` with the one it was drawn on."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from streamlit.runtime.scriptrunner import get_script_run_ctx

_WHILE = 5.0  # seconds after a change of page in which ticks from other pages are dropped


def page() -> str:
    """What Streamlit calls the page that this run is for."""
    context = get_script_run_ctx()
    return "" if context is None else context.page_script_hash


def drop_late_ticks() -> None:
    """Do so in this process; asking twice is asking once. Where Streamlit has other insides, nothing is
    changed.
    """
    _drop_while_waiting()
    _drop_after_a_change()


def _drop_after_a_change() -> None:
    with suppress(ImportError, AttributeError):
        from streamlit.runtime.app_session import AppSession

        inner = AppSession.request_rerun
        if getattr(inner, "drops_late_ticks", False):
            return

        def request_rerun(self: AppSession, client_state: Any) -> None:
            with suppress(AttributeError):
                if client_state is not None and _is_late(self, client_state):
                    return
            inner(self, client_state)

        request_rerun.drops_late_ticks = True  # type: ignore[attr-defined]
        AppSession.request_rerun = request_rerun  # type: ignore[method-assign]


def _is_late(session: Any, asked: Any) -> bool:
    """Whether what is asked of a session is a tick from a page that was just left."""
    chosen, since = getattr(session, "_quantscope_page", ("", 0.0))
    if asked.is_auto_rerun:
        return asked.page_script_hash != chosen and time.monotonic() - since < _WHILE
    if asked.page_script_hash and asked.page_script_hash != chosen:
        session._quantscope_page = asked.page_script_hash, time.monotonic()
    return False


def _drop_while_waiting() -> None:
    with suppress(ImportError, AttributeError):
        from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequests, ScriptRequestType

        inner = ScriptRequests.request_rerun
        if getattr(inner, "drops_late_ticks", False):
            return

        def request_rerun(self: ScriptRequests, new_data: Any) -> bool:
            with suppress(AttributeError):
                waits = self._state == ScriptRequestType.RERUN
                if (
                    waits
                    and new_data.is_auto_rerun
                    and self._rerun_data.page_script_hash != new_data.page_script_hash
                ):
                    return True
            return inner(self, new_data)

        request_rerun.drops_late_ticks = True  # type: ignore[attr-defined]
        ScriptRequests.request_rerun = request_rerun  # type: ignore[method-assign]
