"""Inputs that hold no samples: state starts at zero, numbers get the user's value, and it is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quant_core.data import Reading, looks_carried, open_data
from quant_core.data.generated import generated_data
from quant_core.errors import DataError
from quant_core.graph import Port

X = Port("x", "float32", ("N", "T"))


CARRIED = """past_key_values.0.key past_key_values_0_value past_0 past state h c h0 c_0 h_in
hidden hidden_state cell lstm_state encoder/h past_key_values cache.3 key_cache
state_in h_prev stateN_state_1"""
OTHERS = """x input input_ids attention_mask channel height chars statement half c3d h264 estate image
hiddenness shape pastry conv hc past_values past_time_features rgb_c x_h cell_count"""


@pytest.mark.parametrize("name", CARRIED.split())
def test_names_of_carried_state(name: str) -> None:
    assert looks_carried(name)


@pytest.mark.parametrize("name", OTHERS.split())
def test_other_names_are_no_state(name: str) -> None:
    assert not looks_carried(name)


def saved(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "x.npz", **arrays)
    return folder / "x.npz"


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((2, "N", 5), (2, 3, 5)),
        (("N", 5), (3, 5)),
        (("N", 4, "past_length", 8), (3, 4, 0, 8)),
        (("N", "T"), (3, 6)),
        ((2, 1, 5), (2, 1, 5)),
        ((2, "N", "other"), (2, 3, 1)),
    ],
)
def test_state_that_is_not_in_the_data_starts_at_zero(
    tmp_path: Path, shape: tuple[int | str, ...], wanted: tuple[int, ...]
) -> None:
    data = open_data(saved(tmp_path, x=np.ones((4, 6), np.float32)), (Port("h", "float32", shape), X))
    fed = data.take(np.array([0, 1, 3]))
    assert list(fed) == ["x", "h"]
    assert fed["h"].shape == wanted and not fed["h"].any()
    assert "'h'" in data.notes[0] and "zero" in data.notes[0]


def test_state_that_is_in_the_data_is_used(tmp_path: Path) -> None:
    path = saved(tmp_path, x=np.ones((4, 6), np.float32), h=np.full((4, 5), 7, np.float32))
    data = open_data(path, (X, Port("h", "float32", ("N", 5))))
    assert (data.take(np.arange(2))["h"] == 7).all()
    assert data.notes == ()


def test_a_single_number_gets_the_users_value(tmp_path: Path) -> None:
    path = saved(tmp_path, x=np.ones((4, 6), np.float32))
    inputs = (X, Port("rate", "int64", ()))
    data = open_data(path, inputs, None, Reading(sizes={"rate": 16000}))
    fed = data.take(np.arange(2))["rate"]
    assert (fed.shape, int(fed), fed.dtype) == ((), 16000, np.int64)
    with pytest.raises(DataError, match="'rate'"):
        open_data(path, inputs)


def test_a_model_of_state_alone_is_not_fed_zeros(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'h'"):
        open_data(saved(tmp_path, x=np.ones((4, 6), np.float32)), (Port("h", "float32", ("N", 6)),))


# ---- generated


def test_generated_indices_are_valid_and_masks_are_ones() -> None:
    inputs = (
        Port("ids", "int32", ("N", "T")),
        Port("attention_mask", "int64", ("N", "T")),
        Port("flag", "bool", ("N", 2)),
        Port("x", "float16", ("N", 3)),
        Port("past", "float32", ("N", 3)),
    )
    fed = generated_data(inputs, {"ids": 11}, 50).take(np.arange(50))
    assert set(np.unique(fed["ids"])) == set(range(11))
    assert fed["attention_mask"].all() and not fed["past"].any()
    assert [fed[p.name].dtype.name for p in inputs] == [p.dtype for p in inputs]


def test_generated_state_has_the_shape_of_the_batch() -> None:
    inputs = (
        Port("state", "float32", (2, "N", 5)),
        Port("rate", "int64", ()),
        Port("x", "float32", ("N", 3)),
    )
    data = generated_data(inputs, {}, 9, {"rate": 8})
    fed = data.take(np.arange(4))
    assert [fed[p.name].shape for p in inputs] == [(2, 4, 5), (), (4, 3)]
    assert data.generated


def test_generated_samples_say_so_and_are_the_same_each_time() -> None:
    one, again, more = (generated_data((X,), {}, n) for n in (8, 8, 9))
    assert one.generated and one.notes
    assert one.key == again.key != more.key
    np.testing.assert_array_equal(one.take(np.arange(8))["x"], again.take(np.arange(8))["x"])


@pytest.mark.parametrize("count", [0, 10**9])
def test_a_number_of_generated_samples_that_makes_no_sense_is_refused(count: int) -> None:
    with pytest.raises(DataError, match=str(count)):
        generated_data((X,), {}, count)


def test_text_is_not_generated() -> None:
    with pytest.raises(DataError, match="cannot be generated"):
        generated_data((Port("x", "str", ("N", 1)),), {}, 4)
