"""One layer in integer arithmetic: measured on calibration samples once and kept, and one of its outputs
followed step by step."""

from __future__ import annotations

import contextlib
import io
import zipfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quant_core.data import Subset
from quant_core.engine import (
    ENGINE,
    UINT8,
    Form,
    IntegerCounts,
    Operands,
    Progress,
    integer_form,
    trace_integers,
)
from quant_core.errors import PlanError
from quant_core.formats import (
    FixedPoint,
    Scheme,
    Sums,
    integer_sums,
    requantize,
    requantize_fixed,
    sqnr_from_power,
)
from quant_core.graph import Layer
from quant_core.store import measurement_key, write_whole
from quant_core.study.journey import Step
from quant_core.study.study import Study

WEIGHTS = (Scheme("int8", "channel"), Scheme("int8", "tensor"), Scheme("int8", "tensor", False))
SAMPLES = 8  # of the calibration samples
_INPUT = Scheme("uint8", "tensor", False)
_BINS = 80
_LISTED = 1024  # products in the table


@dataclass(frozen=True)
class Integers:
    """What was measured of a layer. `edges` `[bins + 1]` and `counts` `[bins]` are the histogram of its
    accumulators; `first_input` are the codes that the first sample brought, `first_output` `[rows, channels]`
    what the float layer makes of it.
    """

    found: IntegerCounts
    edges: NDArray[np.float64]
    counts: NDArray[np.float64]
    operands: Operands
    form: Form
    first_input: NDArray[np.uint8]
    first_output: NDArray[np.float32]

    @property
    def sqnr_db(self) -> float:
        """The SQNR of the outputs against the float layer."""
        return sqnr_from_power(self.found.signal, self.found.noise)

    @property
    def bits(self) -> int:
        """Bits that the largest accumulator needs, sign included."""
        return max(self.found.high.bit_length(), (-self.found.low - 1).bit_length(), 0) + 1

    @property
    def rows(self) -> int:
        """Outputs that the first sample has in each channel."""
        return len(self.first_output)


@dataclass(frozen=True)
class Followed:
    """One output: the steps to its code, the steps of a machine without floats from the same accumulator, and
    the products that were summed; columns position, input, weight, product, sum.
    """

    steps: list[Step]
    fixed: list[Step]
    products: pd.DataFrame
    same: bool


def why_no_integers(study: Study, layer: Layer) -> str | None:
    """Why `layer` is not shown in integers, None where it is."""
    try:
        integer_form(study.graph, layer)
    except PlanError as error:
        return error.what
    return None


def known_integers(study: Study, layer: Layer, weights: Scheme) -> Integers | None:
    """What was measured of `layer` before. A damaged file counts as none."""
    about = _about(study, layer, weights)
    record = study.store.get(about)
    if record is None:
        return None
    with contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile, PlanError):
        content = io.BytesIO(_path(study, about).read_bytes())
        with np.load(content, allow_pickle=False) as file:
            kept = {name: file[name] for name in file.files}
        found = IntegerCounts(**{f.name: record[f.name] for f in fields(IntegerCounts)})
        operands = Operands(
            np.float32(kept["x_scale"]),
            int(kept["x_zero"]),
            kept["weights"],
            kept["weight_scale"],
            kept["weight_zero"],
            np.float32(kept["y_scale"]),
            int(kept["y_zero"]),
            kept["bias"],
        )
        form = integer_form(study.graph, layer)
        shown = (kept["first_input"], kept["first_output"])
        return Integers(found, kept["edges"], kept["counts"], operands, form, *shown)
    return None


def measure_integers(
    study: Study, layer: Layer, weights: Scheme, progress: Progress | None = None
) -> Integers:
    """Compute `layer` in integers on a few calibration samples, hold it against ONNX Runtime, and keep what
    is found. PlanError where there are no calibration samples or the layer has no integer form.
    """
    known = known_integers(study, layer, weights)
    if known is not None:
        return known
    if study.calibration is None or layer.input is None:
        raise PlanError("there is nothing to calibrate here", "open data with some set aside, choose a layer")
    ends = study.ranges.find(layer.input, _INPUT)
    few = Subset(study.calibration, np.arange(min(SAMPLES, len(study.calibration))))
    traced = trace_integers(study.graph, layer, study.quantized(layer, weights), ends, few, progress)
    edges, counts = traced.accumulators.binned(_BINS)
    operands = traced.operands
    rows = np.asarray(traced.form.output_rows(traced.first_output), np.float32)
    file = io.BytesIO()
    arrays: dict[str, Any] = dict(vars(operands))
    np.savez_compressed(
        file, edges=edges, counts=counts, first_input=traced.first_input, first_output=rows, **arrays
    )
    about = _about(study, layer, weights)
    write_whole(_path(study, about), file.getvalue())
    study.store.put(about, asdict(traced.counts))
    return Integers(traced.counts, edges, counts, operands, traced.form, traced.first_input, rows)


