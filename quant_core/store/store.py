"""The store of measurements: SQLite in the user's data folder. What was measured once is never measured
again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from quant_core.store.database import Database, home

_SCHEMA = """
CREATE TABLE IF NOT EXISTS measurements (
    key TEXT PRIMARY KEY, record TEXT NOT NULL, about TEXT NOT NULL, measured REAL NOT NULL
)
"""


def measurement_key(about: Mapping[str, object]) -> str:
    """The key of a measurement: a hash of everything its numbers depend on."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


class Store:
    """Measurements under their keys. Several processes may use one file at a time."""

    def __init__(self, folder: Path | None = None) -> None:
        self._database = Database((folder or home()) / "quantscope.sqlite", _SCHEMA)
        self.path, self.set_aside = self._database.path, self._database.set_aside

    def get(self, about: Mapping[str, object]) -> dict[str, Any] | None:
        """The record measured for `about`, None where there is none."""
        return self.get_many([about])[0]

    def get_many(self, abouts: Iterable[Mapping[str, object]]) -> list[dict[str, Any] | None]:
        """The records for several, in their order."""
        return self.get_named([measurement_key(about) for about in abouts])

    def get_named(self, keys: Iterable[str]) -> list[dict[str, Any] | None]:
        """The records under `keys`, as `measurement_key` makes them, in their order."""
        with self._database.connect() as connection:
            rows = (
                connection.execute("SELECT record FROM measurements WHERE key = ?", (k,)).fetchone()
                for k in keys
            )
            return [None if row is None else json.loads(row[0]) for row in rows]

    def put(self, about: Mapping[str, object], record: Mapping[str, object]) -> None:
        """Keep `record` under `about`, at once."""
        row = (measurement_key(about), json.dumps(record), json.dumps(about, sort_keys=True), time.time())
        with self._database.connect() as connection:
            connection.execute("INSERT OR REPLACE INTO measurements VALUES (?, ?, ?, ?)", row)
