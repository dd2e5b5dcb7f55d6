"""What one cell of a sweep costs with other quantizers, in FP32 passes over the same samples.

    python benchmarks/peers.py                                        the bundled sample digits-mobile
    python benchmarks/peers.py MODEL --data D --preprocess P --samples 64
    python benchmarks/peers.py ... --python OTHER/bin/python          tools of another environment beside it

A cell is one layer at 8 bits, weights and activations, all others in float. Who wants a sweep of ONNX
Runtime's `quantize_static`, NNCF's `nncf.quantize` or Quark's `quantize_model` calls them layer by layer,
makes a session of each file and runs the samples. AIMET is called likewise: a simulation for each cell in
which only the quantizers of the layer are enabled, which runs the samples itself (its own
`analyze_per_layer_sensitivity` makes and calibrates one simulation for all, and costs less). All calibrate
on 32 samples in each call; the sweep of Quantscope calibrates once before, of which each cell bears its
share. FP32 passes run in between.

Of NNCF, AIMET (`aimet_onnx`) and AMD Quark (`quark.onnx`) those are timed that the other environment has.
The time in which they are imported does not count."""

from __future__ import annotations

import json
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from benchmarks.opened import float_pass_of, opened, parser_of, seconds
from quant_core.engine import CellKey, batch_size, make_session, run_all
from quant_core.graph import inputs_of
from quant_core.study import Study

CELLS = 6
CALIBRATED = 32

# Runs with the Python of another environment.
SCRIPTS = Path(__file__).resolve().with_name("peer_scripts.py")
NAMES = {"nncf": "NNCF", "aimet_onnx": "AIMET", "quark.onnx": "Quark"}


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Samples one by one."""

    def __init__(self, rows: list[dict[str, np.ndarray]]) -> None:
        self._rows = iter(rows)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next sample, None after the last."""
        return next(self._rows, None)


def main() -> None:
    """Measure and print."""
    parser = parser_of("Cost of a cell with other quantizers.", samples=64)
    parser.add_argument("--python", help="the Python of an environment that has NNCF, AIMET or Quark")
    o = parser.parse_args()
    ort.set_default_logger_severity(
        3
    )  # the tools make sessions of their own, which tell every pass they take
    logging.disable(logging.WARNING)
    with opened(o) as study, tempfile.TemporaryDirectory() as folder:
        measure(study, Path(folder), o.python and str(Path(o.python).absolute()))


def measure(study: Study, folder: Path, other: str | None) -> None:
    """A few layers by each tool in turn, with FP32 passes in between; then the whole sweep."""
    float_pass, calibration = float_pass_of(study), study.calibration
    assert calibration is not None, "give samples that calibrate"
    size = batch_size(inputs_of(study.graph.file.model))
    model, out = folder / "model.onnx", folder / "out.onnx"
    model.write_bytes(ir.to_proto(study.graph.model).SerializeToString())
    count = min(CALIBRATED, len(calibration))
    feeds = calibration.take(np.arange(count))
    np.savez(folder / "samples.npz", **feeds)  # type: ignore[arg-type]
    evaluated = study.data.take(np.arange(len(study.data)))
    np.savez(folder / "data.npz", **evaluated)  # type: ignore[arg-type]
    layers = [x for x in study.graph.quantizable if x.input is not None]
    chosen = [layers[i] for i in np.unique(np.linspace(0, len(layers) - 1, CELLS).astype(int))]

    def session_and_pass() -> None:
        for _ in run_all(make_session(out, "shipped"), study.data, size):
            pass

    def by_onnxruntime(node: str) -> float:
        reader = Reader([{name: array[i : i + 1] for name, array in feeds.items()} for i in range(count)])
        kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
        start = time.perf_counter()
        quantize_static(
            str(model), str(out), reader, QuantFormat.QDQ, per_channel=True, nodes_to_quantize=[node], **kinds
        )
        return time.perf_counter() - start

    def by_other(tool: str, node: str) -> float:
        return float(answer_of([str(other), str(SCRIPTS), tool, str(folder), node, str(size)], folder))

    there = answer_of([other, str(SCRIPTS)], folder) if other else {}
    tools = {"quantize_static": by_onnxruntime} | {tool: partial(by_other, tool) for tool in there}
    spent: dict[str, list[float]] = {name: [] for name in tools}
    passes = []
    for layer in chosen:
        for name, quantize in tools.items():
            passes.append(seconds(float_pass))
            took = quantize(layer.node)
            # AIMET has run the samples itself.
            spent[name].append(took if name == "aimet_onnx" else took + seconds(session_and_pass))
    calibrating = seconds(study.calibrate) / len(study.cells(["int8"], ("both",)))
    keys = [CellKey(layer.name, "int8", "both") for layer in layers]
    swept = seconds(lambda: list(study.sweep(keys))) / len(keys) + calibrating
    passes.append(seconds(float_pass))
    one = statistics.median(passes)
    print(f"model            {study.graph.file.name}, N = {len(study.data)}, ONNX Runtime {ort.__version__}")
    print(f"one FP32 pass    {one:.4f} s (median of {len(passes)})")
    print(f"Quantscope       {swept / one:.2f} passes a cell ({len(keys)} cells and their calibration)")
    for name, found in spent.items():
        title = f"{NAMES[name]} {there[name]}" if name in there else name
        print(
            f"{title:<16} {statistics.median(found) / one:.2f} passes a cell (median of {len(found)} layers)"
        )


def answer_of(command: list[str], folder: Path) -> Any:
    """What a script of another environment prints last; `folder` takes the files that tools leave behind."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
