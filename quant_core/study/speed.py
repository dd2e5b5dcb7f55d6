"""How fast the exported file of a plan runs beside FP32, layer by layer too, and how much memory it takes."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pandas as pd

from quant_core.engine import (
    Memory,
    fixed_batch,
    latency_times,
    layer_times,
    peak_memory,
    runtime,
    threads,
)
from quant_core.graph import inputs_of, runnable
from quant_core.plan import Plan
from quant_core.study.study import Study

_RUNS = 24
_BUDGET = 8.0  # seconds of pairs at one batch size
_NOISY = 1.5  # times between the quartiles
_LARGER = 8  # samples in the larger batch
_QUARTILES = (0.25, 0.5, 0.75)

Quartiles = tuple[float, float, float]


@dataclass(frozen=True)
class Timing:
    """Interleaved, warm runs of both files on `batch` samples: quartiles of milliseconds of FP32 and of the
    exported file, and of the ratios of pairs.
    """

    batch: int
    runs: int
    fp32_ms: Quartiles
    ms: Quartiles
    ratio: Quartiles


@dataclass(frozen=True)
class Speed:
    """Times and memory of a file beside FP32's, on this machine with `threads` threads; default options.

    `memory` is of a fresh process at batch 1. `layers` are the median milliseconds of kernels, batch 1:
    columns layer (empty for what no layer could be found for), what (the layer, or the operator), fp32_ms,
    ms."""

    timings: tuple[Timing, ...]
    memory_fp32: Memory
    memory: Memory
    layers: pd.DataFrame
    threads: int
    runtime: str

    @property
    def is_noisy(self) -> bool:
        """Whether the quartiles lie so far apart that the machine must have been busy."""
        return any(t.ratio[2] > _NOISY * t.ratio[0] for t in self.timings)


def known_speed(study: Study, plan: Plan, decoder: str = "cast") -> Speed | None:
    """Speed and memory of the file of `plan` if they were measured on this machine."""
    record = study.store.get(_about(study, plan, decoder))
    if record is None:
        return None
    timings = tuple(
        Timing(t["batch"], t["runs"], *(tuple(t[name]) for name in ("fp32_ms", "ms", "ratio")))
        for t in record["timings"]
    )
    memory = Memory(**record["memory_fp32"]), Memory(**record["memory"])
    return Speed(timings, *memory, pd.DataFrame(record["layers"]), record["threads"], record["runtime"])


def measure_speed(
    study: Study,
    plan: Plan,
    exported: bytes,
    decoder: str = "cast",
    tick: Callable[..., None] = lambda *_, **__: None,
) -> None:
    """Time the file `exported` beside FP32, profile both, look at the memory they take, and keep it."""
    inputs, reference = inputs_of(study.graph.file.model), runnable(study.graph.file)
    fixed = fixed_batch(inputs)
    sizes = [fixed] if fixed else sorted({1, min(_LARGER, len(study.data))})
    timings = []
    for size in sizes:
        tick(0, 0, f"Timing it against FP32, batch {size}")
        times = 1000.0 * latency_times(
            reference, exported, study.data, size, _RUNS, lambda: tick(), budget=_BUDGET
        )
        ratios = times[:, 1] / times[:, 0]
        timings.append(Timing(size, len(times), *(_quartiles(x) for x in (times[:, 0], times[:, 1], ratios))))
    tick(0, 0, "Measuring memory in fresh processes")
    memory = [peak_memory(model, inputs, study.data, sizes[0]) for model in (reference, exported)]
    tick(0, 0, "Timing the kernels of each layer")
    feeds, _ = next(study.data.batches(sizes[0]))
    lowered = ir.from_proto(onnx.load_from_string(exported))
    before, after = layer_times(
        study.graph, (study.graph.model, lowered), feeds, pulse=lambda: tick(), budget=_BUDGET
    )
    rows = [
        {"layer": name, "what": name, "fp32_ms": ms, "ms": after.layers.get(name, 0.0)}
        for name, ms in before.layers.items()
    ]
    rows += [
        {"layer": "", "what": op, "fp32_ms": before.others.get(op, 0.0), "ms": after.others.get(op, 0.0)}
        for op in dict.fromkeys((*before.others, *after.others))
    ]
    record = {
        "timings": [asdict(t) for t in timings],
        "memory_fp32": asdict(memory[0]),
        "memory": asdict(memory[1]),
        "layers": rows,
        "threads": threads(),
        "runtime": runtime(),
    }
    study.store.put(_about(study, plan, decoder), record)


def _quartiles(values: np.ndarray[Any, np.dtype[np.float64]]) -> Quartiles:
    low, median, high = (float(q) for q in np.quantile(values, _QUARTILES))
    return low, median, high


def _about(study: Study, plan: Plan, decoder: str) -> dict[str, Any]:
    about: dict[str, Any] = study.keys.plan(plan, "shipped", study.data, decoder)
    machine = f"{platform.node()} {platform.machine()} {threads()}"
    return about | {"what": f"speed {plan.key}", "machine": machine, "runs": _RUNS}
