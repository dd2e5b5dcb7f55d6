"""The host: a process of its own that runs the scheduler and the workers, and ends when its last user is
gone.

Two workers, one task each at a time: one takes short work that somebody waits for, the other long work, so
that a sweep never holds up the answer to a click. A nanny restarts a worker that crashed or outgrew its
memory; what it ran is run again, and what was kept is not. An open scheduler runs code for anybody on the
machine, so it is guarded by a certificate made at the start, which only this user can read."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from pathlib import Path
from typing import Any

import psutil

from quant_core.store import home

SHORT, LONG = "short", "long"  # the resources of the two workers
FAILURES = 2  # workers that a job may take down before it counts as failed; then one more
_GRACE = 8.0  # seconds without a user before the host ends
_FIRST = 60.0  # and until the first one comes
_SHARE = 0.4  # of the machine's memory for each worker

_CREDENTIALS = ("require_encryption", "tls_ca_file", "tls_client_cert", "tls_client_key")

_CONFIG = {
    "distributed.scheduler.allowed-failures": FAILURES,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.worker.daemon": True,
    "distributed.comm.retry.count": 2,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


def card() -> Path:
    """The file that says where the host is and how to reach it; only its owner may read it."""
    return home() / "jobs" / "host.json"


def memory_limit() -> int:
    """Bytes that one worker may take."""
    return int(psutil.virtual_memory().total * _SHARE)


def run(code: str, memory: int | None = None) -> None:
    """Be the host until the last user is gone. `code` says which version of the code the workers run,
    `memory` is the limit of one worker in bytes.
    """
    import dask  # only the process of the host needs it

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    with dask.config.set(_CONFIG):
        asyncio.run(_serve(code, memory or memory_limit()))


async def _serve(code: str, memory: int) -> None:
    from distributed import Nanny, Scheduler, Security

    security = Security.temporary()
    space = home() / "jobs" / "space"
    async with Scheduler(
        host="127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0", security=security
    ) as scheduler:
        nannies = [
            Nanny(
                scheduler.address,
                name=lane,
                nthreads=1,
                resources={lane: 1},
                memory_limit=memory,
                local_directory=str(space),
                security=security,
                dashboard=False,
            )
            for lane in (SHORT, LONG)
        ]
        await asyncio.gather(*nannies)
        _write_card(
            {
                "pid": os.getpid(),
                "address": scheduler.address,
                "code": code,
                "memory": memory,
                "security": {name: getattr(security, name) for name in _CREDENTIALS},
            }
        )
        try:
            await _until_unused(scheduler)
        finally:
            _remove_card()
            await asyncio.gather(*(nanny.close(timeout=2) for nanny in nannies), return_exceptions=True)


async def _until_unused(scheduler: Any) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + _FIRST
    while loop.time() < until:
        if set(scheduler.clients) - {"fire-and-forget"}:
            until = loop.time() + _GRACE
        await asyncio.sleep(0.1)


def _write_card(content: dict[str, object]) -> None:
    path = card()
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file)
    new.replace(path)


def _remove_card() -> None:
    try:
        if json.loads(card().read_text(encoding="utf-8"))["pid"] == os.getpid():
            card().unlink()
    except (OSError, ValueError, KeyError):
        return
