"""How much memory a fresh process takes that loads a file and runs it."""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from quant_core.data import Dataset
from quant_core.engine.run import fill_up, fixed_batch
from quant_core.errors import ModelError
from quant_core.graph import Port

_SCRIPT = Path(__file__).with_name("peak_process.py")
_PATIENCE = 300.0  # seconds


@dataclass(frozen=True)
class Memory:
    """Bytes of the largest resident set: of a process that has loaded Python, NumPy, ONNX Runtime and the
    input, and of the same process after it loaded and ran the file.
    """

    before: int
    peak: int

    @property
    def model(self) -> int:
        """What loading and running the file added."""
        return self.peak - self.before


def peak_memory(model: Path | bytes, inputs: tuple[Port, ...], data: Dataset, size: int) -> Memory:
    """The peak of a process that runs `model` on the first `size` samples, default options. ModelError where
    that process does not come back with a number.
    """
    feeds, _ = next(data.batches(size))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        if isinstance(model, Path):
            path = model.absolute()
        else:
            path.write_bytes(model)
        arrays = Path(folder) / "feeds.npz"
        np.savez(arrays, **fill_up(feeds, fixed_batch(inputs)))  # type: ignore[arg-type]
        # -P: the script's folder is not searched, where modules have names that others use.
        command = [sys.executable, "-P", str(_SCRIPT), str(path), str(arrays)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True)
            before, peak = (int(word) for word in done.stdout.split())
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise ModelError(
                "the memory of the file could not be measured: the process that runs it ended early",
                "try again with fewer samples",
            ) from error
    return Memory(before, peak)


def threads() -> int:
    """The threads that a session with default options computes with: one for each physical core that it may
    use.
    """
    import psutil

    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    allowed = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else cores
    return max(1, min(cores, allowed))


def machine() -> str:
    """The machine that times are measured on, as far as they depend on it."""
    return f"{platform.node()} {platform.machine()} {threads()}"


def runtime() -> str:
    """The runtime, with its version."""
    return f"ONNX Runtime {ort.__version__}"
