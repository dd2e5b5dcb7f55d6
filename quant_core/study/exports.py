"""Exported files: written once, kept for download, measured as they are."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from quant_core.plan import Plan
from quant_core.store import enforce_limits, home
from quant_core.study.latency import measure_latency
from quant_core.study.records import Evaluation
from quant_core.study.source import Source
from quant_core.study.study import Study

_KEPT = 12  # files; the oldest go first


def write_export(
    study: Study, plan: Plan, decoder: str, tick: Callable[..., None] = lambda *_, **__: None
) -> dict[str, Any]:
    """Write the file of `plan` and measure it: `path bytes opset sha256`, the evaluations `simulated` and
    `shipped`, and `latency` (None without data).
    """
    tick(0, 0, "Writing the file")
    folder = home() / "exports"
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"{study.graph.file.sha256} {plan.key} {decoder}".encode()).hexdigest()[:24]
    record = study.export(plan, folder / f"{name}.onnx", decoder)
    for old in sorted(folder.glob("*.onnx"), key=lambda p: p.stat().st_mtime)[:-_KEPT]:
        old.unlink(missing_ok=True)
    enforce_limits([folder / f"{name}.onnx", study.graph.file.path])
    if not study.has_data:
        return record | {"simulated": None, "shipped": None, "latency": None}
    found: dict[str, Evaluation] = {}
    for execution in ("simulated", "shipped"):
        tick(0, len(study.data), f"Running the file, {execution}")
        found[execution] = study.evaluate(plan, execution, tick, decoder=decoder)
    tick(0, 0, "Timing it against FP32")
    latency = measure_latency(study, plan, tick, decoder)
    return record | {name: asdict(e) for name, e in found.items()} | {"latency": asdict(latency)}


def export_command(source: Source, plan: str, stem: str, decoder: str) -> str:
    """The command line that writes the same file from the plan file `plan`."""
    words = ["python", "-m", "quant_core", "export", source.model]
    for option, value in (
        ("--data", source.data),
        ("--calibration", source.calibration),
        ("--preprocess", source.preprocess),
        ("--samples", source.samples),
        ("--task", source.task),
        ("--outputs", source.outputs),
        ("--size", source.sizes),
        ("--tokenizer", source.tokenizer),
        ("--rate", source.rate),
        ("--boxes", source.boxes),
        ("--plan", plan),
        ("--decoder", None if decoder == "cast" else decoder),
        ("--out", f"{stem}-quantized.onnx"),
    ):
        if value is not None:
            words += [option, str(value)]
    return shlex.join(words)
