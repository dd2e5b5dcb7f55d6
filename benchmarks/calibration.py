"""What calibrating costs: peak memory and time, with 32 and with 2,048 samples.

    python benchmarks/calibration.py                                     MobileNet v1 of QUANTSCOPE_MODELS
    python benchmarks/calibration.py --model M --data D --preprocess P   any model
    python benchmarks/calibration.py --samples 32,512 --passes 1

Each number of samples has a process of its own, whose peak resident memory is read when calibration is done.
Where the data hold fewer samples, they are repeated by index, not copied. Images are decoded once before, all
of them and for every N: the data set keeps up to 256 MiB of decoded ones, which is in both figures. Time is
in FP32 passes over the same samples, which follow in the same process, in the batches of calibration and in
those of an evaluation."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.alone import MIB, MODELS, Found, each_alone, peak
from quant_core.data import Subset, open_data
from quant_core.engine import batch_size, calibrate, make_session, run_all
from quant_core.engine.calibrate import BATCH
from quant_core.graph import Graph, inputs_of, read_model
from quant_core.prepare import prepare
from quant_core.study.open import proof_samples


def main() -> None:
    """Measure in processes of their own, and print."""
    parser = argparse.ArgumentParser(description="Memory and time of calibration.")
    parser.add_argument("--model", default=str(MODELS / "mobilenet_v1" / "model.onnx"))
    parser.add_argument("--data", default=str(MODELS / "mobilenet_v1" / "calibration"))
    parser.add_argument("--preprocess", default="tensorflow")
    parser.add_argument("--samples", default="32,2048")
    parser.add_argument("--passes", type=int, default=3, help="FP32 passes of either kind; the median counts")
    for samples, found in each_alone(parser, __file__, measure):
        before, after = found["before"] / MIB, found["peak"] / MIB
        print(f"N = {samples:<6}       peak {after:.0f} MiB resident, {before:.0f} before calibration")
        ratio, cpu, fast = found["ratio"], found["cpu_ratio"], found["fast_ratio"]
        print(f"                 {found['seconds']:.2f} s = {ratio:.2f} FP32 passes of {BATCH} at a time")
        print(f"                 {cpu:.2f} of the processor time of such a pass")
        print(f"                 {fast:.2f} FP32 passes of {found['size']} at a time")


def measure(o: argparse.Namespace, samples: int) -> Found:
    """Peak resident memory (bytes) and seconds of one calibration in this process, and of FP32 passes."""
    file = read_model(o.model)
    inputs = inputs_of(file.model)
    whole = open_data(o.data, inputs, o.preprocess)
    repeated = Subset(whole, np.arange(samples) % len(whole))
    prepared, _ = prepare(file.model, proof_samples(repeated, inputs))
    graph = Graph(file, prepared)
    for _ in whole.batches(BATCH):  # images are decoded once
        pass
    before = peak()
    taken = timed(lambda: calibrate(graph, repeated))
    after = peak()
    session, size = make_session(file.path, "float"), batch_size(inputs)

    def float_pass(at_a_time: int) -> None:
        for _ in run_all(session, repeated, at_a_time):
            pass

    next(run_all(session, repeated, BATCH))
    same = [timed(lambda: float_pass(BATCH)) for _ in range(o.passes)]
    fast = [timed(lambda: float_pass(size)) for _ in range(o.passes)]
    return {
        "before": before,
        "peak": after,
        "seconds": taken[0],
        "ratio": taken[0] / statistics.median(seconds for seconds, _ in same),
        "cpu_ratio": taken[1] / statistics.median(cpu for _, cpu in same),
        "fast_ratio": taken[0] / statistics.median(seconds for seconds, _ in fast),
        "size": size,
    }


def timed(function: Callable[[], object]) -> tuple[float, float]:
    """How long `function` takes, and how much of the processors, both in seconds."""
    start, used = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - start, time.process_time() - used


if __name__ == "__main__":
    main()
