"""Each kind of data: the same samples, however they are packed."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as any_array
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from quant_core.data import Reading, get_preprocess, open_data, read_sizes, sized
from quant_core.errors import ArgumentError, DataError
from quant_core.graph import Port

IMAGE = (Port("x", "float32", ("N", 4, 6, 3)),)
ROW = (Port("x", "float32", ("N", 3)),)
BERT = tuple(Port(n, "int64", ("N", "T")) for n in ("input_ids", "attention_mask", "token_type_ids"))
TOKENS = BERT[:1]
LOGITS = (Port("logits", "float32", ("N", "T", 9)),)


def everything(
    path: Path, inputs: tuple[Port, ...], preprocess: str | None = None, **reading: object
) -> dict:
    data = open_data(path, inputs, preprocess, Reading(**reading))  # type: ignore[arg-type]
    return data.take(np.arange(len(data)))


def test_one_npy_file_is_the_only_input(tmp_path: Path) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "any.npy", x)
    np.testing.assert_array_equal(everything(tmp_path / "any.npy", ROW)["x"], x)
    with pytest.raises(DataError, match=r"folder of \.npy"):
        open_data(tmp_path / "any.npy", (*ROW, Port("y", "float32", ("N",))))


def test_a_folder_of_npy_files_equals_the_npz(tmp_path: Path) -> None:
    inputs = (*ROW, Port("mask", "bool", ("N", 2)))
    parts = {"x": np.ones((4, 3), np.float32), "mask": np.eye(4, 2) > 0, "labels": np.arange(4)}
    (tmp_path / "folder").mkdir()
    for name, array in parts.items():
        np.save(tmp_path / "folder" / f"{name}.npy", array)
    np.savez(tmp_path / "x.npz", **parts)
    folder, npz = open_data(tmp_path / "folder", inputs), open_data(tmp_path / "x.npz", inputs)
    assert folder.labels is not None and folder.labels.tolist() == [0, 1, 2, 3]
    for name, array in npz.take(np.arange(4)).items():
        np.testing.assert_array_equal(folder.take(np.arange(4))[name], array)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(any_array(np.float32, st.tuples(st.integers(1, 5), st.just(3)), elements=st.integers(-99, 99)))
def test_npy_npz_and_fortran_order_give_the_array(tmp_path: Path, x: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", np.asfortranarray(x))
    np.savez_compressed(tmp_path / "a.npz", x=x)
    np.testing.assert_array_equal(everything(tmp_path / "a.npy", ROW)["x"], x)
    np.testing.assert_array_equal(everything(tmp_path / "a.npz", ROW)["x"], x)


@pytest.mark.parametrize(
    ("kind", "array"),
    [
        ("bool", np.array([[True, False]])),
        ("bool", np.array([[1, 0]])),
        ("float16", np.array([[0.5, 1.0]], np.float32)),
        ("int32", np.array([[1, 2]], np.int64)),
        ("str", np.array([["a", "bc"]])),
    ],
)
def test_every_type_of_input_is_fed(tmp_path: Path, kind: str, array: np.ndarray) -> None:
    np.savez(tmp_path / "x.npz", x=array)
    fed = everything(tmp_path / "x.npz", (Port("x", kind, ("N", 2)),))["x"]
    assert fed.tolist() == array.tolist()
    assert fed.dtype == (np.dtype(object) if kind == "str" else np.dtype(kind))


def test_a_number_that_is_no_truth_value_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.array([[2, 0]]))
    with pytest.raises(DataError, match="bool"):
        open_data(tmp_path / "x.npz", (Port("x", "bool", ("N", 2)),))


# ---- tables


def test_columns_are_found_by_the_name_of_the_input_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("x_1,id,x_0,label,x_2\n2,a,1,7,3\n5,b,4,8,6\n")
    data = open_data(tmp_path / "x.csv", ROW)
    assert data.take(np.arange(2))["x"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert data.labels is not None and (data.labels.tolist(), data.labels.dtype.kind) == ([7, 8], "i")


def test_columns_of_numbers_fill_the_only_input(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("name,b,a,target,c\nq,1,2,0.5,3\n")
    data = open_data(tmp_path / "x.csv", ROW)
    assert data.take(np.arange(1))["x"].tolist() == [[1, 2, 3]]
    assert data.labels is not None and data.labels.tolist() == [0.5]


def test_columns_of_two_inputs_are_told_apart(tmp_path: Path) -> None:
    inputs = (Port("a", "float32", ("N", 2)), Port("k", "int64", ("N",)))
    (tmp_path / "x.csv").write_text("a_0,a_1,k\n1.5,2,3\n")
    fed = everything(tmp_path / "x.csv", inputs)
    assert (fed["a"].tolist(), fed["k"].tolist(), fed["k"].dtype) == ([[1.5, 2.0]], [3], np.int64)


def test_too_few_columns_say_how_many_there_must_be(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="2 columns for the input 'x', which takes 3"):
        open_data(tmp_path / "x.csv", ROW)


# ---- text


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A folder with a tokenizer of single words."""
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "the": 2, "cat": 3, "sat": 4}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_lines_become_tokens_with_masks_and_labels(words: Path) -> None:
    (words / "x.txt").write_text("the cat sat\t1\n\nthe dog\t-2\n")
    data = open_data(words / "x.txt", BERT)
    fed = data.take(np.arange(2))
    assert fed["input_ids"].tolist() == [[2, 3, 4], [2, 1, 0]]
    assert fed["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert not fed["token_type_ids"].any()
    assert data.labels is not None and data.labels.tolist() == [1, -2]


def test_without_labels_a_language_model_is_measured_on_the_next_token(words: Path) -> None:
    (words / "x.txt").write_text("the cat sat\nthe dog\n")
    data = open_data(words / "x.txt", TOKENS, None, Reading(outputs=LOGITS))
    assert data.labels is not None and data.labels.tolist() == [[3, 4, -100], [1, -100, -100]]
    assert data.notes
    assert open_data(words / "x.txt", TOKENS).labels is None
    assert open_data(words / "x.txt", BERT, None, Reading(outputs=LOGITS)).labels is None  # it looks ahead


@pytest.mark.parametrize(
    ("sizes", "width"), [({"T": 2}, 2), ({"T": 5}, 5), ({"input_ids[1]": 4}, 4), ({}, 3)]
)
def test_the_user_names_the_length(words: Path, sizes: dict[str, int], width: int) -> None:
    (words / "x.txt").write_text("the cat sat\nthe dog\n")
    fed = everything(words / "x.txt", TOKENS, sizes=sizes)
    assert fed["input_ids"].shape == (2, width)


def test_lines_with_and_without_labels_do_not_mix(words: Path) -> None:
    (words / "x.txt").write_text("the cat\t1\nthe dog\n")
    with pytest.raises(DataError, match="Line 2"):
        open_data(words / "x.txt", TOKENS)


def test_text_needs_a_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("the cat\n")
    with pytest.raises(DataError, match=r"tokenizer\.json"):
        open_data(tmp_path / "x.txt", TOKENS)


# ---- sound


def tone(path: Path, rate: int, seconds: float = 0.5, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.5 * np.sin(2 * np.pi * 100 * np.arange(int(rate * seconds)) / rate)
    soundfile.write(path, np.repeat(wave[:, None], channels, axis=1), rate, subtype="FLOAT")
    return path


@pytest.mark.parametrize("shape", [("N", 4000), ("N", 1, 4000)])
def test_clips_are_mono_of_one_rate_and_length(tmp_path: Path, shape: tuple[int | str, ...]) -> None:
    tone(tmp_path / "high" / "a.wav", 16000, channels=2)
    tone(tmp_path / "low" / "b.wav", 8000, seconds=0.25)
    data = open_data(tmp_path, (Port("x", "float32", shape),), None, Reading(rate=8000))
    x = data.take(np.arange(2))["x"]
    assert x.shape == (2, *shape[1:])
    assert data.labels is not None and data.labels.tolist() == [0, 1]
    flat, wanted = x.reshape(2, -1), 0.5 * np.sin(2 * np.pi * 100 * np.arange(4000) / 8000)
    np.testing.assert_allclose(flat[0, 200:-200], wanted[200:-200], atol=0.01)  # resampled
    np.testing.assert_allclose(flat[1, :2000], wanted[:2000], atol=1e-6)
    assert not flat[1, 2000:].any()


def test_a_free_length_is_that_of_the_longest_clip(tmp_path: Path) -> None:
    tone(tmp_path / "a.wav", 8000, 0.1)
    tone(tmp_path / "b.wav", 8000, 0.2)
    data = open_data(tmp_path, (Port("x", "float32", ("N", "samples")),))
    assert data.take(np.arange(2))["x"].shape == (2, 1600)
    assert "8000 Hz" in data.notes[0]


# ---- archives


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 255)), min_size=1, max_size=6), st.booleans()
)
def test_a_zip_equals_its_folder(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, int]], table: bool
) -> None:
    folder = tmp_path_factory.mktemp("zip") / "data"
    for number, (name, value) in enumerate(drawn):
        path = folder / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 7), (value, 0, number)).save(path)
    if table:
        rows = [f"{name}/{number}.png,{value}" for number, (name, value) in enumerate(drawn)]
        (folder / "labels.csv").write_text("\n".join(["file,label", *rows]))
    one, other = open_data(folder, IMAGE, "unit"), open_data(zipped(folder), IMAGE, "unit")
    everyone = np.arange(len(drawn))
    np.testing.assert_array_equal(one.take(everyone)["x"], other.take(everyone)["x"])
    np.testing.assert_array_equal(one.labels, other.labels)  # type: ignore[arg-type]
    assert one.key == other.key


