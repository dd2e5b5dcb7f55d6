"""Run a function in a process with hard limits on memory and time, so that a stranger's file that crashes,
hangs or never gets enough takes nothing else along.

    python -m quant_core.jobs.guarded MODULE:FUNCTION MEMORY FOLDER

The process works in FOLDER, so that paths mean what they mean to the caller. It reads one JSON document,
calls the function with it, and writes one: `{"result": ...}`, or `{"error": ...}` with what and remedy of a
QuantscopeError."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from quant_core.errors import ModelError, QuantscopeError

SECONDS = 120.0
_LEAST = 6 << 30  # bytes of address space, of which the libraries alone reserve about two
_SHARE = 0.6  # of the machine's memory
_ROOT = Path(__file__).resolve().parents[2]
_OUT_OF_MEMORY = ("MemoryError", "std::bad_alloc", "bad allocation", "Failed to allocate", "allocate memory")


def memory_limit() -> int:
    """Bytes of address space that a guarded process may take."""
    return max(_LEAST, int(psutil.virtual_memory().total * _SHARE))


def run_guarded(
    function: str,
    given: Mapping[str, Any],
    name: str,
    seconds: float = SECONDS,
    memory: int | None = None,
) -> Any:
    """What `function` (as `module:name`) makes of `given` in a process of its own. The error that it raises
    is raised here; ModelError where the process crashed, took longer than `seconds`, or needed more than
    `memory` bytes while it read the file called `name`.
    """
    limit = memory or memory_limit()
    command = [sys.executable, "-m", "quant_core.jobs.guarded", function, str(limit), str(Path.cwd())]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=said, stderr=complaints, cwd=_ROOT, start_new_session=True
        )
        try:
            process.communicate(json.dumps(given).encode(), timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise ModelError(
                f"'{name}' was not open after {seconds:.0f} seconds, and was given up",
                "check that it runs in ONNX Runtime, or give a smaller model or fewer samples",
            ) from error
        finally:
            _end(process)
        said.seek(0)
        complaints.seek(0)
        return _answer(
            said.read(), complaints.read().decode(errors="replace"), process.returncode, name, limit
        )


def _answer(said: bytes, complaints: str, code: int, name: str, limit: int) -> Any:
    answer: Any = None
    with contextlib.suppress(ValueError):
        answer = json.loads(said)
    if isinstance(answer, dict) and "result" in answer:
        return answer["result"]
    if isinstance(answer, dict) and "error" in answer:
        kind = _kinds().get(str(answer.get("kind")), QuantscopeError)
        error = kind(str(answer["error"]), str(answer.get("remedy", "")))
        raise error
    if any(sign in complaints for sign in _OUT_OF_MEMORY) or code == -signal.SIGKILL:
        raise ModelError(
            f"opening '{name}' needs more than {limit / (1 << 30):.1f} GiB of memory, and was stopped",
            "give a smaller model, or use a machine with more memory",
        )
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    raise ModelError(
        f"'{name}' ended the process that opened it ({how})",
        "ONNX Runtime does not survive this file: check it with onnx.checker, or export it again",
    )


def _kinds() -> dict[str, type[QuantscopeError]]:
    return {kind.__name__: kind for kind in QuantscopeError.__subclasses__()}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and whatever it started."""
    if process.poll() is None:
        process.kill()
        process.wait(10)
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _limit(memory: int) -> None:
    try:
        import resource
    except ImportError:  # not on this system: the limit on time remains
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _main(function: str, memory: int, folder: str) -> None:
    given = json.loads(sys.stdin.buffer.read())
    # What libraries print must not stand in the answer.
    answer_to = os.dup(1)
    os.dup2(2, 1)
    module, _, name = function.partition(":")
    os.chdir(folder)
    _limit(memory)
    try:
        answer: dict[str, Any] = {"result": getattr(importlib.import_module(module), name)(given)}
    except QuantscopeError as error:
        answer = {"kind": type(error).__name__, "error": error.what, "remedy": error.remedy}
    with os.fdopen(answer_to, "wb") as out:
        out.write(json.dumps(answer).encode())
    os._exit(0)  # threads of libraries may not want to end


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
