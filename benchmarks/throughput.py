"""How fast weights are quantized and decoded, in gigabytes of float32 a second, beside a NumPy copy.

    python benchmarks/throughput.py [--weights 1000000] [--repeats 5]

One layer of that many weights in rows of 1,024, one output channel each, from a heavy-tailed distribution.
The ratio says how many copies of the same bytes one pass costs; smaller is better. Last: how long all
formats that the Weights page compares take together, and its histogram."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from quant_core.formats import FORMATS, Scheme, quantize_tensor
from quant_core.store import Store
from quant_core.study import Study, format_errors, measure_formats, unmeasured_formats, weight_histogram

ROW = 1024


def best(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of `repeats` runs."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def study_of(weights: np.ndarray, folder: Path) -> Study:
    """A model of one layer with these weights."""
    rows, columns = weights.shape
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size])
        for name, size in (("x", columns), ("y", rows))
    ]
    node = helper.make_node("Gemm", ["x", "w"], ["y"], name="layer", transB=1)
    graph = helper.make_graph([node], "one", ports[:1], ports[1:], [numpy_helper.from_array(weights, "w")])
    path = folder / "one.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return Study.open(path, store=Store(folder))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    values = (0.05 * rng.standard_t(5, (max(1, asked.weights // ROW), ROW))).astype(np.float32)
    copy = best(values.copy, asked.repeats)
    print(f"{values.size:,} weights; a copy takes {1e3 * copy:.2f} ms, {values.nbytes / copy / 1e9:.1f} GB/s")
    print(f"{'scheme':44} {'quantize':>18} {'decode':>18}")
    for name, number in FORMATS.items():
        if name == "fp32" or number.kind == "codebook":
            continue
        scheme = Scheme(name, "channel" if number.has_granularity else "tensor")
        tensor = quantize_tensor(values, 0, scheme)
        there = best(lambda s=scheme: quantize_tensor(values, 0, s), asked.repeats)
        back = best(tensor.decode, asked.repeats)
        figures = (f"{values.nbytes / t / 1e9:7.2f} GB/s {t / copy:6.1f} x" for t in (there, back))
        print(f"{scheme!s:44} " + " ".join(figures), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        study = study_of(values, Path(folder))
        layer = study.graph.quantizable[0]
        began = time.perf_counter()
        measure_formats(study, layer, unmeasured_formats(study, layer))
        first = time.perf_counter() - began
        again = best(lambda: format_errors(study, layer), asked.repeats)
        count = len(format_errors(study, layer))
        study.quantized(layer, Scheme("int8", "channel"))
        drawn = best(lambda: weight_histogram(study, layer, Scheme("int8", "channel")), asked.repeats)
    print(
        f"all {count} compared schemes: {first:.1f} s once, by a worker; "
        f"{again:.3f} s from then on; histogram {drawn:.3f} s"
    )


if __name__ == "__main__":
    main()
