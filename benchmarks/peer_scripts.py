"""One cell by tools that live in another environment, which has nothing of ours: run with its Python.

    OTHER/bin/python benchmarks/peer_scripts.py                          versions of the tools it can import
    OTHER/bin/python benchmarks/peer_scripts.py TOOL FOLDER NODE SIZE    the seconds of one cell

`FOLDER` holds the model, the samples that calibrate and those that are run, `NODE` names the layer to
quantize, `SIZE` is the samples in a batch. The answer is the last line, in JSON; the seconds are those of
the tool's own work, without its import. What ONNX Runtime can run alone is left as `out.onnx`; AIMET, which
simulates with operators of its own, runs the samples here."""

from __future__ import annotations

import importlib
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = {"nncf": "nncf", "aimet_onnx": "aimet-onnx", "quark.onnx": "amd-quark"}


def rows_of(path: Path, size: int) -> list[dict[str, Any]]:
    """The samples of a file in batches of `size`."""
    import numpy as np

    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    count = len(next(iter(arrays.values())))
    return [{name: array[i : i + size] for name, array in arrays.items()} for i in range(0, count, size)]


def by_nncf(folder: Path, node: str, size: int) -> float:
    """Writes a file in which only `node` is quantized."""
    import nncf
    import onnx

    model, rows = onnx.load(folder / "model.onnx"), rows_of(folder / "samples.npz", 1)
    others = [other.name for other in model.graph.node if other.name != node]
    start = time.perf_counter()
    scope = nncf.IgnoredScope(names=others)
    done = nncf.quantize(model, nncf.Dataset(rows), subset_size=len(rows), ignored_scope=scope)
    onnx.save(done, folder / "out.onnx")
    return time.perf_counter() - start


def by_quark(folder: Path, node: str, size: int) -> float:
    """Writes a file in which only `node` is quantized."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader
    from quark.onnx import ModelQuantizer, QConfig
    from quark.onnx.quantization.config.spec import CalibMethod, Int8Spec, QLayerConfig, QuantGranularity

    class Reader(CalibrationDataReader):
        """Samples one by one."""

        def __init__(self) -> None:
            self.rows = iter(rows)

        def get_next(self) -> dict[str, Any] | None:
            return next(self.rows, None)

        def reset_iter(self) -> None:
            self.rows = iter(rows)

    model, rows = onnx.load(folder / "model.onnx"), rows_of(folder / "samples.npz", 1)
    # The extremes of the samples, as the others take them, not percentiles.
    method = CalibMethod.MinMax
    activation = Int8Spec(calibration_method=method)
    weight = Int8Spec(calibration_method=method, quant_granularity=QuantGranularity.Channel)
    start = time.perf_counter()
    config = QConfig(QLayerConfig(activation=activation, weight=weight), NodesToQuantize=[node])
    done = ModelQuantizer(config).quantize_model(model, None, Reader())
    onnx.save(done, folder / "out.onnx")
    return time.perf_counter() - start


def by_aimet(folder: Path, node: str, size: int) -> float:
    """Simulates with the quantizers of `node` alone and runs the samples."""
    import onnx
    from aimet_onnx.quantsim import QuantizationSimModel

    model, rows = onnx.load(folder / "model.onnx"), rows_of(folder / "samples.npz", 1)
    batches = rows_of(folder / "data.npz", size)
    inputs = next(list(other.input) for other in model.graph.node if other.name == node)
    start = time.perf_counter()
    sim = QuantizationSimModel(model, param_type="int8", activation_type="int8")
    # The quantizer of an input may stand before operators that only move data.
    wanted = {sim._get_enabled_quantizer_name(name) for name in inputs[:2]}
    for name, quantizer in sim.qc_quantize_op_dict.items():
        quantizer.enabled = name in wanted
    sim.compute_encodings(rows)
    for batch in batches:
        sim.session.run(None, batch)
    spent = time.perf_counter() - start
    on = [name for name, quantizer in sim.qc_quantize_op_dict.items() if quantizer.enabled]
    assert len(on) == 2, f"{node} has quantizers at {on}"
    return spent


def is_there(name: str) -> bool:
    """Whether it can be imported."""
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


TOOLS = {"nncf": by_nncf, "aimet_onnx": by_aimet, "quark.onnx": by_quark}


def main() -> None:
    """Print what there is, or the seconds of one cell."""
    if len(sys.argv) == 1:
        print(json.dumps({name: version(PACKAGES[name]) for name in TOOLS if is_there(name)}))
    else:
        tool, folder, node, size = sys.argv[1:]
        # The first time does not count: tools import some of their modules on their way.
        for _ in range(2):
            spent = TOOLS[tool](Path(folder), node, int(size))
        print(json.dumps(spent))


if __name__ == "__main__":
    main()
