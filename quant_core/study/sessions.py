"""Sessions: what a window has open, kept under an unguessable id so that a link brings it back.
Its plans are kept once each, under a hash of what they say.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from quant_core.errors import PlanError
from quant_core.plan import Plan
from quant_core.store import Store


def new_session_id() -> str:
    """An id that nobody guesses: 128 random bits."""
    return secrets.token_urlsafe(16)


def keep_plan(plan: Plan) -> str:
    """Keep `plan` and give the name that `load_plans` knows it by: equal plans have one name."""
    Store().put({"plan": plan.digest}, plan.to_json())
    return plan.digest


def load_plans(names: Sequence[str]) -> dict[str, Plan]:
    """The plans kept under `names`; what is missing or was written by another version is left out."""
    found: dict[str, Plan] = {}
    records = Store().get_many([{"plan": name} for name in names])
    for name, record in zip(names, records, strict=True):
        with suppress(PlanError):
            if record is not None:
                found[name] = Plan.from_json(record)
    return found


def save_session(session: str, record: Mapping[str, object]) -> None:
    """Keep `record` under the id `session`."""
    Store().put({"session": session}, record)


def load_session(session: str) -> dict[str, Any] | None:
    """The record kept under `session`, None where there is none."""
    return Store().get({"session": session})
