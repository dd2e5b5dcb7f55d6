"""Work for the workers of the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from quant_core.errors import DataError
from quant_core.jobs import Tick


def count(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    """Counts to `to`, `pause` seconds a step, and keeps each step in the folder `kept`: one that is there
    is left out.

    `log` gets a line for each step that was really done."""
    kept = Path(spec["kept"])
    for number in range(spec["to"]):
        tick(number, spec["to"], f"step {number}")
        if (kept / str(number)).exists():
            continue
        time.sleep(spec.get("pause", 0.0))
        (kept / str(number)).touch()
        with (kept / "log").open("a") as log:
            log.write(f"{number}\n")
    tick(spec["to"], spec["to"])
    return {"counted": spec["to"], "pid": os.getpid()}


def stubborn(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    """Never looks whether it is still wanted."""
    tick(0, 1)
    time.sleep(60)
    return {}


def refuse(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    """Fails as a user may make it fail."""
    raise DataError("the samples do not fit", "give others")


def crash(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    """Fails as only a programmer may make it fail."""
    return {"never": 1 / 0}


def devour(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    """Takes memory until there is none."""
    held = []
    while True:
        tick(len(held), 0)
        held.append(bytearray(os.urandom(1 << 20) * 50))
        time.sleep(0.05)


def look(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    """What the worker has loaded, and what it was started as."""
    main = sys.modules["__main__"]
    return {"modules": sorted(sys.modules), "main": getattr(main, "__file__", None) or ""}


TASKS = {f.__name__: f for f in (count, stubborn, refuse, crash, devour, look)}


# ---- what a guarded process may meet


def noisy(given: dict[str, Any]) -> dict[str, Any]:
    """Libraries print what they like."""
    print("something")
    os.write(1, b"more")
    return given


def odd_data(given: dict[str, Any]) -> None:
    """An error of ours."""
    raise DataError("the data is odd", "give other data")


def segfault(given: dict[str, Any]) -> None:
    """What native code does with a bad file."""
    os.kill(os.getpid(), signal.SIGSEGV)


def divide_by_zero(given: dict[str, Any]) -> float:
    """An error of others."""
    return 1 / 0


def hang(given: dict[str, Any]) -> None:
    """Never ends, and has started something."""
    subprocess.Popen(["sleep", "86399"])
    time.sleep(3600)


def eat(given: dict[str, Any]) -> None:
    """More than it may have."""
    kept = []
    while True:
        kept.append(bytearray(256 << 20))
