"""Quantize one constant tensor: weights in, codes, scales and zero points out."""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from quant_core.errors import FormatError
from quant_core.formats.affine import affine_parameters, dequantize, quantize
from quant_core.formats.granularity import Layout, from_rows, layout_of, to_rows
from quant_core.formats.ranges import find_range
from quant_core.formats.scheme import Scheme


@dataclass(frozen=True)
class QuantizedTensor:
    """A quantized tensor.

    `codes` are `[rows, values per scale]` (int32 codes of an integer format, the values themselves of a float
    format); `scale` and `zero_point` are `[rows]`, None for a float format."""

    scheme: Scheme
    layout: Layout
    codes: NDArray[np.generic]
    scale: NDArray[np.float32] | None = None
    zero_point: NDArray[np.int32] | None = None

    def decode(self) -> NDArray[np.float32]:
        """The values the codes stand for, float32, in the shape of the tensor."""
        if self.scale is None or self.zero_point is None:
            return np.asarray(self.codes, np.float32)
        rows = dequantize(self.codes, self.scale[:, None], self.zero_point[:, None])
        return np.asarray(from_rows(rows, self.layout), np.float32)

    @property
    def bits(self) -> int:
        """Bits that codes, scales and zero points take, without the container they are written in."""
        total = int(self.codes.size) * self.scheme.number.bits
        if self.scale is not None:
            total += self.scale.size * 32
            if not self.scheme.symmetric:
                total += self.scale.size * self.scheme.number.bits
        return total


def quantize_tensor(values: NDArray[np.float32], axis: int, scheme: Scheme) -> QuantizedTensor:
    """Quantize `values` with output channels on `axis`. FormatError where the values are not finite."""
    values = np.asarray(values, np.float32)
    if not np.isfinite(values).all():
        raise FormatError("the tensor holds NaN or infinite values", "leave this layer in fp32")
    number = scheme.number
    if number.kind == "float":
        limit = float(ml_dtypes.finfo(number.storage).max)  # type: ignore[no-untyped-call]
        stored = np.clip(values, -limit, limit).astype(number.storage)
        return QuantizedTensor(scheme, Layout(values.shape, axis, "tensor"), stored)
    if scheme.is_dynamic:
        raise FormatError("weights cannot have a dynamic range", "choose minmax, mse or percentile:P")
    layout = layout_of(values.shape, axis, scheme)
    rows = to_rows(values, layout)
    if rows.size == 0:
        return QuantizedTensor(
            scheme,
            layout,
            rows.astype(np.int32),
            np.ones(layout.rows, np.float32),
            np.zeros(layout.rows, np.int32),
        )
    low, high = find_range(rows, scheme.range, number, scheme.symmetric)
    scale, zero = affine_parameters(low, high, number, scheme.symmetric)
    codes = quantize(rows, scale[:, None], zero[:, None], number)
    return QuantizedTensor(scheme, layout, codes, scale, zero)


def sqnr_db(reference: NDArray[np.floating], actual: NDArray[np.floating]) -> float:
    """Signal-to-quantization-noise ratio in dB: 10 log10(sum reference^2 / sum (actual - reference)^2).

    At most 200 dB, which float32 cannot reach by rounding: it stands for "equal".
    """
    signal = float(np.sum(np.square(reference, dtype=np.float64)))
    noise = float(np.sum(np.square(np.subtract(actual, reference, dtype=np.float64))))
    return sqnr_from_power(signal, noise)


def sqnr_from_power(signal: float, noise: float) -> float:
    """SQNR in dB of summed signal and noise power, between -200 and 200."""
    if noise <= 0.0:
        return 200.0
    if not np.isfinite(noise) or signal <= 0.0:
        return -200.0
    return float(np.clip(10.0 * np.log10(signal / noise), -200.0, 200.0))
