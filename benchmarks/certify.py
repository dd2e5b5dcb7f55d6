"""What certifying costs: peak memory and time, with 64 and with 2,000 samples.

    python benchmarks/certify.py                                     keywords of QUANTSCOPE_MODELS, int8
    python benchmarks/certify.py --model M --data D --preset P       any model
    python benchmarks/certify.py --samples 64,512

Each number of samples has a process of its own. Where the data hold fewer samples, they are repeated by
index, not copied. Time is in FP32 passes over the same samples in the same batches, which follow in the same
process: first the three runs of the outputs, then the layers (at most 64 samples in the app; here all)."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import onnxruntime as ort

from quant_core.data import Subset
from quant_core.engine import batch_size, certify, fixed_batch, layer_errors, make_session, run_all
from quant_core.graph import inputs_of, runnable
from quant_core.plan import preset_plan
from quant_core.study import Study

MODELS = Path(
    os.environ.get("QUANTSCOPE_MODELS") or Path(__file__).resolve().parents[2] / "shared" / "models"
)
MIB = 1 << 20
AT_ONCE = 8  # as in study/certify.py


def main() -> None:
    """Measure in processes of their own, and print."""
    parser = argparse.ArgumentParser(description="Memory and time of certifying.")
    parser.add_argument("--model", default=str(MODELS / "keywords" / "model.onnx"))
    parser.add_argument("--data", default=str(MODELS / "keywords" / "data.npz"))
    parser.add_argument("--preprocess")
    parser.add_argument("--preset", default="int8")
    parser.add_argument("--samples", default="64,2000")
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.alone is not None:
        print(json.dumps(measure(o.model, o.data, o.preprocess, o.preset, o.alone)))
        return
    print(f"machine          {os.cpu_count()} cores, {platform.machine()}, ONNX Runtime {ort.__version__}")
    print(f"model            {o.model}, {o.preset}")
    peaks = []
    for samples in o.samples.split(","):
        command = [sys.executable, __file__, "--alone", samples, "--preset", o.preset]
        command += ["--model", o.model, "--data", o.data]
        command += [] if o.preprocess is None else ["--preprocess", o.preprocess]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        peaks.append(found["peak"])
        before, between, most = (found[name] / MIB for name in ("before", "between", "peak"))
        print(f"N = {samples:<6}       peak {most:.0f} MiB, {between:.0f} after outputs, {before:.0f} before")
        print(f"                 outputs {found['outputs']:.1f} FP32 passes, layers {found['layers']:.1f}")
    print(f"peak, last/first {peaks[-1] / peaks[0]:.3f}")


def measure(model: str, data: str, preprocess: str | None, preset: str, samples: int) -> dict[str, float]:
    """Peak resident memory (bytes) of certifying in this process, and its time in FP32 passes."""
    study = Study.open(model, data, preprocess=preprocess)
    plan = preset_plan(study.graph, preset)
    exported = study.lowered(plan)
    find, corrections = study.files.constants(plan)
    repeated = Subset(study.data, np.arange(samples) % len(study.data))
    inputs = inputs_of(study.graph.file.model)
    size = fixed_batch(inputs) or min(batch_size(inputs, plan.has_dynamic), AT_ONCE)
    reference = runnable(study.graph.file)
    session = make_session(reference, "float")
    next(run_all(session, repeated, size))
    before = peak()
    outputs = timed(lambda: certify(reference, exported, repeated, size, study.task))
    between = peak()
    layers = timed(
        lambda: layer_errors(study.cache, plan, exported, find, corrections, repeated, plan.has_dynamic)
    )
    after = peak()
    one = timed(lambda: [None for _ in run_all(session, repeated, size)])
    return {
        "before": before,
        "between": between,
        "peak": after,
        "outputs": outputs / one,
        "layers": layers / one,
    }


def peak() -> int:
    """The largest resident memory of this process so far, bytes."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def timed(function: Callable[[], object]) -> float:
    """How long `function` takes, seconds."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
