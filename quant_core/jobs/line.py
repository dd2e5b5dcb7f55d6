"""The line: puts jobs up, sends them to the workers, and sends again what was lost.

One thread of the app looks after all its jobs, so that no page ever waits and no browser has to be open. A
job that nobody looks after, since the app that asked was killed, is taken over by the next process that
sees it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from quant_core.errors import QuantscopeError
from quant_core.jobs.board import FAILED, WAITING, Board, Job, job_id
from quant_core.jobs.link import Link
from quant_core.jobs.worker import Task

if TYPE_CHECKING:
    from distributed import Future

_EVERY = 0.3  # seconds between two looks at the jobs
_STALE = 4.0  # seconds after which a job that nobody looks after is taken over
_PATIENCE = 1.2  # seconds that a cancelled job may take to stop by itself

log = logging.getLogger(__name__)


class Line:
    """The jobs of one process. `tasks` maps a kind of job to the function that does it."""

    def __init__(self, tasks: Mapping[str, Task], link: Link | None = None) -> None:
        self._tasks = dict(tasks)
        self._link = link or Link()
        self._sent: dict[str, tuple[str, Future[None]]] = {}  # job -> attempt and its future
        self._mine: dict[str, None] = {}  # in the order they were asked
        self._leaving: dict[str, float] = {}  # cancelled job -> when its worker is ended
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._warm = False
        self._thread: threading.Thread | None = None

    def ask(
        self, owner: str, kind: str, spec: Mapping[str, Any], urgent: bool = False, over: Sequence[str] = ()
    ) -> Job:
        """Have a job done for `owner`, whose other jobs of the kinds `over` are cancelled for it."""
        board = Board()
        job = board.ask(owner, kind, spec, urgent)
        with self._lock:
            self._leaving.pop(job.id, None)  # it may have been cancelled a moment ago
        for other in board.of(owner) if over else ():
            if other.kind in over and other.alive and other.id != job.id:
                self.cancel(other)
        self._look_after(job.id)
        return job

    def again(self, job: Job) -> Job:
        """Have an ended job done once more."""
        return self.ask(job.owner, job.kind, job.spec, job.urgent)

    def find(self, owner: str, kind: str, spec: Mapping[str, Any]) -> Job | None:
        """The job that was asked so, None where it never was."""
        return Board().get(job_id(owner, kind, spec))

    def jobs(self, owner: str) -> list[Job]:
        """The jobs of `owner`, the oldest first. Those that nobody looks after are taken over."""
        found = Board().of(owner)
        for job in found:
            if job.alive and job.id not in self._mine and time.time() - job.updated > _STALE:
                self._look_after(job.id)
        return found

    def cancel(self, job: Job) -> None:
        """Stop a job: at once where it waits, within two seconds where it runs. What it kept stays."""
        if Board().cancel(job.id):
            with self._lock:
                self._leaving[job.id] = time.monotonic() + _PATIENCE
            self._look_after(job.id)

    def dismiss(self, job: Job) -> None:
        """Take an ended job off the board."""
        Board().dismiss(job.id)

    def close(self) -> None:
        """Leave the workers; what is not done is taken over by the next process that sees it."""
        with self._lock:
            self._mine.clear()
        self._link.close()

    def warm_up(self) -> None:
        """Start the workers in the background, so that the first job finds them."""
        if not self._warm:
            self._warm = True
            self._go()

    def _look_after(self, job: str) -> None:
        with self._lock:
            self._mine[job] = None
        self._go()

    def _go(self) -> None:
        """Let the thread look, and start it where it does not run."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="quantscope-jobs", daemon=True)
                self._thread.start()
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(_EVERY if self._mine else None)
            self._wake.clear()
            if self._warm and not self._mine:
                with suppress(QuantscopeError):  # the first job tells
                    self._link.connect()
            for job in list(self._mine):
                try:
                    self._tend(job)
                except Exception:  # one bad job must not leave the others alone
                    log.exception("job %s could not be looked after", job)

    def _tend(self, identity: str) -> None:
        board = Board()
        job = board.get(identity)
        if job is None or not job.alive:
            self._let_go(job, identity)
            return
        attempt, future = self._sent.get(identity, ("", None))
        if future is not None and attempt == job.attempt and self._link.up:
            status = future.status
            if status == "pending":
                if job.state == WAITING:
                    board.touch(identity, attempt)
                return
            if status == "error" and job.state != WAITING:  # what waits was not the cause
                board.finish(identity, attempt, FAILED, self._why(future.exception(timeout=5)))
                return
        self._send(board, job, again=bool(job.attempt))

    def _send(self, board: Board, job: Job, again: bool) -> None:
        note = "" if self._link.up else "starting the workers again" if again else "starting the workers"
        attempt = board.begin_attempt(job.id, note)
        if attempt is None:
            return
        try:
            self._link.connect()
            future = self._link.submit(self._tasks[job.kind], job.spec, job.id, attempt, job.urgent)
        except QuantscopeError as error:
            board.finish(job.id, attempt, FAILED, str(error))
            return
        with self._lock:
            self._sent[job.id] = (attempt, future)

    def _let_go(self, job: Job | None, identity: str) -> None:
        """Forget an ended job, once its worker is free."""
        deadline = self._leaving.get(identity)
        if job is not None and not job.released and deadline is not None:
            if time.monotonic() < deadline:
                return
            self._link.restart(job.worker)
            Board().release(identity, job.attempt)
        with self._lock:
            self._mine.pop(identity, None)
            self._leaving.pop(identity, None)
            _, future = self._sent.pop(identity, ("", None))
        if future is not None:
            future.release()

    def _why(self, error: BaseException | None) -> str:
        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            limit = self._link.memory
            allowed = "" if limit is None else f" of {limit / (1 << 30):.1f} GiB"
            return (
                "The worker was ended three times while it ran this, most likely because it needed more than "
                f"its memory{allowed}; use fewer samples, or a machine with more memory."
            )
        return f"The workers could not run this ({type(error).__name__}); try again."
