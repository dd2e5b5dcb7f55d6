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
    groups of weights, a block (of a block format) where it has no more than one. `group` and `groups` are the
    weights per group and the groups per channel, `channels` the output channels of a row where several share
    one; the last group of a channel and the last row of channels are padded with zeros."""

    shape: tuple[int, ...]
    axis: int
    granularity: str
    group: int = 0
    groups: int = 0
    channels: int = 1

    @property
    def rows(self) -> int:
        """How many scales the tensor has."""
        if self.granularity == "tensor":
            return 1
        return -(-self.shape[self.axis] // self.channels) * max(1, self.groups)

    @property
    def channel_size(self) -> int:
        """Weights of one output channel."""
        return math.prod(self.shape) // max(1, self.shape[self.axis])

    @property
    def row_size(self) -> int:
        """Values of a row, padding included."""
        if self.granularity == "tensor":
            return math.prod(self.shape)
        return self.group or self.channels * self.channel_size

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The values of each row, `[rows]`, padding left out."""
        if self.granularity == "tensor":
            return np.array([math.prod(self.shape)])
        channels, size = self.shape[self.axis], self.channel_size
        if self.group:
            last = size - (self.groups - 1) * self.group
            return np.tile([*[self.group] * (self.groups - 1), last], channels)
        full, rest = divmod(channels, self.channels)
        return np.array([*[self.channels * size] * full, *([rest * size] if rest else [])], np.int64)


def layout_of(shape: tuple[int, ...], axis: int, scheme: Scheme) -> Layout:
    """The layout of a tensor of `shape` with output channels on `axis`, quantized by `scheme`."""
    size = scheme.group_size
    if scheme.granularity == "tensor" or not shape:
        return Layout(shape, axis, "tensor")
    channel_size = math.prod(shape) // max(1, shape[axis])
    if scheme.table_channels is not None:
        return Layout(shape, axis, scheme.granularity, channels=min(scheme.table_channels, shape[axis]))
    fewest = 1 if size is None else size + 1 if scheme.number.block else 2 * size
    if size is None or channel_size < fewest:
        return Layout(shape, axis, "channel")
    return Layout(shape, axis, scheme.granularity, size, -(-channel_size // size))


def to_rows(values: NDArray[np.float32], layout: Layout) -> NDArray[np.float32]:
    """`values` of `layout.shape` as `[rows, values per scale]`."""
    if layout.granularity == "tensor":
        return values.reshape(1, -1)
    channels = np.moveaxis(values, layout.axis, 0).reshape(layout.shape[layout.axis], -1)
    if not layout.group:
        padding = -len(channels) % layout.channels
        padded = np.pad(channels, ((0, padding), (0, 0)))
        return padded.reshape(layout.rows, layout.channels * layout.channel_size)
    padding = layout.groups * layout.group - channels.shape[1]
    return np.pad(channels, ((0, 0), (0, padding))).reshape(-1, layout.group)


def from_rows(rows: NDArray[np.generic], layout: Layout) -> NDArray[np.generic]:
    """The inverse of `to_rows`, for values or codes."""
    if layout.granularity == "tensor":
        return rows.reshape(layout.shape)
    channels = layout.shape[layout.axis]
    size = layout.channel_size
    flat = (
        rows.reshape(channels, -1)[:, :size]
        if layout.group
        else rows.reshape(layout.rows * layout.channels, size)[:channels]
    )
    moved = (channels, *(n for i, n in enumerate(layout.shape) if i != layout.axis))
    return np.moveaxis(flat.reshape(moved), 0, layout.axis)
