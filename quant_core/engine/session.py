"""ONNX Runtime sessions: the one place that knows its options and its traps.

Executions:
- `float`, `simulated`: `session.disable_quant_qdq=1`. Every Q and DQ runs as written, in float;
  DequantizeLinear of constant weights is folded at load. This is what the arithmetic of a plan means.
- `shipped`: default options, integer kernels where ONNX Runtime has them. What a user of the exported file
  gets.

Sessions for float numbers share one arena (`session.use_env_allocators=1`): a new session then finds memory
that is mapped already. Measured on MobileNet v1, 128 images of 224 pixels, in warm passes: a fresh session
with an arena of its own 1.23, with the shared one 1.04 (ONNX Runtime 1.31, 2 cores).

`session.force_spinning_stop=1` is set for all: several live sessions cost 30 to 40 % by spinning (ONNX
Runtime 1.31, 2 cores); it changes when threads sleep, not what they compute."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import onnxruntime as ort

from quant_core.errors import ModelError

EXECUTIONS = ("simulated", "shipped")
ENGINE = f"7/ort-{ort.__version__}"  # part of a measurement's key: engine version and runtime version
_PROVIDERS = ["CPUExecutionProvider"]


def make_session(model: bytes | Path, execution: str, threads: int = 0) -> ort.InferenceSession:
    """A session on the CPU; `threads` 0 leaves the number to ONNX Runtime. ModelError where it refuses the
    model.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if execution != "shipped":
        _share_arena()
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        return ort.InferenceSession(
            str(model) if isinstance(model, Path) else model, options, providers=_PROVIDERS
        )
    except Exception as error:  # pybind raises a dozen unrelated kinds
        raise ModelError(
            f"ONNX Runtime does not load the model ({reason_of(error)})", "check it with onnx.checker"
        ) from error


@cache
def _share_arena() -> None:
    """One arena for all sessions of this process that ask for it."""
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    # No limit, grown by what is asked for; -1: ONNX Runtime's own choice.
    settings = {"max_mem": 0, "arena_extend_strategy": 1}
    settings |= {"initial_chunk_size_bytes": -1, "max_dead_bytes_per_chunk": -1}
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg(settings))


def reason_of(error: Exception) -> str:
    """The part of an ONNX Runtime message that says something."""
    text = str(error).split(" : ")[-1]
    return text if len(text) <= 200 else text[:199] + "…"
