"""Sessions: what a window has open, kept under an unguessable id so that a link brings it back."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from quant_core.store import Store


def new_session_id() -> str:
    """An id that nobody guesses: 128 random bits."""
    return secrets.token_urlsafe(16)


def save_session(session: str, record: Mapping[str, object]) -> None:
    """Keep `record` under the id `session`."""
    Store().put({"session": session}, record)


def load_session(session: str) -> dict[str, Any] | None:
    """The record kept under `session`, None where there is none."""
    return Store().get({"session": session})
