"""A process with hard limits: what happens in it is a sentence, and this process goes on."""

from __future__ import annotations

import time
from typing import Any

import psutil
import pytest

from quant_core.errors import DataError, ModelError
from quant_core.jobs import run_guarded

GIB = 1 << 30


def run(name: str, given: dict[str, Any] | None = None, **limits: Any) -> Any:
    return run_guarded(f"tests.jobs.tasks:{name}", given or {}, "net.onnx", **limits)


def test_a_result_comes_back_whatever_is_printed() -> None:
    assert run("noisy", {"value": 3}) == {"value": 3}


def test_an_error_of_ours_is_raised_here() -> None:
    with pytest.raises(DataError, match=r"The data is odd; give other data\."):
        run("odd_data")


def test_a_crash_is_one_sentence() -> None:
    with pytest.raises(ModelError, match=r"'net.onnx' ended the process that opened it \(signal 11\)"):
        run("segfault")


def test_an_error_of_others_shows_no_traceback() -> None:
    with pytest.raises(ModelError, match=r"exit code 1") as found:
        run("divide_by_zero")
    assert "Traceback" not in str(found.value)


def test_what_hangs_is_given_up_with_all_it_started() -> None:
    began = time.monotonic()
    with pytest.raises(ModelError, match="not open after 2 seconds"):
        run("hang", seconds=2.0)
    assert time.monotonic() - began < 10
    names = [p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"])]
    assert not any("86399" in part for line in names for part in line)


def test_what_needs_too_much_memory_is_stopped() -> None:
    with pytest.raises(ModelError, match=r"needs more than 2\.0 GiB of memory"):
        run("eat", memory=2 * GIB)
