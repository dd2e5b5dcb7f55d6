"""What shares one scale: a tensor as rows, one row a scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_core.formats.scheme import Scheme


@dataclass(frozen=True)
class Layout:
    """How the rows of a tensor lie: enough to go from rows back to the tensor.

    `granularity` is what is really used: a group falls back to `channel` where a channel has fewer than two
    groups of weights. `group` and `groups` are the weights per group and the groups per channel; the last
    group is padded with zeros, which every format here represents exactly."""

    shape: tuple[int, ...]
    axis: int
    granularity: str
    group: int = 0
    groups: int = 0

    @property
    def rows(self) -> int:
        """How many scales the tensor has."""
        if self.granularity == "tensor":
            return 1
        return self.shape[self.axis] * max(1, self.groups)

    @property
    def channel_size(self) -> int:
        """Weights of one output channel."""
        return math.prod(self.shape) // max(1, self.shape[self.axis])


def layout_of(shape: tuple[int, ...], axis: int, scheme: Scheme) -> Layout:
    """The layout of a tensor of `shape` with output channels on `axis`, quantized by `scheme`."""
    size = scheme.group_size
    if scheme.granularity == "tensor" or not shape:
        return Layout(shape, axis, "tensor")
    channel_size = math.prod(shape) // max(1, shape[axis])
    if size is None or channel_size < 2 * size:
        return Layout(shape, axis, "channel")
    return Layout(shape, axis, scheme.granularity, size, -(-channel_size // size))


def to_rows(values: NDArray[np.float32], layout: Layout) -> NDArray[np.float32]:
    """`values` of `layout.shape` as `[rows, values per scale]`."""
    if layout.granularity == "tensor":
        return values.reshape(1, -1)
    channels = np.moveaxis(values, layout.axis, 0).reshape(layout.shape[layout.axis], -1)
    if not layout.group:
        return channels
    padding = layout.groups * layout.group - channels.shape[1]
    return np.pad(channels, ((0, 0), (0, padding))).reshape(-1, layout.group)


def from_rows(rows: NDArray[np.generic], layout: Layout) -> NDArray[np.generic]:
    """The inverse of `to_rows`, for values or codes."""
    if layout.granularity == "tensor":
        return rows.reshape(layout.shape)
    channels = layout.shape[layout.axis]
    flat = rows.reshape(channels, -1)[:, : layout.channel_size]
    moved = (channels, *(n for i, n in enumerate(layout.shape) if i != layout.axis))
    return np.moveaxis(flat.reshape(moved), 0, layout.axis)
