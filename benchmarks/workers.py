"""One worker with all threads against several with one each: the time of a sweep's cells.

    python benchmarks/workers.py                                        the bundled sample digits-mobile
    python benchmarks/workers.py MODEL --data D --preprocess P --samples 250

The int8 and int4 cells of the weights are shared out layer by layer, as they stand in the graph. Every worker
is a process of its own that has opened the model and run the FP32 model before the clock starts; the time is
that of the last one to end. Both ways run in turn."""

from __future__ import annotations

import argparse
import functools
import importlib
import multiprocessing
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from benchmarks.opened import opened, parser_of
from quant_core.engine import Sweeper, batch_size
from quant_core.graph import inputs_of

TURNS = 3


def main() -> None:
    """Measure and print."""
    o = parser_of("Workers and threads.", samples=250).parse_args()
    cores = psutil.cpu_count(logical=False) or 2
    ways = {f"1 worker, {cores} threads": (1, cores), f"{cores} workers, 1 thread": (cores, 1)}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, (workers, threads) in ways.items():
            spent[name].append(together(o, workers, threads))
    for name, found in spent.items():
        print(f"{name:<22} {statistics.median(found):.2f} s (median of {TURNS})")


def together(o: argparse.Namespace, workers: int, threads: int) -> float:
    """The seconds that `workers` processes take for all cells."""
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(workers), context.Queue()
    processes = [
        context.Process(target=work, args=(o, number, workers, threads, ready, results))
        for number in range(workers)
    ]
    for process in processes:
        process.start()
    times = [results.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    return max(end for _, end in times) - min(start for start, _ in times)


def work(o: argparse.Namespace, number: int, workers: int, threads: int, ready: Any, results: Any) -> None:
    """One worker: its share of the cells."""
    for name in ("sweep", "variants", "evaluate"):
        module = importlib.import_module(f"quant_core.engine.{name}")
        module.make_session = functools.partial(module.make_session, threads=threads)  # type: ignore[attr-defined]
    with opened(o) as study:
        size = batch_size(inputs_of(study.graph.file.model))
        list(study.reference.outputs(study.data, "simulated", size))
        keys = study.cells(["int8", "int4"], ("weights",))
        layers = list(dict.fromkeys(key.layer for key in keys))
        mine = set(layers[number::workers])
        sweeper = Sweeper(study.cache, study.data, study.reference, find_nothing, size)
        ready.wait()
        start = time.monotonic()
        for _ in sweeper.measure(key for key in keys if key.layer in mine):
            pass
        results.put((start, time.monotonic()))


def find_nothing(tensor: str, scheme: object) -> tuple[float, float]:
    """No range is asked for where only weights are quantized."""
    raise AssertionError(tensor)


if __name__ == "__main__":
    main()
