"""Long work: it is done outside, it can be stopped, and nothing that is killed loses it."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from distributed import Client

from quant_core.jobs import CANCELLED, DONE, FAILED, RUNNING, Board, Line, Link
from tests.jobs.conftest import end_host, ended, host, wait, workers
from tests.jobs.tasks import TASKS


def counting(kept: Path, to: int = 40, pause: float = 0.05) -> dict:
    kept.mkdir(exist_ok=True)
    return {"to": to, "pause": pause, "kept": str(kept)}


def really_done(kept: Path) -> list[int]:
    return [int(n) for n in (kept / "log").read_text().split()]


def test_a_job_runs_elsewhere_and_gives_its_result(steady: tuple[Line, Path], tmp_path: Path) -> None:
    line, home = steady
    job = wait(line.ask("me", "count", counting(tmp_path / "kept", 3)))
    assert (job.state, job.done, job.total) == (DONE, 3, 3)
    assert job.result is not None
    assert job.result["pid"] in [p.pid for p in workers(home)]


def test_a_worker_loads_neither_the_app_nor_streamlit(steady: tuple[Line, Path]) -> None:
    line, _ = steady
    job = wait(line.ask("me", "look", {}))
    assert job.result is not None
    loaded = job.result["modules"]
    assert "quant_core.jobs.worker" in loaded
    assert not [name for name in loaded if name.split(".")[0] in ("streamlit", "app", "pages")]
    assert not job.result["main"].endswith("app.py")


def test_asking_twice_is_asking_once_and_an_ended_job_can_be_asked_again(
    steady: tuple[Line, Path], tmp_path: Path
) -> None:
    line, _ = steady
    spec = counting(tmp_path / "kept", 10)
    first, second = line.ask("me", "count", spec), line.ask("me", "count", spec)
    assert first.id == second.id
    assert line.ask("you", "count", counting(tmp_path / "yours", 1)).id != first.id
    wait(first)
    assert len(really_done(tmp_path / "kept")) == 10
    again = wait(line.ask("me", "count", spec))
    assert again.state == DONE
    assert len(really_done(tmp_path / "kept")) == 10  # all steps were kept


@pytest.mark.parametrize(
    ("kind", "said"),
    [("refuse", "The samples do not fit; give others."), ("crash", "ZeroDivisionError")],
)
def test_a_failure_is_one_sentence_and_the_worker_goes_on(
    steady: tuple[Line, Path], kind: str, said: str
) -> None:
    line, _ = steady
    job = wait(line.ask("me", kind, {}))
    assert job.state == FAILED
    assert said in job.note
    assert "\n" not in job.note
    assert wait(line.ask("me", "look", {})).state == DONE


def test_cancel_stops_a_job_within_two_seconds_and_keeps_what_it_did(
    steady: tuple[Line, Path], tmp_path: Path
) -> None:
    line, _ = steady
    spec = counting(tmp_path / "kept", 1000)
    job = wait(line.ask("me", "count", spec), lambda j: j.done > 3)
    line.cancel(job)
    job = wait(job, lambda j: j.released, within=2.0)
    assert job.state == CANCELLED
    steps = len(really_done(tmp_path / "kept"))
    assert 3 < steps < 900
    time.sleep(0.3)
    assert len(really_done(tmp_path / "kept")) == steps


def test_cancel_ends_a_worker_that_does_not_listen(line: Line) -> None:
    job = wait(line.ask("me", "stubborn", {}), lambda j: j.state == RUNNING)
    line.cancel(job)
    assert wait(job, lambda j: j.released, within=3.0).state == CANCELLED
    assert wait(line.ask("me", "look", {})).state == DONE


def test_short_work_does_not_wait_for_long_work(steady: tuple[Line, Path], tmp_path: Path) -> None:
    line, _ = steady
    long = wait(line.ask("me", "count", counting(tmp_path / "long", 4000)), lambda j: j.state == RUNNING)
    short = wait(line.ask("me", "count", counting(tmp_path / "short", 1), urgent=True))
    assert short.state == DONE
    found = Board().get(long.id)
    assert found is not None and found.alive
    line.cancel(long)


def test_a_later_wish_takes_the_place_of_an_earlier_one(steady: tuple[Line, Path], tmp_path: Path) -> None:
    line, _ = steady
    first = wait(line.ask("me", "count", counting(tmp_path / "a", 4000)), lambda j: j.done > 0)
    second = line.ask("me", "count", counting(tmp_path / "b", 2), over=("look", "count"))
    assert wait(second).state == DONE
    assert wait(first).state == CANCELLED


def test_another_kind_is_left_alone_unless_it_is_named(steady: tuple[Line, Path], tmp_path: Path) -> None:
    line, _ = steady
    first = wait(line.ask("me", "count", counting(tmp_path / "a", 4000)), lambda j: j.done > 0)
    line.ask("me", "look", {}, urgent=True, over=("look",))
    assert Board().get(first.id).alive  # type: ignore[union-attr]
    assert wait(line.ask("me", "look", {}, over=("count",))).state == DONE
    assert wait(first).state == CANCELLED


def test_a_killed_worker_is_replaced_and_no_finished_step_is_done_again(
    line: Line, tmp_path: Path, home: Path
) -> None:
    job = wait(line.ask("me", "count", counting(tmp_path / "kept")), lambda j: j.done > 5)
    for process in workers(home):
        process.kill()
    assert wait(job).state == DONE
    assert sorted(really_done(tmp_path / "kept")) == list(range(40))


def test_a_killed_host_is_started_again(line: Line, tmp_path: Path, home: Path) -> None:
    job = wait(line.ask("me", "count", counting(tmp_path / "kept")), lambda j: j.done > 5)
    first = host(home)
    first.kill()
    assert wait(job).state == DONE
    assert host(home).pid != first.pid
    assert sorted(set(really_done(tmp_path / "kept"))) == list(range(40))
    assert len(really_done(tmp_path / "kept")) <= 41  # at most the step in flight


APP = """
import sys, time
from quant_core.jobs import Line
from tests.jobs.tasks import TASKS
line = Line(TASKS)
line.ask("me", "count", {"to": 60, "pause": 0.05, "kept": sys.argv[1]})
time.sleep(600)
"""


@pytest.mark.slow
def test_what_a_killed_app_asked_for_is_taken_over(tmp_path: Path, home: Path, repo: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    app = subprocess.Popen([sys.executable, "-c", APP, str(kept)], cwd=repo)
    try:
        deadline = time.monotonic() + 60
        while not (kept / "5").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        app.kill()
        app.wait()
    line = Line(TASKS)
    try:
        [job] = line.jobs("me")
        deadline = time.monotonic() + 60
        while job.alive and time.monotonic() < deadline:
            [job] = line.jobs("me")  # as a page looks
            time.sleep(0.1)
        assert job.state == DONE
        assert sorted(set(really_done(kept))) == list(range(60))
        assert len(really_done(kept)) <= 61
    finally:
        line.close()
        end_host(home)


@pytest.mark.slow
def test_the_host_ends_when_its_last_user_is_gone(line: Line, home: Path) -> None:
    wait(line.ask("me", "look", {}))
    process, others = host(home), workers(home)
    line.close()
    deadline = time.monotonic() + 30
    while not all(ended(p) for p in (process, *others)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not (home / "jobs" / "host.json").exists()


def test_only_its_user_reaches_the_host(line: Line, home: Path) -> None:
    wait(line.ask("me", "look", {}))
    card = home / "jobs" / "host.json"
    if sys.platform != "win32":
        assert stat.S_IMODE(card.stat().st_mode) == 0o600
    address = json.loads(card.read_text())["address"]
    assert address.startswith("tls://127.0.0.1:")
    for wrong in (address, address.replace("tls://", "tcp://")):
        with pytest.raises((OSError, TypeError)):
            Client(wrong, timeout=2, set_as_default=False)


@pytest.mark.slow
def test_a_worker_out_of_memory_is_one_sentence_and_the_next_job_runs(home: Path) -> None:
    line = Line(TASKS, Link(memory=450 << 20))
    try:
        job = wait(line.ask("me", "devour", {}))
        assert job.state == FAILED
        assert "memory of 0.4 GiB" in job.note
        assert wait(line.ask("me", "look", {})).state == DONE
    finally:
        line.close()
        end_host(home)


def test_a_host_that_cannot_start_is_one_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false" if sys.platform != "win32" else "where")
    line = Line(TASKS)
    job = wait(line.ask("me", "look", {}))
    assert job.state == FAILED
    assert "do not answer" in job.note
    assert "try again" in job.note
