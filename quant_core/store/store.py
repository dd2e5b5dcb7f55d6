"""The store of measurements: SQLite in the user's data folder. What was measured once is never measured
again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs

_SCHEMA = """
CREATE TABLE IF NOT EXISTS measurements (
    key TEXT PRIMARY KEY, record TEXT NOT NULL, about TEXT NOT NULL, measured REAL NOT NULL
)
"""
_WAIT = 30.0  # seconds to wait for another process that writes


def home() -> Path:
    """The folder everything is kept in: `QUANTSCOPE_HOME`, else the platform's user data folder."""
    chosen = os.environ.get("QUANTSCOPE_HOME")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("quantscope", appauthor=False))


def measurement_key(about: Mapping[str, object]) -> str:
    """The key of a measurement: a hash of everything its numbers depend on."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


class Store:
    """Measurements under their keys. Several processes may use one file at a time (write-ahead log)."""

    def __init__(self, folder: Path | None = None) -> None:
        self.path = (folder or home()) / "quantscope.sqlite"
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
        with self._connect() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(_SCHEMA)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=_WAIT)
        try:
            # With a write-ahead log a killed process loses nothing; a power cut may lose the last entries.
            connection.execute("PRAGMA synchronous=NORMAL")
            with connection:
                yield connection
        finally:
            connection.close()

    def get(self, about: Mapping[str, object]) -> dict[str, Any] | None:
        """The record measured for `about`, None where there is none."""
        return self.get_many([about])[0]

    def get_many(self, abouts: Iterable[Mapping[str, object]]) -> list[dict[str, Any] | None]:
        """The records for several, in their order."""
        keys = [measurement_key(about) for about in abouts]
        with self._connect() as connection:
            rows = (
                connection.execute("SELECT record FROM measurements WHERE key = ?", (k,)).fetchone()
                for k in keys
            )
            return [None if row is None else json.loads(row[0]) for row in rows]

    def put(self, about: Mapping[str, object], record: Mapping[str, object]) -> None:
        """Keep `record` under `about`, at once."""
        row = (measurement_key(about), json.dumps(record), json.dumps(about, sort_keys=True), time.time())
        with self._connect() as connection:
            connection.execute("INSERT OR REPLACE INTO measurements VALUES (?, ?, ?, ?)", row)
