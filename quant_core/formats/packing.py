"""Codes that no ONNX type holds, packed into bytes, and taken apart again.

Bits: eight codes of b bits become b bytes, one byte for each place value (the first byte has the lowest
bits of the eight codes, its bit i that of code i). Trits: five ternary codes are the digits of a number
below 243."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TRITS = 5  # to a byte
_PLACES = np.array([1, 2, 4, 8, 16, 32, 64, 128], np.uint8)
_THREES = np.array([1, 3, 9, 27, 81], np.uint8)

Bytes = NDArray[np.uint8]


def pack_bits(codes: NDArray[np.integer], bits: int) -> Bytes:
    """`codes` (any shape, two's complement where negative) as `[eights, bits]` bytes; the last eight is
    filled up with zeros.
    """
    flat = np.asarray(codes, np.int64).reshape(-1) & ((1 << bits) - 1)
    eights = np.pad(flat, (0, -flat.size % 8)).reshape(-1, 1, 8)
    planes = (eights >> np.arange(bits)[:, None]) & 1
    return np.asarray((planes * _PLACES).sum(axis=2), np.uint8)


def unpack_bits(packed: Bytes, bits: int, signed: bool, count: int) -> NDArray[np.int64]:
    """The first `count` codes of `pack_bits`, `[count]`."""
    planes = (packed[:, :, None] & _PLACES) != 0
    flat = (planes * place_values(bits, signed)[:, None]).sum(axis=1).reshape(-1)
    return np.asarray(flat[:count], np.int64)


def place_values(bits: int, signed: bool) -> NDArray[np.int64]:
    """What each bit of a code is worth, the lowest first, `[bits]`: the top one is negative where
    `signed`.
    """
    values = np.left_shift(1, np.arange(bits, dtype=np.int64))
    if signed:
        values[-1] = -values[-1]
    return values


def pack_trits(codes: NDArray[np.integer]) -> Bytes:
    """`codes` of -1, 0 and 1 (any shape) as `[fives, 1]` bytes; the last five is filled up with zeros."""
    flat = np.asarray(codes, np.int64).reshape(-1) + 1
    fives = np.pad(flat, (0, -flat.size % TRITS), constant_values=1).reshape(-1, TRITS)
    return np.asarray((fives * _THREES).sum(axis=1, keepdims=True), np.uint8)


def unpack_trits(packed: Bytes, count: int) -> NDArray[np.int64]:
    """The first `count` codes of `pack_trits`, `[count]`."""
    digits = packed.astype(np.int64) // _THREES % 3
    return np.asarray(digits.reshape(-1)[:count] - 1, np.int64)
