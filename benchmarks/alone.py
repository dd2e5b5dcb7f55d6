"""What benchmarks of memory share: each number of samples has a process of its own, and that has a peak."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import onnxruntime as ort

MODELS = Path(
    os.environ.get("QUANTSCOPE_MODELS") or Path(__file__).resolve().parents[2] / "shared" / "models"
)
MIB = 1 << 20
Found = dict[str, float]


def each_alone(
    parser: argparse.ArgumentParser, script: str, measure: Callable[[argparse.Namespace, int], Found]
) -> Iterator[tuple[str, Found]]:
    """What `measure(options, samples)` finds in processes of their own, for each number of `--samples`; last
    the ratio of the last peak to the first is printed. In such a process nothing comes.
    """
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone is not None:
        print(json.dumps(measure(options, options.alone)))
        return
    print(f"machine          {os.cpu_count()} cores, {platform.machine()}, ONNX Runtime {ort.__version__}")
    print(f"model            {Path(options.model).parent.name}/{Path(options.model).name}")
    peaks = []
    for samples in options.samples.split(","):
        command = [sys.executable, script, *sys.argv[1:], "--alone", samples]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        peaks.append(found["peak"])
        yield samples, found
    print(f"peak, last/first {peaks[-1] / peaks[0]:.3f}")


def peak() -> int:
    """The largest resident memory of this process so far, bytes."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024
