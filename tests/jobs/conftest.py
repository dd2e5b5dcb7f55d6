"""A line with workers of its own, in a home of its own; gone after each test."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from quant_core.jobs import Board, Job, Line
from tests.jobs.tasks import TASKS

WITHIN = 60.0

Until = Callable[[Job], bool]


def wait(job: Job, until: Until = lambda job: not job.alive, within: float = WITHIN) -> Job:
    """The job as soon as `until` holds of it; fails where it never does."""
    board, deadline = Board(), time.monotonic() + within
    while time.monotonic() < deadline:
        found = board.get(job.id)
        assert found is not None
        if until(found):
            return found
        time.sleep(0.02)
    pytest.fail(f"still {found.state} {found.done}/{found.total} {found.note!r} after {within:.0f} s")


def host(home: Path) -> psutil.Process:
    """The process of the host."""
    return psutil.Process(json.loads((home / "jobs" / "host.json").read_text())["pid"])


def workers(home: Path) -> list[psutil.Process]:
    """The processes of the workers."""
    return [p for p in host(home).children(recursive=True) if "spawn_main" in " ".join(p.cmdline())]


def ended(process: psutil.Process) -> bool:
    """Whether a process has ended; its entry may remain until its parent looks."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def line(home: Path) -> Iterator[Line]:
    """A line that starts its host at the first job."""
    made = Line(TASKS)
    yield made
    made.close()
    end_host(home)


@pytest.fixture(scope="module")
def _kept_line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Line, Path]]:
    folder, made = tmp_path_factory.mktemp("steady"), Line(TASKS)
    yield made, folder
    made.close()
    end_host(folder)


@pytest.fixture
def steady(_kept_line: tuple[Line, Path], monkeypatch: pytest.MonkeyPatch) -> tuple[Line, Path]:
    """A line and its home that the tests of a file share: for those that take nothing down."""
    monkeypatch.setenv("QUANTSCOPE_HOME", str(_kept_line[1]))
    return _kept_line


def end_host(home: Path) -> None:
    """End the host of `home` and its workers."""
    try:
        process = host(home)
    except (OSError, psutil.NoSuchProcess):
        return
    for child in [*process.children(recursive=True), process]:
        with suppress(psutil.NoSuchProcess):
            child.kill()
