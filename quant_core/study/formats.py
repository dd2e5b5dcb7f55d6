"""The weights of a layer in every format, side by side: each measured once and kept."""

from __future__ import annotations

import numpy as np
import pandas as pd

from quant_core.engine import ENGINE, Progress
from quant_core.formats import Scheme, quantize_tensor, sqnr_db
from quant_core.graph import Layer
from quant_core.study.study import Study

COMPARED = (
    Scheme("fp16"),
    Scheme("bf16"),
    Scheme("int16", "channel"),
    Scheme("fp8_e4m3", "channel"),
    Scheme("fp8_e5m2", "channel"),
    Scheme("mxfp8"),
    Scheme("mxint8"),
    Scheme("int8", "tensor"),
    Scheme("int8", "channel"),
    Scheme("int8", "channel", False, "mse"),
    Scheme("codebook8", "tensor"),
    Scheme("int6", "channel", False, "mse"),
    Scheme("fp6_e2m3", "channel"),
    Scheme("codebook6", "tensor"),
    Scheme("int4", "tensor", True, "mse"),
    Scheme("int4", "channel", True, "minmax"),
    Scheme("int4", "channel", True, "mse"),
    Scheme("int4", "channel", False, "mse"),
    Scheme("int4", "group:32", True, "mse"),
    Scheme("int4", "group:32", False, "mse"),
    Scheme("nf4", "group:64"),
    Scheme("fp4_e2m1", "channel", True, "mse"),
    Scheme("mxfp4"),
    Scheme("nvfp4"),
    Scheme("codebook4", "tensor"),
    Scheme("codebook4", "channels:16"),
    Scheme("int3", "channel", False, "mse"),
    Scheme("int3", "group:32", False, "mse"),
    Scheme("codebook3", "tensor"),
    Scheme("int2", "channel", False, "mse"),
    Scheme("int2", "group:32", False, "mse"),
    Scheme("codebook2", "tensor"),
    Scheme("ternary", "channel", True, "mse"),
    Scheme("binary", "channel"),
)
_SECONDS = {"kmeans": 6e-7, "mse": 5e-7}  # for one weight, on a slow core
_OTHERS = 3e-8
_COLUMNS = [
    "format",
    "granularity",
    "symmetric",
    "range",
    "bits_per_weight",
    "bytes",
    "sqnr_db",
    "worst_error",
]


def format_errors(study: Study, layer: Layer, schemes: tuple[Scheme, ...] = COMPARED) -> pd.DataFrame:
    """The weights of `layer` in those of `schemes` that were measured.

    Columns: format, granularity, symmetric, range, bits_per_weight (scales and zero points included), bytes,
    sqnr_db, worst_error."""
    records = study.store.get_many(_about(study, layer, scheme) for scheme in schemes)
    table = pd.DataFrame([r for r in records if r is not None], columns=_COLUMNS)
    # Where a channel is too small for groups, two schemes are one.
    return table.drop_duplicates(["format", "granularity", "symmetric", "range"], ignore_index=True)


def unmeasured_formats(
    study: Study, layer: Layer, schemes: tuple[Scheme, ...] = COMPARED
) -> tuple[Scheme, ...]:
    """Those of `schemes` that were not measured for `layer`, the quickest first."""
    records = study.store.get_many(_about(study, layer, scheme) for scheme in schemes)
    missing = (s for s, r in zip(schemes, records, strict=True) if r is None)
    return tuple(sorted(missing, key=lambda s: seconds(layer, s)))


def measure_formats(
    study: Study, layer: Layer, schemes: tuple[Scheme, ...], progress: Progress | None = None
) -> None:
    """Quantize the weights of `layer` by each of `schemes`, and keep what it does to them."""
    weights = study.graph.weights(layer)
    for number, scheme in enumerate(schemes):
        # Not through the study's cache: thirty copies of a large tensor would fill it.
        tensor = quantize_tensor(weights, layer.axis, scheme)
        decoded = tensor.decode()
        record = {
            **scheme.to_json(),
            "granularity": scheme.granularity if scheme.number.block else tensor.layout.granularity,
            "bits_per_weight": tensor.bits_per_weight,
            "bytes": int(-(-tensor.bits // 8)),
            "sqnr_db": sqnr_db(weights, decoded),
            "worst_error": float(np.abs(decoded - weights).max(initial=0.0)),
        }
        study.store.put(_about(study, layer, scheme), record)
        if progress is not None:
            progress(number + 1, len(schemes))


def seconds(layer: Layer, scheme: Scheme) -> float:
    """About how long it takes to measure `scheme`: a page leaves what is long to a worker."""
    return layer.parameters * _SECONDS.get(scheme.range, _OTHERS)


def _about(study: Study, layer: Layer, scheme: Scheme) -> dict[str, object]:
    return {
        "what": "weights in a format",
        "model": study.graph.file.sha256,
        "tensor": layer.tensor,
        "axis": layer.axis,
        "scheme": scheme.to_json(),
        "engine": ENGINE,
    }
