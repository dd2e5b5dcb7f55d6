"""What runs inside a worker: one job, which says how far it is and stops when it is no longer wanted."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

from quant_core.errors import QuantscopeError
from quant_core.jobs.board import DONE, FAILED, Board

_EVERY = 0.25  # seconds between two looks at the board

log = logging.getLogger(__name__)


class Stopped(Exception):  # noqa: N818
    """The job is no longer wanted."""


class Tick:
    """Tells the board how far a job is. A call costs little: the board is written every quarter of a second.

    Raises `Stopped` where the job was cancelled, so call it often: at least once for every batch."""

    def __init__(self, board: Board, job: str, attempt: str) -> None:
        self._board, self._job, self._attempt = board, job, attempt
        self._next = 0.0
        self._state: tuple[int, int, str] = (0, 0, "")

    def __call__(self, done: int | None = None, total: int | None = None, note: str | None = None) -> None:
        """`done` of `total` steps, and what is being done; what is left out stays as it was."""
        old = self._state
        self._state = tuple(b if a is None else a for a, b in zip((done, total, note), old, strict=True))  # type: ignore[assignment]
        if time.monotonic() >= self._next or self._state[2] != old[2]:
            self.now()

    def now(self) -> None:
        """Write on the board at once."""
        self._next = time.monotonic() + _EVERY
        if not self._board.progress(self._job, self._attempt, *self._state):
            raise Stopped


Task = Callable[[dict[str, Any], Tick], dict[str, Any]]


def perform(task: Task, spec: dict[str, Any], job: str, attempt: str) -> None:
    """Run `task` and write on the board how it ended. Every error becomes one sentence there."""
    board = Board()
    if not board.start(job, attempt, _address()):
        return
    try:
        tick = Tick(board, job, attempt)
        result = task(spec, tick)
        tick.now()
        board.finish(job, attempt, DONE, result=result)
    except Stopped:
        pass
    except QuantscopeError as error:
        board.finish(job, attempt, FAILED, str(error))
    except MemoryError:
        board.finish(job, attempt, FAILED, "The memory of the worker is used up; fewer samples need less.")
    except OSError as error:
        log.exception("job %s failed", job)
        where = f"'{error.filename}'" if error.filename else "A file"
        why = error.strerror or type(error).__name__
        board.finish(
            job,
            attempt,
            FAILED,
            f"{where} cannot be used ({why}); free the disk or the folder of the data, then try again.",
        )
    except Exception as error:
        log.exception("job %s failed", job)
        kind = type(error).__name__
        board.finish(
            job, attempt, FAILED, f"The work failed inside ({kind}); the log of the workers has details."
        )
    finally:
        board.release(job, attempt)


def _address() -> str:
    """The address of this worker and its process id; empty outside of a worker."""
    from distributed import get_worker  # slow to import; a job done at once needs none

    try:
        return f"{get_worker().address} {os.getpid()}"
    except ValueError:
        return ""
