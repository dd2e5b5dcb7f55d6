"""Data from .npz files: what fits, and the sentence for what does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quant_core.data import open_data
from quant_core.errors import DataError
from quant_core.graph import Port

IMAGE = (Port("x", "float32", ("N", 3, 4, 4)),)
TOKENS = (Port("ids", "int64", ("N", "T")), Port("mask", "int64", ("N", "T")))


def saved(folder: Path, **arrays: object) -> Path:
    path = folder / "data.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def refused(path: Path, inputs: tuple[Port, ...] = IMAGE) -> str:
    with pytest.raises(DataError) as error:
        open_data(path, inputs)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_arrays_and_labels_are_batches_in_order(tmp_path: Path) -> None:
    x, labels = np.random.default_rng(0).normal(size=(10, 3, 4, 4)).astype(np.float32), np.arange(10)
    data = open_data(saved(tmp_path, x=x, labels=labels), IMAGE)
    assert len(data) == 10
    batches = list(data.batches(4))
    assert [len(feeds["x"]) for feeds, _ in batches] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([feeds["x"] for feeds, _ in batches]), x)
    np.testing.assert_array_equal(np.concatenate([part for _, part in batches]), labels)  # type: ignore[arg-type]


def test_labels_are_optional_and_other_arrays_are_left_alone(tmp_path: Path) -> None:
    data = open_data(saved(tmp_path, x=np.zeros((2, 3, 4, 4), np.float32), extra=np.zeros(7)), IMAGE)
    assert data.labels is None
    assert set(data.take(np.array([0]))) == {"x"}


def test_an_input_called_labels_is_an_input(tmp_path: Path) -> None:
    inputs = (Port("labels", "float32", ("N", 2)),)
    data = open_data(saved(tmp_path, labels=np.zeros((3, 2), np.float32)), inputs)
    assert data.labels is None
    assert data.take(np.array([0]))["labels"].shape == (1, 2)


@pytest.mark.parametrize("given", [np.float64, np.float16])
def test_floats_are_cast(tmp_path: Path, given: type) -> None:
    data = open_data(saved(tmp_path, x=np.ones((2, 3, 4, 4), given)), IMAGE)
    assert data.take(np.arange(2))["x"].dtype == np.float32


@pytest.mark.parametrize("given", [np.int32, np.uint8])
def test_whole_numbers_are_cast_where_nothing_is_lost(tmp_path: Path, given: type) -> None:
    ids = np.array([[1, 2], [3, 4]], given)
    data = open_data(saved(tmp_path, ids=ids, mask=ids), TOKENS)
    np.testing.assert_array_equal(data.take(np.arange(2))["ids"], ids)
    assert data.take(np.arange(2))["ids"].dtype == np.int64


def test_a_missing_array_is_named_with_those_there_are(tmp_path: Path) -> None:
    said = refused(saved(tmp_path, y=np.zeros((2, 3, 4, 4), np.float32), z=np.zeros(1)))
    assert "'x'" in said and "'y'" in said and "'z'" in said


@pytest.mark.parametrize("shape", [(2, 4, 4, 3), (2, 3, 4), (2, 3, 5, 4), (2, 3, 4, 4, 1)])
def test_a_wrong_shape_says_both(tmp_path: Path, shape: tuple[int, ...]) -> None:
    said = refused(saved(tmp_path, x=np.zeros(shape, np.float32)))
    assert str(list(shape)) in said
    assert "[any, 3, 4, 4]" in said


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3, 4, 4), np.complex64), np.full((2, 3, 4, 4), "a"), np.zeros((2, 3, 4, 4), bool)]
)
def test_a_wrong_type_says_both(tmp_path: Path, array: np.ndarray) -> None:
    said = refused(saved(tmp_path, x=array))
    assert str(array.dtype) in said and "float32" in said


def test_a_float_is_not_an_index(tmp_path: Path) -> None:
    ids = np.zeros((2, 3), np.float32)
    assert "int64" in refused(saved(tmp_path, ids=ids, mask=ids), TOKENS)


def test_a_number_that_does_not_fit_is_not_cut(tmp_path: Path) -> None:
    inputs = (Port("ids", "int8", ("N",)),)
    assert "int8" in refused(saved(tmp_path, ids=np.array([1, 300])), inputs)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=np.array([{"a": 1}, None], object), allow_pickle=True)
    assert "not a readable .npz" in refused(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04broken"])
def test_what_is_no_archive_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    assert "'data.npz' is not a readable .npz" in refused(path)


def test_a_missing_file_and_another_kind_of_file_say_so(tmp_path: Path) -> None:
    assert "there is no data file" in refused(tmp_path / "nowhere.npz").lower()
    (tmp_path / "data.pdf").write_text("1,2\n")
    assert "is no kind of data that is read" in refused(tmp_path / "data.pdf")


def test_inputs_must_have_the_same_number_of_samples(tmp_path: Path) -> None:
    said = refused(saved(tmp_path, ids=np.zeros((2, 3), int), mask=np.zeros((4, 3), int)), TOKENS)
    assert "different numbers of samples" in said


def test_no_samples_are_refused(tmp_path: Path) -> None:
    assert "no samples" in refused(saved(tmp_path, x=np.zeros((0, 3, 4, 4), np.float32)))


@pytest.mark.parametrize(
    "labels",
    [np.arange(3), np.array([0.5, np.nan]), np.array(["a", "b"]), np.array(1)],
    ids=["count", "not finite", "text", "one"],
)
def test_labels_that_do_not_fit_are_refused(tmp_path: Path, labels: np.ndarray) -> None:
    assert "labels" in refused(saved(tmp_path, x=np.zeros((2, 3, 4, 4), np.float32), labels=labels))


def test_the_key_follows_the_content(tmp_path: Path) -> None:
    x = np.zeros((2, 3, 4, 4), np.float32)
    first = open_data(saved(tmp_path, x=x), IMAGE).key
    assert open_data(saved(tmp_path, x=x), IMAGE).key == first
    assert open_data(saved(tmp_path, x=x + 1), IMAGE).key != first


@pytest.mark.parametrize("rate", [np.array(16000), np.array([16000, 16000])], ids=["one", "per sample"])
def test_an_input_without_samples_is_one_plain_sentence(tmp_path: Path, rate: np.ndarray) -> None:
    """A scalar such as a sampling rate cannot be drawn from."""
    inputs = (*IMAGE, Port("rate", "int64", ()))
    said = refused(saved(tmp_path, x=np.zeros((2, 3, 4, 4), np.float32), rate=rate), inputs)
    assert "'rate'" in said


def test_the_other_order_of_bytes_is_turned(tmp_path: Path) -> None:
    x = np.arange(48, dtype=">f4").reshape(1, 3, 4, 4)
    data = open_data(saved(tmp_path, x=x), IMAGE)
    fed = data.take(np.arange(1))["x"]
    assert fed.dtype == np.float32 and fed.dtype.isnative
    np.testing.assert_array_equal(fed, x)
