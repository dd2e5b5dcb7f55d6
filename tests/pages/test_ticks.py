"""The tick of a timer does not take the place of a click on a link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData, ScriptRequests

from pages.parts import live, ticks
from pages.parts.state import State
from pages.parts.ticks import drop_late_ticks
from quant_core.study import Source, new_session_id


def requests_of(*asked: RerunData) -> RerunData:
    """What is left to run of requests that arrive before the first has its turn."""
    requests = ScriptRequests()
    for data in asked:
        assert requests.request_rerun(data)
    waiting = requests.on_scriptrunner_ready()
    assert waiting.rerun_data is not None
    return waiting.rerun_data


def tick(page: str) -> RerunData:
    return RerunData(page_script_hash=page, fragment_id="live", is_auto_rerun=True)


def test_a_change_of_page_that_waits_survives_a_tick() -> None:
    drop_late_ticks()
    drop_late_ticks()
    left = requests_of(RerunData(page_script_hash="export"), tick("desk"), tick("desk"))
    assert (left.page_script_hash, left.fragment_id_queue) == ("export", [])


def test_ticks_and_clicks_of_one_page_are_all_heard() -> None:
    drop_late_ticks()
    assert requests_of(tick("desk")).fragment_id_queue == ["live"]
    assert requests_of(tick("desk"), RerunData(page_script_hash="export")).page_script_hash == "export"
    click = RerunData(page_script_hash="desk", fragment_id="matrix")
    assert requests_of(tick("desk"), click).fragment_id_queue == ["live", "matrix"]
    assert requests_of(click, tick("desk")).fragment_id_queue == ["matrix", "live"]


class Session:
    """As much of Streamlit's session as it takes."""


@dataclass
class Asked:
    page_script_hash: str
    is_auto_rerun: bool = False


def test_ticks_from_the_page_before_are_dropped_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(ticks.time, "monotonic", lambda: now[0])
    session = Session()
    assert not ticks._is_late(session, Asked(""))  # the first request has no page yet
    assert not ticks._is_late(session, Asked("desk", True))
    assert not ticks._is_late(session, Asked("export"))
    assert ticks._is_late(session, Asked("desk", True))
    assert not ticks._is_late(session, Asked("export", True))
    assert not ticks._is_late(session, Asked("export"))  # a click on the new page
    now[0] += 3.0
    assert ticks._is_late(session, Asked("desk", True))
    now[0] += 3.0  # a script may have changed the page since
    assert not ticks._is_late(session, Asked("desk", True))
    assert not ticks._is_late(session, Asked("desk"))
    assert ticks._is_late(session, Asked("export", True))


def test_a_session_drops_them(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []

    class Plain:
        def request_rerun(self, client_state: Any) -> None:
            heard.append(client_state.page_script_hash)

    monkeypatch.setattr("streamlit.runtime.app_session.AppSession", Plain)
    drop_late_ticks()
    drop_late_ticks()
    session = Plain()
    for asked in (Asked("desk", True), Asked("export"), Asked("desk", True), Asked("export", True)):
        session.request_rerun(asked)
    assert heard == ["desk", "export", "export"]


def test_a_look_from_the_page_before_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fragment that both pages have would bring the old one back."""
    state = State(new_session_id(), Source())
    monkeypatch.setattr(live, "line", lambda: pytest.fail("it looked"))
    monkeypatch.setattr(live, "page", lambda: "desk")
    live._panel(state, frozenset(), True, "export")
    with pytest.raises(pytest.fail.Exception, match="it looked"):
        live._panel(state, frozenset(), True, "desk")
