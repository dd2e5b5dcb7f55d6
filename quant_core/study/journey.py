"""One value's journey: what a weight becomes, step by step, each with its number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant_core.formats import Scheme, from_rows
from quant_core.graph import Layer
from quant_core.study.codes import bit_text, channel_of
from quant_core.study.study import Study


@dataclass(frozen=True)
class Step:
    """One step: what is done, the formula with its numbers, and the value that comes out."""

    name: str
    formula: str
    value: float


def journey(study: Study, layer: Layer, scheme: Scheme, channel: int, position: int) -> list[Step]:
    """The steps of the weight at `position` of an output channel, from the stored float to its quantized
    value and the error. All arithmetic is float32, as the exported file computes it.
    """
    tensor, number = study.quantized(layer, scheme), scheme.number
    shape = tensor.layout.shape

    def here(rows: NDArray[np.generic]) -> Any:
        """The entry of a per-row array that belongs to the weight."""
        every = np.broadcast_to(rows[:, None], tensor.codes.shape) if rows.ndim == 1 else rows
        return channel_of(from_rows(every, tensor.layout), layer, channel)[position]

    x = np.float32(channel_of(study.graph.weights(layer), layer, channel)[position])
    back = np.float32(channel_of(tensor.decode(), layer, channel)[position])
    error = Step("Error", f"{_n(back)} - ({_n(x)})", float(back) - float(x))
    steps = [Step("Weight", f"as the file stores it, one of {int(np.prod(shape)):,}", float(x))]
    if number.kind == "float":
        code = int(back.astype(number.storage).view(np.uint16 if number.bits == 16 else np.uint32))
        return [*steps, Step("Rounded to the nearest", f"bits {bit_text(code, number)}", float(back)), error]
    code = int(here(tensor.codes))
    if tensor.table is not None:
        row = int(here(np.arange(len(tensor.table))))
        steps.append(
            Step("Nearest entry of the table", f"entry {code}, bits {bit_text(code, number)}", float(code))
        )
        return [*steps, Step("Looked up", f"table {row} [{code}]", float(back)), error]
    assert tensor.scale is not None and tensor.zero_point is not None
    scale, zero = np.float32(here(tensor.scale)), int(here(tensor.zero_point))
    scaled = np.float32(x / scale) if scale else np.float32(0)
    steps.append(Step("Divided by the scale", f"{_n(x)} / {_n(scale)}", float(scaled)))
    if number.kind == "integer":
        rounded = float(np.rint(scaled))
        steps.append(Step("Rounded, half to even", f"round({_n(scaled)})", rounded))
        if not scheme.symmetric:
            steps.append(Step("Zero point added", f"{rounded:g} + {zero}", rounded + zero))
        steps.append(
            Step("Clipped: the code", f"to {number.qmin}..{number.qmax}, bits {bit_text(code, number)}", code)
        )
        steps.append(
            Step("Back", f"({code} - {zero}) x {_n(scale)}" if zero else f"{code} x {_n(scale)}", float(back))
        )
        return [*steps, error]
    value = float(number.decoded()[code])
    limit = number.largest
    if abs(float(scaled)) > limit:
        steps.append(Step("Clipped", f"to -{limit:g}..{limit:g}", float(np.clip(scaled, -limit, limit))))
    steps.append(Step("Nearest value of the format", f"code {code}, bits {bit_text(code, number)}", value))
    return [*steps, Step("Back", f"{value:g} x {_n(scale)}", float(back)), error]


def _n(value: np.floating) -> str:
    return f"{float(value):.6g}"
