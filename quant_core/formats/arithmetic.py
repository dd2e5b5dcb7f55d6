"""A layer's sums in integers: accumulators, requantization, and what narrower hardware makes of them.

With x = (q_x - z_x) s_x and w = (q_w - z_w) s_w, one output is

    sum x w = s_x s_w (sum q_x q_w - z_x sum q_w - z_w sum q_x + K z_x z_w)

over its K products. Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", equations 4 and 7. The bias joins as an integer in steps of s_x s_w. The
sum is brought to the output's steps by the multiplier M = s_x s_w / s_y: in float32 by ONNX Runtime, in fixed
point where there is no float unit (Jacob et al., equation 6)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_core.formats.number import Format

Ints = NDArray[np.int64]

INT16, INT32 = (-(1 << 15), (1 << 15) - 1), (-(1 << 31), (1 << 31) - 1)


@dataclass(frozen=True)
class Sums:
    """The four terms of the sums of `rows` outputs in `channels` channels, and the bias in steps.

    `products` `[rows, channels]` is sum q_x q_w; `input_zero` `[channels]` is z_x sum q_w; `weight_zero`
    `[rows, channels]` is z_w sum q_x; `both_zero` `[channels]` is K z_x z_w; `bias` `[channels]`."""

    products: Ints
    input_zero: Ints
    weight_zero: Ints
    both_zero: Ints
    bias: Ints

    @property
    def total(self) -> Ints:
        """The accumulators, `[rows, channels]`."""
        return self.products - self.input_zero - self.weight_zero + self.both_zero + self.bias


def integer_sums(x: Ints, w: Ints, x_zero: int, w_zero: Ints, bias: Ints) -> Sums:
    """The sums of input codes `x` `[rows, K]` and weight codes `w` `[channels, K]`, with one zero point for
    the input, and `w_zero` and `bias` `[channels]`. Exact: the products are summed in float64, whose 53 bits
    hold any sum of fewer than 2^37 products of 8-bit codes.
    """
    products = np.rint(x.astype(np.float64) @ w.T.astype(np.float64)).astype(np.int64)
    return Sums(
        products,
        x_zero * w.sum(axis=1, dtype=np.int64),
        x.sum(axis=1, dtype=np.int64)[:, None] * w_zero,
        x.shape[1] * x_zero * w_zero,
        bias,
    )


def requantize(
    accumulators: Ints, multiplier: NDArray[np.float32], zero_point: int, number: Format
) -> NDArray[np.int32]:
    """Output codes of `accumulators` `[rows, channels]` as ONNX Runtime makes them: times a float32
    multiplier `[channels]`, rounded half to even, clipped. Source: ONNX operators QLinearConv and
    QLinearMatMul.
    """
    scaled = accumulators.astype(np.float32) * multiplier
    low, high = np.float32(number.qmin - zero_point), np.float32(number.qmax - zero_point)
    return np.asarray(np.rint(np.clip(scaled, low, high)) + zero_point, np.int32)


@dataclass(frozen=True)
class FixedPoint:
    """A multiplier without floats: M = mantissa 2^-31 2^-shift, the mantissa a 32-bit integer of at least
    2^30. Source: Jacob et al. 2018, equation 6.
    """

    mantissa: int
    shift: int

    @property
    def value(self) -> float:
        """The multiplier it stands for."""
        return math.ldexp(self.mantissa, -31 - self.shift)

    @classmethod
    def of(cls, multiplier: float) -> FixedPoint:
        """The nearest to a positive `multiplier`."""
        fraction, exponent = math.frexp(multiplier)
        mantissa = round(fraction * (1 << 31))
        if mantissa == 1 << 31:
            mantissa, exponent = 1 << 30, exponent + 1
        return cls(mantissa, -exponent)

    def times(self, accumulators: Ints) -> Ints:
        """`accumulators` times the multiplier, rounded: the high half of a doubled 64-bit product, then a
        shift, each rounding to the nearest (a tie up in the first, away from zero in the second), as
        gemmlowp does (fixedpoint.h, SaturatingRoundingDoublingHighMul and RoundingDivideByPOT).
        """
        raised = np.clip(accumulators << max(0, -self.shift), *INT32)
        product = raised * self.mantissa
        nudge = np.where(product >= 0, 1 << 30, 1 - (1 << 30))
        high = _towards_zero(product + nudge, 31)
        right = max(0, self.shift)
        if right == 0:
            return high
        mask = (1 << right) - 1
        return (high >> right) + ((high & mask) > (mask >> 1) + (high < 0))


def _towards_zero(values: Ints, bits: int) -> Ints:
    return np.where(values >= 0, values >> bits, -(-values >> bits))


def requantize_fixed(
    accumulators: Ints, multipliers: list[FixedPoint], zero_point: int, number: Format
) -> NDArray[np.int32]:
    """As `requantize`, with a fixed-point multiplier for each channel: what a microcontroller computes."""
    scaled = np.stack([m.times(accumulators[:, c]) for c, m in enumerate(multipliers)], axis=1)
    return np.clip(scaled + zero_point, number.qmin, number.qmax).astype(np.int32)


@dataclass(frozen=True)
class Saturation:
    """What is lost where two products at a time are added in 16 bits. `lost` `[rows, channels]` is what the
    accumulators miss; `pairs` were added, `saturated` of them did not fit."""

    lost: Ints
    pairs: int
    saturated: int


def saturate_pairs(x: Ints, w: Ints) -> Saturation:
    """Unsigned input codes `x` `[rows, K]` and signed weight codes `w` `[channels, K]` multiplied as by the
    x86 instruction `vpmaddubsw`, which adds each two neighbouring products in 16 bits and saturates. 8-bit
    kernels use it on processors without VNNI (ONNX Runtime, "Quantize ONNX models": the overflow of U8S8).
    """
    rows, products = x.shape
    even, odd = x[:, 0 : products - 1 : 2], x[:, 1::2]
    lost, saturated = np.zeros((rows, len(w)), np.int64), 0
    for channel, weights in enumerate(w):
        first, second = weights[0 : products - 1 : 2], weights[1::2]
        # 255 (|a| + |b|) must pass 32,767: most pairs of weights cannot.
        able = np.flatnonzero(np.abs(first) + np.abs(second) > 128)
        pairs = even[:, able] * first[able] + odd[:, able] * second[able]
        beyond = pairs - np.clip(pairs, *INT16)
        saturated += int(np.count_nonzero(beyond))
        lost[:, channel] = beyond.sum(axis=1)
    return Saturation(lost, rows * len(w) * (-(-products // 2)), saturated)
