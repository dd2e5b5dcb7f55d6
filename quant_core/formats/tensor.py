"""Quantize one constant tensor: weights in, codes, scales and zero points out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from quant_core.errors import FormatError
from quant_core.formats.affine import affine_parameters, dequantize, quantize
from quant_core.formats.codebook import learn_table, look_up
from quant_core.formats.granularity import Layout, from_rows, layout_of, to_rows
from quant_core.formats.ranges import find_range
from quant_core.formats.scheme import Scheme


@dataclass(frozen=True)
class QuantizedTensor:
    """A quantized tensor.

    `codes` are `[rows, values per scale]`: int32 codes, and of a float format the values themselves. `scale`
    and `zero_point` are `[rows]`, None for a float format and a codebook, whose tables are `table`, `[rows,
    levels]`. `peaks`, `[rows]`, are the largest magnitudes that the scales of a block format come from."""

    scheme: Scheme
    layout: Layout
    codes: NDArray[np.generic]
    scale: NDArray[np.float32] | None = None
    zero_point: NDArray[np.int32] | None = None
    table: NDArray[np.float32] | None = None
    peaks: NDArray[np.float64] | None = None

    def decode(self) -> NDArray[np.float32]:
        """The values the codes stand for, float32, in the shape of the tensor."""
        if self.table is not None:
            rows = np.take_along_axis(self.table, np.asarray(self.codes, np.int64), axis=1)
        elif self.scale is None or self.zero_point is None:
            return np.asarray(self.codes, np.float32)
        else:
            zero = self.zero_point[:, None]
            rows = dequantize(self.codes, self.scale[:, None], zero, self.scheme.number)
        return np.asarray(from_rows(rows, self.layout), np.float32)

    def shaped_codes(self) -> NDArray[np.generic]:
        """The codes in the shape of the tensor."""
        return self.codes if self.scheme.number.kind == "float" else from_rows(self.codes, self.layout)

    def with_scales_at_least(self, least: NDArray[np.float32]) -> QuantizedTensor:
        """The tensor with the scales of an integer format raised to `least`, `[rows]`; its codes are rounded
        anew where a scale was raised. The same tensor where none is.
        """
        assert self.scale is not None and self.zero_point is not None
        if not (self.scale < least).any():
            return self
        scale, zero = np.maximum(self.scale, least), self.zero_point[:, None]
        rows = dequantize(self.codes, self.scale[:, None], zero, self.scheme.number)
        codes = np.where(
            (self.scale < least)[:, None],
            quantize(rows, scale[:, None], zero, self.scheme.number),
            self.codes,
        )
        return replace(self, codes=codes.astype(self.codes.dtype), scale=scale)

    @property
    def bits(self) -> float:
        """Bits that codes, scales, zero points and tables take, without the container they are written in."""
        return stored_bits(self.layout, self.scheme)

    @property
    def bits_per_weight(self) -> float:
        """`bits` for each value of the tensor, padding, scales, zero points and tables included."""
        return self.bits / max(1, int(np.prod(self.layout.shape)))


def stored_bits(layout: Layout, scheme: Scheme) -> float:
    """Bits that a tensor of this layout takes when it is quantized by `scheme`: codes with their padding,
    scales, zero points and tables.
    """
    number, rows = scheme.number, layout.rows
    values = layout.row_size * rows
    if number.kind == "codebook":
        return values * number.stored_bits + rows * number.levels * 32
    total = values * number.stored_bits
    if number.is_scaled:
        total += rows * (8 if number.block else 32) + 32 * (number.scale == "nvfp4")
        if not scheme.symmetric:
            total += rows * number.bits
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
    if scheme.range in ("dynamic", "average"):
        raise FormatError(
            f"weights cannot have the range method '{scheme.range}'", "choose minmax, mse or percentile:P"
        )
    layout = layout_of(values.shape, axis, scheme)
    rows = to_rows(values, layout)
    if number.kind == "codebook":
        return _with_tables(rows, scheme, layout)
    if rows.size == 0:
        ones, zeros = np.ones(layout.rows, np.float32), np.zeros(layout.rows, np.int32)
        return QuantizedTensor(scheme, layout, rows.astype(np.int32), ones, zeros)
    low, high = (
        _mean_range(rows, layout)
        if scheme.range == "mean"
        else find_range(rows, scheme.range, number, scheme.symmetric)
    )
    scale, zero = affine_parameters(low, high, number, scheme.symmetric)
    codes = quantize(rows, scale[:, None], zero[:, None], number)
    peaks = np.maximum(np.maximum(high, -low), 0.0) if number.block else None
    return QuantizedTensor(scheme, layout, codes, scale, zero, peaks=peaks)


def _mean_range(rows: NDArray[np.float32], layout: Layout) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean magnitude as both ends: the scale of a binary tensor with least mean-square error. Source:
    Rastegari et al. 2016, "XNOR-Net", equation 6.
    """
    mean = np.abs(rows).sum(axis=1, dtype=np.float64) / np.maximum(layout.sizes, 1)
    return -mean, mean


def _with_tables(rows: NDArray[np.float32], scheme: Scheme, layout: Layout) -> QuantizedTensor:
    """A table for each row, learned without the padding."""
    size = scheme.number.levels
    tables = np.zeros((layout.rows, size), np.float32)
    codes = np.zeros(rows.shape, np.int32)
    for index, (row, count) in enumerate(zip(rows, layout.sizes, strict=True)):
        tables[index] = learn_table(row[:count], size, scheme.range)
        codes[index] = look_up(row, tables[index])
    return QuantizedTensor(scheme, layout, codes, table=tables)


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
