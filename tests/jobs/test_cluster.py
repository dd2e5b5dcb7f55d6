"""Work on a cluster that runs already, as QUANTSCOPE_CLUSTER names it: its workers share the folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quant_core.jobs import CANCELLED, DONE, FAILED, RUNNING, Line
from tests.jobs.conftest import wait
from tests.jobs.tasks import TASKS

_CLUSTER = """
import asyncio, sys
from distributed import Nanny, Scheduler

async def main():
    async with Scheduler(host="127.0.0.1", port=int(sys.argv[1]), dashboard=False) as scheduler:
        async with Nanny(scheduler.address, nthreads=1, dashboard=False, local_directory=sys.argv[2]):
            print("ready", flush=True)
            await scheduler.finished()

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.fixture
def cluster(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repo: Path) -> Iterator[str]:
    """The address of a scheduler with one worker, in processes of their own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = tmp_path / "cluster.py"
    script.write_text(_CLUSTER)
    process = subprocess.Popen(
        [sys.executable, str(script), str(port), str(tmp_path / "space")],
        env=os.environ | {"PYTHONPATH": str(repo), "QUANTSCOPE_HOME": str(home)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    address = f"tcp://127.0.0.1:{port}"
    monkeypatch.setenv("QUANTSCOPE_CLUSTER", address)
    yield address
    process.terminate()
    process.wait(20)


def test_the_work_runs_on_the_cluster_and_no_host_is_started(
    cluster: str, home: Path, tmp_path: Path
) -> None:
    line = Line(TASKS)
    kept = tmp_path / "kept"
    kept.mkdir()
    job = wait(line.ask("me", "count", {"to": 3, "pause": 0.0, "kept": str(kept)}))
    assert job.state == DONE
    assert not (home / "jobs" / "host.json").exists()
    stubborn = wait(line.ask("me", "stubborn", {}), lambda j: j.state == RUNNING)
    line.cancel(stubborn)
    assert wait(stubborn, lambda j: j.released, within=30.0).state == CANCELLED
    assert wait(line.ask("me", "look", {})).state == DONE
    line.close()


def test_a_cluster_that_does_not_answer_is_said_in_one_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUANTSCOPE_CLUSTER", "tcp://127.0.0.1:9")
    line = Line(TASKS)
    job = wait(line.ask("me", "look", {}))
    assert job.state == FAILED
    assert "workers at tcp://127.0.0.1:9 do not answer" in job.note
    line.close()
