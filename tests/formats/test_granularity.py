"""Which weights share a scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_core.formats import Scheme, from_rows, layout_of, quantize_tensor, to_rows


@st.composite
def shaped(draw: st.DrawFn) -> tuple[tuple[int, ...], int, str]:
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=1, max_size=4)))
    axis = draw(st.integers(0, len(shape) - 1))
    return shape, axis, draw(st.sampled_from(["tensor", "channel", "group:2", "group:3", "group:5"]))


@settings(max_examples=200, deadline=None)
@given(shaped())
def test_rows_and_back_is_the_same_tensor(case: tuple[tuple[int, ...], int, str]) -> None:
    shape, axis, granularity = case
    values = np.arange(1, math.prod(shape) + 1, dtype=np.float32).reshape(shape)
    layout = layout_of(shape, axis, Scheme("int8", granularity))
    rows = to_rows(values, layout)
    assert rows.shape[0] == layout.rows
    np.testing.assert_array_equal(from_rows(rows, layout), values)


@settings(max_examples=100, deadline=None)
@given(shaped())
def test_a_row_never_mixes_output_channels(case: tuple[tuple[int, ...], int, str]) -> None:
    shape, axis, granularity = case
    channel = np.broadcast_to(
        np.arange(1, shape[axis] + 1, dtype=np.float32).reshape(
            [-1 if i == axis else 1 for i in range(len(shape))]
        ),
        shape,
    )
    layout = layout_of(shape, axis, Scheme("int8", granularity))
    if layout.granularity != "tensor":
        for row in to_rows(np.ascontiguousarray(channel), layout):
            assert len(set(row[row > 0].tolist())) == 1


@pytest.mark.parametrize(
    ("size", "granularity", "groups"),
    [(63, "channel", 0), (64, "group:32", 2), (65, "group:32", 3), (96, "group:32", 3)],
)
def test_a_channel_of_fewer_than_two_groups_falls_back(size: int, granularity: str, groups: int) -> None:
    layout = layout_of((4, size), 0, Scheme("int4", "group:32"))
    assert (layout.granularity, layout.groups) == (granularity, groups)
    assert layout.rows == 4 * max(1, groups)


def test_a_group_is_consecutive_weights_of_one_channel() -> None:
    values = np.arange(2 * 3 * 2, dtype=np.float32).reshape(2, 3, 2)  # channels on the last axis
    rows = to_rows(values, layout_of((2, 3, 2), 2, Scheme("int8", "group:3")))
    np.testing.assert_array_equal(rows, [[0, 2, 4], [6, 8, 10], [1, 3, 5], [7, 9, 11]])


def test_padding_of_the_last_group_does_not_move_its_scale() -> None:
    values = np.full((1, 5), 0.7, np.float32)
    tensor = quantize_tensor(values, 0, Scheme("int8", "group:2", True))
    assert tensor.scale is not None
    np.testing.assert_array_equal(tensor.scale, np.full(3, tensor.scale[0]))
    np.testing.assert_allclose(tensor.decode(), values, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_each_channel_has_the_scale_of_its_own_range(axis: int) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(3, 4, 5)).astype(np.float32)
    tensor = quantize_tensor(values, axis, Scheme("uint8", "channel", False))
    other = tuple(i for i in range(3) if i != axis)
    spread = np.maximum(values.max(axis=other), 0) - np.minimum(values.min(axis=other), 0)
    assert tensor.scale is not None
    np.testing.assert_allclose(tensor.scale, spread / 255, rtol=1e-5)


def test_bits_count_codes_scales_and_zero_points() -> None:
    values = np.ones((4, 10), np.float32)
    assert quantize_tensor(values, 0, Scheme("fp16")).bits == 40 * 16
    assert quantize_tensor(values, 0, Scheme("int4", "tensor")).bits == 40 * 4 + 32
    assert quantize_tensor(values, 0, Scheme("int4", "channel", False)).bits == 40 * 4 + 4 * (32 + 4)
