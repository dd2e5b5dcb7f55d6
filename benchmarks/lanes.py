"""One lane with all threads against several with a share each: the time of a sweep's cells.

    python benchmarks/lanes.py                                        the bundled sample digits-mobile
    python benchmarks/lanes.py MODEL --data D --preprocess P --samples 250

The int8 and int4 cells of the weights, every way in turn; beside them the way that measuring chooses."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.opened import float_pass_of, opened, parser_of, seconds
from quant_core.engine import Lanes, Sweeper, batch_size, threads
from quant_core.engine.lanes import ways_for
from quant_core.graph import inputs_of
from quant_core.study import Study

TURNS = 3


def main() -> None:
    """Measure and print."""
    with opened(parser_of("Lanes and threads.", samples=250).parse_args()) as study:
        measure(study)


def measure(study: Study) -> None:
    """Every way in turn, with FP32 passes in between."""
    float_pass = float_pass_of(study)
    ways = ways_for(threads(), study.graph.file.bytes)
    keys = study.cells(["int8", "int4"], ("weights",))
    spent: dict[Lanes, list[float]] = {way: [] for way in ways}
    passes: list[float] = []
    for _ in range(TURNS):
        for way in ways:
            passes.append(seconds(float_pass))
            spent[way].append(swept(study, way))
    one = statistics.median(passes)
    print(f"model            {study.graph.file.name}, N = {len(study.data)} samples, {len(keys)} cells")
    print(f"one FP32 pass    {one:.3f} s (median of {len(passes)})")
    for way, found in spent.items():
        typical = statistics.median(found)
        said = f"{way.count} x {way.threads or threads()} threads"
        print(
            f"{said:<16} {typical:.2f} s = {typical / one / len(keys):.2f} passes a cell (median of {TURNS})"
        )
    print(f"measured choice  {study.lanes.count} x {study.lanes.threads or threads()} threads")


def swept(study: Study, lanes: Lanes) -> float:
    """The seconds that all cells take."""
    size = batch_size(inputs_of(study.graph.file.model))
    list(study.reference.outputs(study.data, "simulated", size))
    sweeper = Sweeper(study.cache, study.data, study.reference, find_nothing, size, lanes=lanes)
    start = time.perf_counter()
    for _ in sweeper.measure(study.cells(["int8", "int4"], ("weights",))):
        pass
    return time.perf_counter() - start


def find_nothing(tensor: str, scheme: object) -> tuple[float, float]:
    """No range is asked for where only weights are quantized."""
    raise AssertionError(tensor)


if __name__ == "__main__":
    main()
