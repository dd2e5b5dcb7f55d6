"""Scales of 8 bits that the values of a block share.

`e8m0`: a power of two, 2 ** (floor(log2(largest magnitude)) - e) with e the exponent of the element
format's largest value, so that the largest value of the block lands in the top binade and may be clipped
there. Source: OCP Microscaling Formats (MX) Specification v1.0, 2023, section 6.3.

`nvfp4`: the tensor has one float32 scale, s = largest magnitude / (6 * 448), and a block the fp8_e4m3 number
nearest to (its largest magnitude / 6) / s. Source: NVIDIA 2025, "Introducing NVFP4 for Efficient and Accurate
Low-Precision Inference"."""

from __future__ import annotations

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from quant_core.formats.number import Format

_E8M0 = (-127, 127)  # exponents that eight bits hold; the code 255 is NaN
_FP8_LARGEST = 448.0


def block_scale(largest: NDArray[np.float64], number: Format) -> NDArray[np.float32]:
    """The scale of each block, float32 in the shape of `largest`, the largest magnitude of each block."""
    if number.scale == "nvfp4":
        codes, whole = nvfp4_scales(largest, number)
        return np.asarray(codes.astype(np.float32) * whole, np.float32)
    # frexp gives a mantissa in [0.5, 1): floor(log2) is the exponent less one.
    floor = np.frexp(largest)[1] - 1
    top = 6 if number.kind == "integer" else int(np.frexp(number.largest)[1]) - 1
    exponent = np.where(largest > 0, np.clip(floor - top, *_E8M0), 0)
    return np.ldexp(np.float32(1), exponent).astype(np.float32)


def nvfp4_scales(largest: NDArray[np.float64], number: Format) -> tuple[NDArray[np.generic], np.float32]:
    """The fp8_e4m3 scales of the blocks and the float32 scale of the tensor."""
    peak = float(np.max(largest, initial=0.0))
    whole = np.float32(max(peak / (number.largest * _FP8_LARGEST), float(np.finfo(np.float32).tiny)))
    wanted = np.clip(largest / number.largest / float(whole), 0.0, _FP8_LARGEST)
    return wanted.astype(ml_dtypes.float8_e4m3fn), whole


def e8m0_exponents(scale: NDArray[np.float32]) -> NDArray[np.int64]:
    """The exponents of scales that are powers of two."""
    return np.asarray(np.frexp(scale)[1], np.int64) - 1
