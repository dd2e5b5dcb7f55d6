"""Where the time goes: ONNX Runtime's profiler, its kernels joined to our layers.

The optimizer fuses and renames nodes, but makes the new names from old ones: of a node (`NAME_token_3` of an
integer convolution), or of the tensor that it gives (`NAME_nchwc` of a convolution in blocked layout). So the
graph that is timed gets names in which each node and each tensor carries the number of the layer it is
computed with; what carries none is listed by its operator."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from quant_core.data import Batch
from quant_core.engine.compare import LEAST_RUNS
from quant_core.engine.run import Pulse, run_whole
from quant_core.engine.session import reason_of
from quant_core.errors import ModelError
from quant_core.graph import Graph, graph_nodes, merge_small

_MARK = re.compile(r"qs(\d+)qs")
_WARM_UP = 2
_QUANTIZING = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")


@dataclass(frozen=True)
class Times:
    """Median milliseconds a run spends in the kernels of each layer, and in the others by their operator.
    `quantizers` is that part of the others which quantizes for a layer and back.
    """

    layers: dict[str, float]
    others: dict[str, float]
    quantizers: dict[str, float]

    @property
    def total(self) -> float:
        """All kernels together; without what ONNX Runtime does between them."""
        return sum(self.layers.values()) + sum(self.others.values())

    @property
    def beside(self) -> float:
        """The kernels that neither compute a layer nor quantize for one."""
        return sum(self.others.values()) - sum(self.quantizers.values())


def layer_times(
    graph: Graph,
    models: Sequence[ir.Model],
    feeds: Batch,
    runs: int = 20,
    pulse: Pulse = lambda: None,
    budget: float = float("inf"),
) -> list[Times]:
    """Profile `models`, the graph of `graph` or lowered ones, in turns with default options on one batch.
    After `budget` seconds no further turn begins, but for the first `LEAST_RUNS`.
    """
    names = list(dict.fromkeys(layer.node for layer in graph.quantizable))
    with tempfile.TemporaryDirectory() as folder:
        sessions = []
        for number, model in enumerate(models):
            marked = _marked(Graph(graph.file, model.clone()), names)
            sessions.append(_profiled(marked, Path(folder) / f"run{number}"))
        end = time.monotonic() + budget
        for number in range(_WARM_UP + runs):
            if number >= _WARM_UP + LEAST_RUNS and time.monotonic() > end:
                break
            pulse()
            for session in sessions:
                run_whole(session, feeds)
        written = [Path(session.end_profiling()) for session in sessions]
        return [_summed(json.loads(path.read_text(encoding="utf-8")), names) for path in written]


def _profiled(model: bytes, prefix: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.enable_profiling = True
    options.profile_file_prefix = str(prefix)
    options.add_session_config_entry("session.force_spinning_stop", "1")  # two live sessions, see session.py
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # pybind raises a dozen unrelated kinds
        raise ModelError(f"ONNX Runtime does not profile the model ({reason_of(error)})") from error


def _marked(graph: Graph, names: list[str]) -> bytes:
    """The file of `graph` with the number of its layer in the name of each node that is computed with one,
    and of each tensor that such a node gives.
    """
    model = graph.model
    number = {name: i for i, name in enumerate(names)}
    nodes = graph_nodes(graph)
    by_index = dict(
        zip((n.index for n in nodes if n.op not in ("Input", "Output")), model.graph, strict=True)
    )
    ports = {id(v) for v in (*model.graph.inputs, *model.graph.outputs)}
    serial = 0
    for part in merge_small(nodes):
        held = [number[nodes[i].name] for i in part.nodes if nodes[i].name in number]
        for index in part.nodes:
            node = by_index.get(index)
            if node is None:
                continue
            mark = f"qs{held[0]}qs" if held else "other"
            node.name = f"{mark}_{serial}"
            for value in node.outputs:
                serial += 1
                if id(value) not in ports and value.name:
                    value.name = f"{mark}_{serial}_v"
    return bytes(ir.to_proto(model).SerializeToString())


def _summed(events: list[dict[str, object]], names: list[str]) -> Times:
    """Kernel times of each run, without those of the warm-up, joined."""
    spent: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        name, about = str(event.get("name", "")), event.get("args")
        if event.get("cat") == "Node" and name.endswith("_kernel_time") and isinstance(about, dict):
            spent[name, str(about.get("op_name", ""))].append(float(str(event["dur"])) / 1000.0)
    layers, others = dict.fromkeys(names, 0.0), defaultdict[str, float](float)
    quantizers = dict.fromkeys(names, 0.0)
    for (name, op), times in spent.items():
        found = _MARK.search(name)
        median = float(np.median(times[_WARM_UP:] or times))
        if found is not None and op not in _QUANTIZING:
            layers[names[int(found.group(1))]] += median
        else:
            others[op] += median
            if found is not None:
                quantizers[names[int(found.group(1))]] += median
    return Times(layers, dict(others), quantizers)
