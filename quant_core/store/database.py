"""A SQLite file that several processes use at a time (write-ahead log). A damaged one is set aside, not a
crash.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

_WAIT = 30.0  # seconds to wait for another process that writes


def home() -> Path:
    """The folder everything is kept in: `QUANTSCOPE_HOME`, else the platform's user data folder."""
    chosen = os.environ.get("QUANTSCOPE_HOME")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("quantscope", appauthor=False))


class Database:
    """The file `path` with the tables of `schema`. `set_aside` names what was moved out of the way, if
    anything.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self.path, self._schema = path, schema
        self.set_aside: Path | None = None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._create()
        except sqlite3.DatabaseError:
            # A damaged file is kept for whoever wants to look at it, and a new one begun.
            self.set_aside = self.path.with_suffix(f".damaged-{int(time.time())}")
            self.path.rename(self.set_aside)
            for tail in ("-wal", "-shm"):
                self.path.with_name(self.path.name + tail).unlink(missing_ok=True)
            self._create()

    def _create(self) -> None:
        with self.connect() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(self._schema)

    @contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are kept when the block ends, and dropped when it raises."""
        connection = sqlite3.connect(self.path, timeout=_WAIT)
        connection.row_factory = sqlite3.Row
        try:
            # With a write-ahead log a killed process loses nothing; a power cut may lose the last entries.
            connection.execute("PRAGMA synchronous=NORMAL")
            with connection:
                yield connection
        finally:
            connection.close()
