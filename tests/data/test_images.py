"""Folders of images, and preprocessing against numbers worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quant_core.data import PRESETS, Preprocess, get_preprocess, open_data
from quant_core.errors import DataError
from quant_core.graph import Port

FIRST = (Port("x", "float32", ("N", 3, 4, 6)),)
LAST = (Port("x", "float32", ("N", 4, 6, 3)),)
GREY = (Port("x", "float32", ("N", 1, 4, 6)),)


def picture(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (6, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def one(folder: Path, inputs: tuple[Port, ...], preprocess: str) -> np.ndarray:
    return open_data(folder, inputs, preprocess).take(np.array([0]))["x"][0]


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("raw", [255.0, 0.0, 51.0]),
        ("unit", [1.0, 0.0, 0.2]),
        ("tensorflow", [1.0, -1.0, -0.6]),
        ("torchvision", [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]),
    ],
)
def test_each_preset_gives_the_numbers_of_its_definition(
    tmp_path: Path, preset: str, expected: list[float]
) -> None:
    picture(tmp_path / "a.png", (255, 0, 51))
    x = one(tmp_path, FIRST, preset)
    assert x.shape == (3, 4, 6)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x[:, 2, 3], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one(tmp_path, LAST, preset)[2, 3], expected, rtol=1e-5, atol=1e-6)


def test_a_grey_input_takes_one_channel(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (100, 100, 100))
    x = one(tmp_path, GREY, "raw")
    assert x.shape == (1, 4, 6)
    np.testing.assert_array_equal(x, 100.0)


def test_an_image_of_the_inputs_size_is_used_as_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(one(tmp_path, LAST, "raw"), pixels.astype(np.float32))


def test_another_size_is_resized_and_its_centre_cropped(tmp_path: Path) -> None:
    """A square input of 14: the short side becomes 16, one pixel goes from each edge."""
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:, 24:] = 200  # the right half
    Image.fromarray(pixels).save(tmp_path / "a.png")
    x = one(tmp_path, (Port("x", "float32", ("N", 14, 14, 3)),), "raw")
    expected = Image.fromarray(pixels).resize((24, 16), Image.Resampling.BILINEAR).crop((5, 1, 19, 15))
    np.testing.assert_array_equal(x, np.asarray(expected, np.float32))


def test_sub_folders_are_classes_in_sorted_order(tmp_path: Path) -> None:
    for name, value in (("zebra", 3), ("ant", 1), ("bee", 2)):
        for i in range(2):
            picture(tmp_path / name / f"{i}.png", (value, value, value))
    data = open_data(tmp_path, LAST, "raw")
    assert data.labels is not None
    values = data.take(np.arange(6))["x"][:, 0, 0, 0]
    np.testing.assert_array_equal(values - 1, data.labels)


def test_an_empty_sub_folder_is_no_class(tmp_path: Path) -> None:
    (tmp_path / "a_empty").mkdir()
    picture(tmp_path / "b" / "1.png", (1, 1, 1))
    data = open_data(tmp_path, LAST, "raw")
    assert data.labels is not None and data.labels.tolist() == [0]


def test_images_without_folders_have_no_labels(tmp_path: Path) -> None:
    picture(tmp_path / "b.png", (2, 0, 0))
    picture(tmp_path / "a.jpg", (1, 0, 0))
    (tmp_path / "notes.txt").write_text("not an image")
    data = open_data(tmp_path, LAST, "raw")
    assert (len(data), data.labels) == (2, None)


def labelled(folder: Path, text: str) -> Path:
    picture(folder / "a.png", (1, 1, 1))
    picture(folder / "b.png", (2, 2, 2))
    (folder / "labels.csv").write_text(text)
    return folder


def test_labels_csv_says_files_and_classes(tmp_path: Path) -> None:
    data = open_data(labelled(tmp_path, "file,label\nb.png,7\na.png,0\n"), LAST, "raw")
    assert data.labels is not None and data.labels.tolist() == [7, 0]
    assert data.take(np.arange(2))["x"][:, 0, 0, 0].tolist() == [2.0, 1.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,label\n../secret.png,1\n", "../secret.png"),
        ("file,label\n/etc/passwd,1\n", "/etc/passwd"),
        ("file,label\nmissing.png,1\n", "missing.png"),
        ("file,label\na.png,cat\n", "labels.csv"),
        ("name,class\na.png,1\n", "labels.csv"),
        ("file,label\n", "names no file"),
        ("", "labels.csv"),
        ("file,label\na.png\n", "labels.csv"),
    ],
)
def test_a_labels_csv_that_does_not_fit_says_so(tmp_path: Path, text: str, said: str) -> None:
    picture(tmp_path / "secret.png", (9, 9, 9))
    with pytest.raises(DataError) as error:
        open_data(labelled(tmp_path / "data", text), LAST, "raw")
    assert said.lower() in str(error.value).lower()
    assert "\n" not in str(error.value)


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG not really")
    data = open_data(tmp_path, LAST, "raw")
    with pytest.raises(DataError, match=r"'broken\.png'"):
        data.take(np.array([0]))


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        open_data(tmp_path, LAST, "raw")


def test_a_folder_needs_preprocessing(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (1, 1, 1))
    with pytest.raises(DataError, match="torchvision"):
        open_data(tmp_path, LAST)


@pytest.mark.parametrize(
    "inputs",
    [
        (Port("x", "float32", ("N", 10)),),
        (Port("x", "float32", ("N", 3, "H", "W")),),
        (Port("x", "float32", ("N", 7, 4, 6)),),
        (*FIRST, Port("y", "float32", ("N", 1))),
    ],
    ids=["flat", "free size", "seven channels", "two inputs"],
)
def test_a_model_without_an_image_input_says_so(tmp_path: Path, inputs: tuple[Port, ...]) -> None:
    picture(tmp_path / "a.png", (1, 1, 1))
    with pytest.raises(DataError, match="npz"):
        open_data(tmp_path, inputs, "raw")


def test_images_are_decoded_again_where_the_cache_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(5):
        picture(tmp_path / f"{i}.png", (i, i, i))
    monkeypatch.setattr("quant_core.data.decoded.CACHE_BYTES", 2 * 4 * 6 * 3 * 4)
    data = open_data(tmp_path, LAST, "raw")
    for _ in range(2):
        assert data.take(np.arange(5))["x"][:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert data._kept_bytes <= 2 * 4 * 6 * 3 * 4  # type: ignore[attr-defined]


def test_the_key_follows_content_labels_and_preprocessing(tmp_path: Path) -> None:
    folder = labelled(tmp_path, "file,label\na.png,0\nb.png,1\n")
    keys = [open_data(folder, LAST, "raw").key, open_data(folder, LAST, "unit").key]
    labelled(tmp_path, "file,label\na.png,1\nb.png,1\n")
    keys.append(open_data(folder, LAST, "raw").key)
    picture(folder / "b.png", (3, 3, 3))
    keys.append(open_data(folder, LAST, "raw").key)
    assert len(set(keys)) == 4


def test_a_json_file_may_say_the_preprocessing(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"scale": 0.5, "mean": [1, 2, 3], "std": 4}))
    picture(tmp_path / "images" / "a.png", (10, 20, 30))
    np.testing.assert_allclose(one(tmp_path / "images", LAST, str(path))[0, 0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[1]",
        '{"scale": "a"}',
        '{"std": 0}',
        '{"mean": [NaN]}',
        '{"scales": 1}',
        '{"scale": null}',
    ],
)
def test_a_preprocessing_file_that_makes_no_sense_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"'mine\.json'"):
        get_preprocess(str(path))


def test_a_mean_for_another_number_of_channels_is_one_plain_sentence(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"mean": [1, 2]}')
    picture(tmp_path / "images" / "a.png", (10, 20, 30))
    with pytest.raises(DataError, match="channel"):
        one(tmp_path / "images", LAST, str(path))


def test_a_preset_of_three_channels_does_not_make_three_of_one(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (10, 20, 30))
    with pytest.raises(DataError, match="channel"):
        one(tmp_path, GREY, "torchvision")


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match=", ".join(PRESETS)):
        get_preprocess("imagenet")


def test_preprocessing_is_scale_then_mean_then_deviation() -> None:
    pixels = np.array([[[10, 20, 30]]], np.uint8)
    given = Preprocess("mine", 2.0, (5.0,), (0.5,))
    assert given.apply(pixels).tolist() == [[[30.0, 70.0, 110.0]]]
