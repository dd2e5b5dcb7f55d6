"""What certifying costs: peak memory and time, with 64 and with 2,000 samples.

    python benchmarks/certify.py                                     keywords of QUANTSCOPE_MODELS, int8
    python benchmarks/certify.py --model M --data D --preset P       any model
    python benchmarks/certify.py --samples 64,512

Each number of samples has a process of its own. Where the data hold fewer samples, they are repeated by
index, not copied. Time is in FP32 passes over the same samples in the same batches, which follow in the same
process: first the three runs of the outputs, then the layers (at most 64 samples in the app; here all)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.alone import MIB, MODELS, Found, each_alone, peak
from benchmarks.opened import seconds
from quant_core.data import Subset
from quant_core.engine import batch_size, certify, fixed_batch, layer_errors, make_session, run_all
from quant_core.graph import inputs_of, runnable
from quant_core.plan import preset_plan
from quant_core.study import Study

AT_ONCE = 8  # as in study/certify.py


def main() -> None:
    """Measure in processes of their own, and print."""
    parser = argparse.ArgumentParser(description="Memory and time of certifying.")
    parser.add_argument("--model", default=str(MODELS / "keywords" / "model.onnx"))
    parser.add_argument("--data", default=str(MODELS / "keywords" / "data.npz"))
    parser.add_argument("--preprocess")
    parser.add_argument("--preset", default="int8")
    parser.add_argument("--samples", default="64,2000")
    for samples, found in each_alone(parser, __file__, measure):
        before, between, most = (found[name] / MIB for name in ("before", "between", "peak"))
        print(f"N = {samples:<6}       peak {most:.0f} MiB, {between:.0f} after outputs, {before:.0f} before")
        print(f"                 outputs {found['outputs']:.1f} FP32 passes, layers {found['layers']:.1f}")


def measure(o: argparse.Namespace, samples: int) -> Found:
    """Peak resident memory (bytes) of certifying in this process, and its time in FP32 passes."""
    study = Study.open(o.model, o.data, preprocess=o.preprocess)
    plan = preset_plan(study.graph, o.preset)
    exported = study.lowered(plan)
    find, corrections = study.files.constants(plan)
    repeated = Subset(study.data, np.arange(samples) % len(study.data))
    inputs = inputs_of(study.graph.file.model)
    size = fixed_batch(inputs) or min(batch_size(inputs, plan.has_dynamic), AT_ONCE)
    reference = runnable(study.graph.file)
    session = make_session(reference, "float")
    next(run_all(session, repeated, size))
    before = peak()
    outputs = seconds(lambda: certify(reference, exported, repeated, size, study.task))
    between = peak()
    layers = seconds(
        lambda: layer_errors(study.cache, plan, exported, find, corrections, repeated, plan.has_dynamic)
    )
    after = peak()
    one = seconds(lambda: [None for _ in run_all(session, repeated, size)])
    return {
        "before": before,
        "between": between,
        "peak": after,
        "outputs": outputs / one,
        "layers": layers / one,
    }


if __name__ == "__main__":
    main()
