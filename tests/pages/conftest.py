"""Pages without a browser, each by itself: no links to others, and long work is done at once, in the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from quant_core.jobs import Line
from quant_core.jobs.board import Board
from quant_core.jobs.worker import perform
from quant_core.study import work

TIMEOUT = 120


class AtOnce(Line):
    """Jobs done where they are asked for."""

    def warm_up(self) -> None:
        """There are no workers."""

    def _look_after(self, job: str) -> None:
        board = Board()
        found = board.get(job)
        if found is not None and found.alive and (attempt := board.begin_attempt(job)) is not None:
            perform(self._tasks[found.kind], found.spec, job, attempt)


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of all tests of a file: what one has opened and measured is known to the next."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(autouse=True)
def home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That home, for each test."""
    monkeypatch.setenv("QUANTSCOPE_HOME", str(shared_home))
    return shared_home


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    st.cache_resource.clear()  # studies of other tests keep their measurements elsewhere
    work._study.cache_clear()
    made = AtOnce(work._TASKS)
    monkeypatch.setattr(work, "line", lambda: made)
    for name in ("measuring", "live", "header", "way_hub", "workspace"):
        monkeypatch.setattr(f"pages.parts.{name}.line", lambda: made)


@pytest.fixture(autouse=True)
def _no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is run without the navigation knows no other page."""
    monkeypatch.setattr(st, "page_link", lambda *_, **__: None)


@pytest.fixture
def run(repo: Path) -> Callable[[str], AppTest]:
    """`run("pages/explore/start.py")` runs that page until nothing new comes."""

    def go(script: str, **session: Any) -> AppTest:
        test = AppTest.from_file(str(repo / script), default_timeout=TIMEOUT)
        for key, value in session.items():
            test.query_params[key] = value
        test.run()
        assert not test.exception, test.exception
        return test

    return go