def follow(layer: Layer, known: Integers, row: int, channel: int) -> Followed:
    """Output `row` of `channel`, for the first sample, step by step. Source of the terms: see
    `formats.arithmetic`.
    """
    o, form = known.operands, known.form
    many = form.channels // form.groups
    group, inside = divmod(channel, many)
    x = form.input_rows(known.first_input, o.x_zero)[group][row]
    w = form.weight_rows(o.weights, layer.axis)[group][inside]
    weight_scale, multiplier = (
        float(np.broadcast_to(a, form.channels)[channel]) for a in (o.weight_scale, o.multiplier)
    )
    weight_zero = int(np.broadcast_to(o.weight_zero, form.channels)[channel])
    sums = integer_sums(x[None], w[None], o.x_zero, np.array([weight_zero]), o.bias[[channel]])
    total = sums.total
    code = int(requantize(total, np.array([multiplier], np.float32), o.y_zero, UINT8)[0, 0])
    exact = float(known.first_output[row, channel])
    steps = [
        *_summed(sums, o, x, w, weight_zero),
        *_scaled(int(total[0, 0]), o, weight_scale, multiplier, code, exact),
    ]
    fixed, same = _without_floats(total, multiplier, o, code)
    product = x * w
    listed = pd.DataFrame(
        {"position": np.arange(x.size), "input": x, "weight": w, "product": product, "sum": product.cumsum()}
    )
    return Followed(steps, fixed, listed.head(_LISTED), same)


def _summed(sums: Sums, o: Operands, x: NDArray[np.int64], w: NDArray[np.int64], zero: int) -> list[Step]:
    count = x.size
    steps = [
        Step("Sum of products of codes", f"{count:,} products q_x q_w", float(sums.products[0, 0])),
        Step(
            "Less the input's zero point",
            f"z_x sum q_w = {o.x_zero} x {int(w.sum())}",
            float(-sums.input_zero[0]),
        ),
    ]
    if zero:
        steps += [
            Step(
                "Less the weights' zero point",
                f"z_w sum q_x = {zero} x {int(x.sum())}",
                float(-sums.weight_zero[0, 0]),
            ),
            Step(
                "Plus both zero points",
                f"K z_x z_w = {count} x {o.x_zero} x {zero}",
                float(sums.both_zero[0]),
            ),
        ]
    total = int(sums.total[0, 0])
    return [
        *steps,
        Step("Plus the bias", "in steps of s_x s_w", float(sums.bias[0])),
        Step("Accumulator", f"32 bits: {format(total & 0xFFFFFFFF, '032b')}", float(total)),
    ]


def _scaled(
    total: int, o: Operands, weight_scale: float, multiplier: float, code: int, exact: float
) -> list[Step]:
    scaled = float(np.float32(total) * np.float32(multiplier))
    real = float(np.float32(code - o.y_zero) * o.y_scale)
    return [
        Step(
            "Multiplier",
            f"s_x s_w / s_y = {float(o.x_scale):.5g} x {weight_scale:.5g} / {float(o.y_scale):.5g}",
            multiplier,
        ),
        Step("Scaled, in float32", f"{total:,} x {multiplier:.6g}", scaled),
        Step("Rounded, half to even", f"round({scaled:.6g})", float(np.rint(scaled))),
        Step("Output code", f"plus zero point {o.y_zero}, clipped to 0..255", float(code)),
        Step("Its value", f"({code} - {o.y_zero}) x {float(o.y_scale):.5g}", real),
        Step("The float layer gives", "the same layer of the opened file", exact),
        Step("Error", f"{real:.6g} - ({exact:.6g})", real - exact),
    ]


def _without_floats(
    total: NDArray[np.int64], multiplier: float, o: Operands, code: int
) -> tuple[list[Step], bool]:
    fixed = FixedPoint.of(multiplier)
    made = int(requantize_fixed(total, [fixed], o.y_zero, UINT8)[0, 0])
    scaled = int(fixed.times(total)[0, 0])
    shift = f"2^-{fixed.shift}" if fixed.shift >= 0 else f"2^{-fixed.shift}"
    steps = [
        Step("Multiplier as an integer", f"{fixed.mantissa:,} x 2^-31 x {shift}", fixed.value),
        Step(
            "High half of the product, shifted", f"{int(total[0, 0]):,} x {fixed.mantissa:,}", float(scaled)
        ),
        Step("Output code", f"plus zero point {o.y_zero}, clipped to 0..255", float(made)),
    ]
    return steps, made == code


def _about(study: Study, layer: Layer, weights: Scheme) -> dict[str, object]:
    return {
        "what": "integers",
        "model": study.graph.file.sha256,
        "layer": layer.name,
        "weights": weights.to_json(),
        "calibration": None if study.calibration is None else study.calibration.key,
        "samples": SAMPLES,
        "engine": ENGINE,
    }


def _path(study: Study, about: dict[str, object]) -> Path:
    return study.store.path.parent / "integers" / f"{measurement_key(about)}.npz"
