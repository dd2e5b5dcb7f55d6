"""Run one ONNX file once and say how much memory the process took at most. A script of its own, so that
nothing else is in that memory: `python peak_process.py MODEL FEEDS.npz` prints two numbers, the peak in bytes
before the model is loaded and after it ran.

The peak is that of this program only: Linux keeps `ru_maxrss` of getrusage across exec, so that a child of a
large process would inherit its parent's; VmHWM (proc(5)) begins anew."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort


def peak_bytes() -> int:
    """The largest resident set of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) << 10
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # macOS counts bytes, and begins anew


def main(model: str, feeds: str) -> None:
    with np.load(feeds, allow_pickle=False) as file:
        given = {name: file[name] for name in file.files}
    before = peak_bytes()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for _ in range(2):
        session.run(None, given)
    print(before, peak_bytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
