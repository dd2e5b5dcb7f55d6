"""What a sweep costs, in FP32 passes over the same samples, beside the plain loop.

    python benchmarks/sweep.py                                        the bundled sample digits-mobile
    python benchmarks/sweep.py MODEL --data D --samples 500           any model
    python benchmarks/sweep.py MODEL --data D --formats int8,int4 --quantized weights

Both run in one process, one after the other, with FP32 passes before, between and after. Calibration is done
before and counts for neither; nothing is taken from a store.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from benchmarks.opened import float_pass_of, opened, parser_of, seconds
from benchmarks.plain_loop import PlainLoop, session_of
from quant_core.engine import CellKey, batch_size, run_all, threads
from quant_core.graph import inputs_of
from quant_core.plan import PARTS, cell_precision
from quant_core.study import Study

PASSES = 5  # FP32 passes each time
ALL_WITHIN = 60.0  # seconds; where the plain loop would take longer, it runs a random third of the cells


def main() -> None:
    """Measure and print."""
    parser = parser_of("Cost of a sweep beside the plain loop.")
    parser.add_argument("--formats", default="int8,int4,int2")
    parser.add_argument("--quantized", default=",".join(PARTS), help="weights, activations, both")
    o = parser.parse_args()
    with opened(o) as study:
        measure(study, o.formats.split(","), tuple(o.quantized.split(",")))


def measure(study: Study, formats: list[str], parts: tuple[str, ...]) -> None:
    """Sweep and plain loop side by side, with FP32 passes in between."""
    size, data = batch_size(inputs_of(study.graph.file.model)), study.data
    float_pass, float_session = float_pass_of(study), session_of(study.graph.file.path.read_bytes())
    expected = [outputs for outputs, _ in run_all(float_session, data, size)]
    keys = study.cells(formats, parts)
    assert study.lanes.count  # measured once on a machine, and not part of a sweep
    opset = max(_opset(study, key) for key in keys)
    proto = ir.to_proto(study.graph.at_opset(opset))
    plain = PlainLoop(study.graph, proto, study.ranges, data, expected, size)

    passes = [seconds(float_pass) for _ in range(PASSES)]
    start = time.perf_counter()
    cells = list(study.sweep(keys))
    swept = time.perf_counter() - start
    passes += [seconds(float_pass) for _ in range(PASSES)]

    in_full = len(keys) * 2 * min(passes) < ALL_WITHIN
    third = np.random.default_rng(0).permutation(len(keys))[: -(-len(keys) // 3)]
    chosen = cells if in_full else [cells[i] for i in sorted(third)]
    start = time.perf_counter()
    looped = [plain.sqnr_db(cell.key) for cell in chosen]
    loop = (time.perf_counter() - start) * len(cells) / len(chosen)
    apart = max(abs(sqnr - cell.quality.sqnr_db) for sqnr, cell in zip(looped, chosen, strict=True))
    passes += [seconds(float_pass) for _ in range(PASSES)]
    one = statistics.median(passes)
    on = "all cells" if in_full else f"{len(chosen)} of {len(keys)} cells, drawn at random"
    layers = len({key.layer for key in keys})
    print(f"machine          {os.cpu_count()} cores, {platform.machine()}, ONNX Runtime {ort.__version__}")
    print(f"model            {study.graph.file.name}, N = {len(data)} samples, {size} at a time")
    print(
        f"L x B            {layers} layers x {len(keys) / layers:g} = {len(keys)} cells ({', '.join(parts)})"
    )
    print(f"lanes            {study.lanes.count} x {study.lanes.threads or threads()} threads")
    print(f"one FP32 pass    {one:.4f} s (median of {len(passes)})")
    print(f"sweep            {swept:.1f} s = {swept / one / len(keys):.2f} x L x B FP32 passes")
    print(f"plain loop       {loop:.1f} s = {loop / one / len(keys):.2f} x L x B (on {on})")
    print(f"plain / sweep    {loop / swept:.2f}")
    print(f"furthest apart   {apart:.4f} dB")


def _opset(study: Study, key: CellKey) -> int:
    precision = cell_precision(study.graph.layer(key.layer), key.format, key.part)
    activations = precision.activations if precision else None
    return 13 if activations is None else activations.number.opset


if __name__ == "__main__":
    main()