def test_a_zip_of_one_folder_is_read_from_there(tmp_path: Path) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("set/cat/a.png", "set/dog/b.png", "__MACOSX/set/cat/._a.png", "set/.DS_Store"):
            archive.write(tmp_path / "a.png", name)
    data = open_data(tmp_path / "x.zip", IMAGE, "raw")
    assert data.labels is not None and data.labels.tolist() == [0, 1]


def test_sounds_in_a_zip_equal_those_in_a_folder(tmp_path: Path) -> None:
    tone(tmp_path / "data" / "a" / "1.wav", 8000)
    inputs = (Port("x", "float32", ("N", 100)),)
    np.testing.assert_array_equal(
        everything(tmp_path / "data", inputs)["x"], everything(zipped(tmp_path / "data"), inputs)["x"]
    )


# ---- preprocessing


def test_options_of_a_preset_turn_colours_and_stretch(tmp_path: Path) -> None:
    pixels = np.zeros((8, 12, 3), np.uint8)
    pixels[..., 0], pixels[:, 6:, 2] = 200, 100
    Image.fromarray(pixels).save(tmp_path / "a.png")
    plain, turned = (everything(tmp_path, IMAGE, p)["x"] for p in ("raw+stretch", "raw+stretch+bgr"))
    np.testing.assert_array_equal(turned, plain[..., ::-1])
    wanted = Image.fromarray(pixels).resize((6, 4), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(plain[0], np.asarray(wanted, np.float32))


def test_caffe_takes_blue_first(tmp_path: Path) -> None:
    Image.new("RGB", (6, 4), (255, 0, 10)).save(tmp_path / "a.png")
    x = everything(tmp_path, IMAGE, "caffe")["x"][0, 0, 0]
    np.testing.assert_allclose(x, [10 - 103.939, -116.779, 255 - 123.68], rtol=1e-5)


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(DataError, match="'gbr'"):
        get_preprocess("torchvision+gbr")


def test_the_layout_may_be_said_where_the_shape_is_read_both_ways(tmp_path: Path) -> None:
    Image.new("RGB", (3, 3), (1, 2, 3)).save(tmp_path / "a.png")
    inputs = (Port("x", "float32", ("N", 3, 3, 3)),)
    first, last = (everything(tmp_path, inputs, p)["x"][0] for p in ("raw", "raw+nhwc"))
    assert first[:, 0, 0].tolist() == last[0, 0].tolist() == [1, 2, 3]


# ---- sizes


def test_sizes_are_read_and_fill_free_dimensions() -> None:
    sizes = read_sizes("T=8, y[1]=3")
    ports = sized((Port("x", "int64", ("N", "T")), Port("y", "float32", ("N", None, 4))), sizes)
    assert [p.shape for p in ports] == [("N", 8), ("N", 3, 4)]


@pytest.mark.parametrize("text", ["T", "T=", "=3", "T=-1", "T=a"])
def test_sizes_that_make_no_sense_are_named(text: str) -> None:
    with pytest.raises(ArgumentError, match="makes no sense"):
        read_sizes(text)


def test_a_size_that_no_input_has_is_named() -> None:
    with pytest.raises(ArgumentError, match="'length'"):
        sized(TOKENS, {"length": 4})


def test_an_image_input_of_free_size_takes_the_users(tmp_path: Path) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    inputs = (Port("x", "float32", ("N", 3, "H", "W")),)
    assert everything(tmp_path, inputs, "raw", sizes={"H": 8, "W": 10})["x"].shape == (1, 3, 8, 10)
