"""A click on a link is not lost to the tick of a timer.

A fragment that looks after work runs every second, and its tick names the page it comes from. Where it
reaches Streamlit (seen with 1.67) while a change of page still waits for its turn, the two become one
request, which takes its page from the tick: the one that the user is about to leave. Such a tick is dropped.
Where it comes later, while the new page runs, a fragment that both pages have runs as if the old one were
there, and `st.rerun` would bring that back: the fragment compares `page()` with the one it was drawn on."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from streamlit.runtime.scriptrunner import get_script_run_ctx


def page() -> str:
    """What Streamlit calls the page that this run is for."""
    context = get_script_run_ctx()
    return "" if context is None else context.page_script_hash


def drop_late_ticks() -> None:
    """Do so in this process; asking twice is asking once. Where Streamlit has other insides, nothing is
    changed.
    """
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
