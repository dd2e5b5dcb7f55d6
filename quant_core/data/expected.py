"""What the metrics need to know of the reference's outputs: found once, for all that are compared to them."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

KEPT = 128 << 20  # bytes of what was found
_EACH = 32  # bytes for an element and what is found of it
_Array = NDArray[np.generic]
_Floats = NDArray[np.float64]


class Expected:
    """One output of the reference for a batch, `[batch, ...]`."""

    def __init__(self, output: _Array) -> None:
        self.output = output

    @cached_property
    def wide(self) -> _Floats:
        """The output in double precision."""
        return self.output.astype(np.float64)

    @cached_property
    def power(self) -> float:
        """The sum of the squares of all elements."""
        return float(np.square(self.wide).sum())

    @cached_property
    def choice(self) -> NDArray[np.int64]:
        """The class of each decision."""
        return np.asarray(self.output.argmax(axis=-1))

    @cached_property
    def probabilities(self) -> _Floats:
        """Of the classes on the last axis."""
        return np.asarray(np.exp(self.log_probabilities), np.float64)

    @cached_property
    def log_probabilities(self) -> _Floats:
        """Of the classes on the last axis, in nats."""
        return log_probabilities(self.wide)


class _Kept:
    """Those that were asked for last, as many as `KEPT` bytes hold. Each holds its output, so that no other
    can have the same id.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[int, Expected] = OrderedDict()

    def get(self, output: _Array) -> Expected:
        key = id(output)
        if key not in self._kept:
            if output.size * _EACH > KEPT:
                return Expected(output)
            self._kept[key] = Expected(output)
            while sum(e.output.size for e in self._kept.values()) * _EACH > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


_KEPT = _Kept()


def expected_of(output: _Array) -> Expected:
    """What is known of an `output` of the reference, an array that nobody changes."""
    return _KEPT.get(output)


def has_classes(output: _Array) -> bool:
    """Whether the last axis of an output is a choice among classes."""
    return output.ndim >= 2 and output.shape[-1] > 1 and output.dtype.kind == "f"


def log_probabilities(x: _Array) -> _Floats:
    """The logarithms of the probabilities of classes on the last axis, in nats; `x` are probabilities or
    logits.
    """
    wide = np.asarray(x, np.float64)
    if wide.min() >= 0 and np.allclose(wide.sum(axis=-1), 1.0, atol=1e-3):
        clipped = np.maximum(wide, 1e-12)
        return np.asarray(np.log(clipped / clipped.sum(axis=-1, keepdims=True)), np.float64)
    shifted = wide - wide.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return np.asarray(shifted, np.float64)
