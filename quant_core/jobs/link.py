"""The link to the workers: find the host, start it where there is none, and send work."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from filelock import FileLock

from quant_core.errors import QuantscopeError
from quant_core.jobs.host import LONG, SHORT, card
from quant_core.jobs.worker import Task, perform
from quant_core.store import home

if TYPE_CHECKING:
    from distributed import Client, Future, Security

_ROOT = Path(__file__).resolve().parents[2]
_STARTS_WITHIN = 90.0
_ANSWERS_WITHIN = 10.0
_LOG_BYTES = 1 << 20  # a longer log is begun anew


@cache
def code_version() -> str:
    """When the code was last changed: workers that run other code are not used."""
    return str(max(path.stat().st_mtime_ns for path in (_ROOT / "quant_core").rglob("*.py")))


class Link:
    """One process's way to the workers. `memory` limits one worker, in bytes, where this link starts the
    host.
    """

    def __init__(self, memory: int | None = None) -> None:
        self._memory = memory
        self._client: Client | None = None
        self._pid: int | None = None

    @property
    def up(self) -> bool:
        """Whether the workers can be reached."""
        client = self._client
        return client is not None and client.status == "running" and (self._pid is None or _lives(self._pid))

    @property
    def memory(self) -> int | None:
        """Bytes that one worker may take, where known."""
        found = _read_card()
        return None if found is None else int(found["memory"])

    def connect(self) -> None:
        """Reach the workers, starting the host where there is none. QuantscopeError where that fails."""
        if self.up:
            return
        self.close()
        from distributed import Security  # slow to import: only who has work for the workers waits for it

        try:
            found = self._found_or_started()
            self._client = _client(found["address"], Security(**found["security"]))
            self._pid = int(found["pid"])
        except (OSError, TimeoutError) as error:
            raise QuantscopeError(
                "the workers on this machine do not answer", f"see {_log()}; then try again"
            ) from error

    def submit(self, task: Task, spec: dict[str, Any], job: str, attempt: str, urgent: bool) -> Future[None]:
        """Have `task` performed. Urgent work goes to the worker for short work, ahead of the rest."""
        assert self._client is not None
        return self._client.submit(
            perform, task, spec, job, attempt,
            key=f"{job}-{attempt}", pure=False, priority=10 if urgent else 0,
            resources={SHORT if urgent else LONG: 1},
        )  # fmt: skip

    def restart(self, worker: str) -> None:
        """End a worker that does not stop by itself; its nanny starts another."""
        pid = worker.partition(" ")[2]
        if pid:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(int(pid)).kill()  # at once: a polite end takes seconds

    def close(self) -> None:
        """Leave the workers. The host ends when nobody else uses it."""
        if self._client is not None:
            client, self._client = self._client, None
            client.close(timeout=1)

    def _found_or_started(self) -> dict[str, Any]:
        folder = card().parent
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "host.lock", timeout=_STARTS_WITHIN):
            found = _read_card()
            if found is not None and _lives(found["pid"]) and found["code"] == code_version():
                return found
            return self._started()

    def _started(self) -> dict[str, Any]:
        command = [sys.executable, "-m", "quant_core.jobs"]
        if self._memory is not None:
            command += ["--memory", str(self._memory)]
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        _log().parent.mkdir(parents=True, exist_ok=True)
        fresh = not _log().exists() or _log().stat().st_size > _LOG_BYTES
        with _log().open("wb" if fresh else "ab") as out:
            process = subprocess.Popen(
                command,
                env=os.environ | {"PYTHONPATH": path, "DASK_LOGGING__DISTRIBUTED": "warning"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        until = time.monotonic() + _STARTS_WITHIN
        while time.monotonic() < until and process.poll() is None:
            found = _read_card()
            if found is not None and found["pid"] == process.pid:
                return found
            time.sleep(0.05)
        raise TimeoutError


def _client(address: str, security: Security | None) -> Client:
    from distributed import Client

    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    return Client(
        address, security=security, timeout=_ANSWERS_WITHIN, set_as_default=False, name="quantscope"
    )


def _log() -> Path:
    return home() / "logs" / "workers.log"


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _read_card() -> dict[str, Any] | None:
    try:
        found = json.loads(card().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
