"""How much memory a sweep takes, with 64 and with 2,000 samples.

    python benchmarks/sweep_memory.py                                MobileNet v1 of QUANTSCOPE_MODELS
    python benchmarks/sweep_memory.py --model M --data D --layers 8

Each number of samples has a process of its own. Where the data hold fewer samples, they are repeated by
index, not copied. The int8 cells of `--layers` layers, evenly spread, are measured, weights and activations,
on all samples; what enters a segment is kept up to the limit that is printed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.alone import MIB, MODELS, Found, each_alone, peak
from quant_core.data import Subset
from quant_core.engine import CellKey, Sweeper, batch_size, make_session, run_all, sweep_limit
from quant_core.graph import inputs_of
from quant_core.study import Study


def main() -> None:
    """Measure in processes of their own, and print."""
    parser = argparse.ArgumentParser(description="Memory of a sweep.")
    parser.add_argument("--model", default=str(MODELS / "mobilenet_v1" / "model.onnx"))
    parser.add_argument("--data", default=str(MODELS / "mobilenet_v1" / "images"))
    parser.add_argument("--preprocess", default="tensorflow")
    parser.add_argument("--samples", default="64,2000")
    parser.add_argument("--layers", type=int, default=6)
    for samples, found in each_alone(parser, __file__, measure):
        before, most = found["before"] / MIB, found["peak"] / MIB
        print(f"N = {samples:<6}       peak {most:.0f} MiB, {before:.0f} before, {found['cells']:.0f} cells")
    if not any(word.startswith("--alone") for word in sys.argv):
        print(f"limit            {sweep_limit() / MIB:.0f} MiB of tensors at the cuts")


def measure(o: argparse.Namespace, samples: int) -> Found:
    """Peak resident memory (bytes) of a sweep in this process."""
    study = Study.open(o.model, o.data, None, o.preprocess)
    repeated = Subset(study.data, np.arange(samples) % len(study.data))
    size = batch_size(inputs_of(study.graph.file.model))
    for _ in study.data.batches(size):  # images are decoded once
        pass
    find = study.ranges.find
    next(run_all(make_session(study.graph.file.path, "float"), repeated, size))
    layers = study.graph.quantizable
    chosen = [layers[i] for i in np.unique(np.linspace(0, len(layers) - 1, o.layers).astype(int))]
    keys = [CellKey(layer.name, "int8", part) for layer in chosen for part in ("weights", "activations")]
    assert study.lanes.count  # measured once on a machine
    before = peak()
    sweeper = Sweeper(study.cache, repeated, study.reference, find, size, lanes=study.lanes)
    cells = sum(1 for _ in sweeper.measure(keys))
    return {"before": before, "peak": peak(), "cells": cells}


if __name__ == "__main__":
    main()
