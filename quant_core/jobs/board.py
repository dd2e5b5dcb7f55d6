"""The board: what was asked for, how far it is and how it ended, for every process that wants to know.

The app writes what it wants, a worker writes how far it is, and both read. Nothing else is shared between
them, so either may be killed at any moment: the row says what is left to do."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quant_core.store import Database, home

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"
_ALIVE = (WAITING, RUNNING)
_KEPT = 7 * 24 * 3600.0  # seconds that an ended job stays on the board

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, kind TEXT NOT NULL, spec TEXT NOT NULL, state TEXT NOT NULL,
    attempt TEXT NOT NULL, urgent INTEGER NOT NULL, done INTEGER NOT NULL, total INTEGER NOT NULL,
    note TEXT NOT NULL, result TEXT, worker TEXT NOT NULL, asked REAL NOT NULL, started REAL,
    updated REAL NOT NULL, released INTEGER NOT NULL
)
"""


@dataclass(frozen=True)
class Job:
    """A piece of long work. `done` of `total` steps; `note` says what it does, or why it failed; times in
    seconds since the epoch; `result` is what it gave. `attempt` names the run that may write here; `worker`
    is the address of the process it runs in, and `released` whether that process is through with it.
    """

    id: str
    owner: str
    kind: str
    spec: dict[str, Any]
    state: str
    attempt: str
    urgent: bool
    done: int
    total: int
    note: str
    result: dict[str, Any] | None
    worker: str
    asked: float
    started: float | None
    updated: float
    released: bool

    @property
    def alive(self) -> bool:
        """Whether it waits or runs."""
        return self.state in _ALIVE

    @property
    def elapsed(self) -> float:
        """Seconds since it started to run; of an ended job, how long it ran."""
        end = time.time() if self.alive else self.updated
        return 0.0 if self.started is None else max(0.0, end - self.started)


def job_id(owner: str, kind: str, spec: Mapping[str, Any]) -> str:
    """What a job is called: the same request is the same job."""
    text = json.dumps(spec, sort_keys=True)
    return hashlib.sha256(f"{owner} {kind} {text}".encode()).hexdigest()[:32]


class Board:
    """The jobs of all owners, in `jobs.sqlite`."""

    def __init__(self, folder: Path | None = None) -> None:
        self._database = Database((folder or home()) / "jobs.sqlite", _SCHEMA)

    def ask(self, owner: str, kind: str, spec: Mapping[str, Any], urgent: bool = False) -> Job:
        """Put a job up. One that waits or runs already stays as it is; an ended one is wanted again."""
        text, identity = json.dumps(spec, sort_keys=True), job_id(owner, kind, spec)
        now = time.time()
        with self._database.connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute("SELECT state FROM jobs WHERE id = ?", (identity,)).fetchone()
            if row is None or row["state"] not in _ALIVE:
                connection.execute("DELETE FROM jobs WHERE updated < ?", (now - _KEPT,))
                connection.execute(
                    "INSERT OR REPLACE INTO jobs VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                    (
                        identity,
                        owner,
                        kind,
                        text,
                        WAITING,
                        "",
                        urgent,
                        0,
                        0,
                        "",
                        None,
                        "",
                        now,
                        None,
                        now,
                        True,
                    ),
                )
        job = self.get(identity)
        assert job is not None
        return job

    def get(self, identity: str) -> Job | None:
        """The job called `identity`."""
        with self._database.connect() as connection:
            row = connection.execute("SELECT * FROM jobs WHERE id = ?", (identity,)).fetchone()
            return None if row is None else _job(row)

    def of(self, owner: str) -> list[Job]:
        """The jobs of `owner`, the oldest first."""
        with self._database.connect() as connection:
            rows = connection.execute(
                "SELECT * FROM jobs WHERE owner = ? ORDER BY asked", (owner,)
            ).fetchall()
            return [_job(row) for row in rows]

    def begin_attempt(self, identity: str, note: str = "") -> str | None:
        """A new attempt of a job that is still wanted; only it may write from now on. None where it is not
        wanted.
        """
        attempt = secrets.token_hex(8)
        changed = self._change(
            "UPDATE jobs SET attempt=?, state=?, note=?, updated=? WHERE id=? AND state IN (?,?)",
            (attempt, WAITING, note, time.time(), identity, *_ALIVE),
        )
        return attempt if changed else None

    def touch(self, identity: str, attempt: str) -> None:
        """Say that somebody still looks after a waiting job."""
        self._change("UPDATE jobs SET updated=? WHERE id=? AND attempt=?", (time.time(), identity, attempt))

    def start(self, identity: str, attempt: str, worker: str) -> bool:
        """A worker begins. False where the attempt is no longer wanted."""
        now = time.time()
        return self._change(
            "UPDATE jobs SET state=?, worker=?, released=0, started=COALESCE(started, ?), updated=? "
            "WHERE id=? AND attempt=? AND state IN (?,?)",
            (RUNNING, worker, now, now, identity, attempt, *_ALIVE),
        )

    def progress(self, identity: str, attempt: str, done: int, total: int, note: str) -> bool:
        """How far the attempt is. False where it must stop: cancelled, or another attempt took its place."""
        return self._change(
            "UPDATE jobs SET done=?, total=?, note=?, updated=? WHERE id=? AND attempt=? AND state=?",
            (done, total, note, time.time(), identity, attempt, RUNNING),
        )

    def finish(
        self, identity: str, attempt: str, state: str, note: str = "", result: dict[str, Any] | None = None
    ) -> bool:
        """The attempt ended as `state`. False where it had been given up before."""
        return self._change(
            "UPDATE jobs SET state=?, note=?, result=?, updated=? "
            "WHERE id=? AND attempt=? AND state IN (?,?)",
            (state, note, json.dumps(result), time.time(), identity, attempt, *_ALIVE),
        )

    def release(self, identity: str, attempt: str) -> None:
        """The worker is through with the attempt, whatever became of it."""
        self._change("UPDATE jobs SET released=1 WHERE id=? AND attempt=?", (identity, attempt))

    def cancel(self, identity: str) -> bool:
        """Nobody wants the job any more. False where it had ended."""
        return self._change(
            "UPDATE jobs SET state=?, updated=? WHERE id=? AND state IN (?,?)",
            (CANCELLED, time.time(), identity, *_ALIVE),
        )

    def dismiss(self, identity: str) -> None:
        """Take an ended job off the board."""
        self._change("DELETE FROM jobs WHERE id=? AND state NOT IN (?,?)", (identity, *_ALIVE))

    def _change(self, statement: str, values: tuple[object, ...]) -> bool:
        with self._database.connect() as connection:
            return connection.execute(statement, values).rowcount > 0


def _job(row: sqlite3.Row) -> Job:
    fields = dict(row)
    fields["spec"] = json.loads(fields["spec"])
    fields["result"] = json.loads(fields["result"]) if fields["result"] else None
    fields["urgent"], fields["released"] = bool(fields["urgent"]), bool(fields["released"])
    return Job(**fields)
