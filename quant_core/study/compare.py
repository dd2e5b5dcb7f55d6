"""Compare two ONNX files on the same data: the record of the command `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quant_core.engine import batch_size, compare
from quant_core.errors import ArgumentError
from quant_core.graph import inputs_of
from quant_core.study.details import Details
from quant_core.study.open import open_model, open_samples


def compare_files(
    a: str | Path,
    b: str | Path,
    data: str | Path,
    calibration: str | None = None,
    preprocess: str | None = None,
    samples: int | None = None,
    details: Details | None = None,
) -> dict[str, Any]:
    """B against A, both as shipped. Nothing is calibrated, so all samples are used unless some are set aside.

    ArgumentError where the models take different inputs.
    """
    first, second = open_model(a), open_model(b)
    inputs = inputs_of(first.model)
    if [(p.name, p.dtype) for p in inputs] != [(p.name, p.dtype) for p in inputs_of(second.model)]:
        raise ArgumentError("the two models take different inputs", "compare two versions of one model")
    said = details or Details()
    reading = said.reading(first)
    chosen = open_samples(data, inputs, calibration or "none", preprocess, samples, reading).evaluation
    assert chosen is not None
    result = compare(first.path, second.path, chosen, batch_size(inputs), said.task_of(first, chosen))
    return {
        "a": {"bytes": first.bytes, "metric": result.a.metric},
        "b": {"bytes": second.bytes, "metric": result.b.metric},
        "metric_name": result.a.metric_name,
        "agreement": result.b.agreement,
        "sqnr_db": result.b.sqnr_db,
        "latency_ratio": result.latency_ratio,
        "samples": result.a.samples,
    }
