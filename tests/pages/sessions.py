"""What tests of pages share: a session to visit, and what a page says."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from pages.parts.state import State
from quant_core.plan import preset_plan
from quant_core.study import Source, new_session_id


def kept(source: Source, preset: str | None = None) -> str:
    """The id of a session on `source`, with a preset as its plan."""
    state = State(new_session_id(), source)
    if preset is not None:
        state.take(preset_plan(source.open().graph, preset))
    state.save()
    return state.id


def said(test: AppTest) -> str:
    """All text of a page, without the marks that keep names from being markup."""
    parts = [*test.markdown, *test.caption, *test.info, *test.warning, *test.subheader]
    return " ".join(part.value for part in parts).replace("\\", "")
