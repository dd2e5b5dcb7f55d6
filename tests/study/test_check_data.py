"""The check of preprocessing: it warns where another one is clearly better, and is silent otherwise."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quant_core.data import PRESETS
from quant_core.errors import DataError
from quant_core.study import check_preprocess
from tests.models import build, node, normal, port

COUNT = 60


def flattened(folder: Path, into: Path, every: int) -> Path:
    """Some of the images without their class folders."""
    into.mkdir()
    for number, file in enumerate(sorted(folder.rglob("*.jpg"))[::every]):
        shutil.copy(file, into / f"{number:04d}.jpg")
    return into


@pytest.mark.parametrize(
    ("name", "right", "wrong", "every"),
    [
        pytest.param(
            "resnet20", "torchvision", ["unit", "tensorflow", "raw", "caffe"], 20, marks=pytest.mark.slow
        ),
        pytest.param("mobilenet_v1", "tensorflow", ["torchvision", "unit", "raw"], 3, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "labelled", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["labels", "no labels"]
)
def test_wrong_preprocessing_is_warned_of_and_the_right_one_is_not(
    models: Path, tmp_path: Path, name: str, right: str, wrong: list[str], every: int, labelled: bool
) -> None:
    folder, model = models / name / "images", models / name / "model.onnx"
    data = folder if labelled else flattened(folder, tmp_path / "flat", every)
    found = check_preprocess(model, data, right)
    assert (found.better, found.warning) == (None, None)
    assert found.decided_by == ("labels and statistics" if labelled else "statistics")
    assert len({f.preprocess for f in found.fits}) == len(found.fits) >= 2 * (len(PRESETS) - 1)
    for one in wrong:
        said = check_preprocess(model, data, one)
        assert said.better is not None and said.better.startswith((right, "centred"))
        assert said.warning is not None and f"'{one}'" in said.warning


def model_of(path: Path, norm: bool) -> Path:
    """Tells red from blue images, by their mean colour in 0..1; with or without a BatchNormalization."""
    weights = {"w": np.array([[9.0, -9.0], [0.0, 0.0], [-9.0, 9.0]], np.float32)}
    nodes = [
        node("GlobalAveragePool", ["x"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "w"], ["y"]),
    ]
    if norm:
        ones = np.ones(3, np.float32)
        weights |= {"c": np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1), "one": ones}
        weights |= {
            "mean": np.array([0.5, 0.1, 0.5], np.float32),
            "var": np.array([0.1, 0.01, 0.1], np.float32),
        }
        weights["zero"] = 0 * ones
        chain = ["k", "one", "zero", "mean", "var"]
        nodes[0] = node("GlobalAveragePool", ["b"], ["p"])
        nodes = [node("Conv", ["x", "c"], ["k"]), node("BatchNormalization", chain, ["b"]), *nodes]
    path.write_bytes(
        build(nodes, [port("x", "N", 3, 4, 4)], [port("y", "N", 2)], weights).SerializeToString()
    )
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Red and blue images in class folders."""
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        pixels = rng.integers(0, 60, (4, 4, 3), np.uint8)
        pixels[..., 2 * (number % 2)] += rng.integers(60, 190, dtype=np.uint8)
        path = tmp_path / "images" / ("red", "the blue")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return tmp_path / "images"


@pytest.mark.parametrize("norm", [True, False])
def test_colours_in_the_wrong_order_are_seen_by_labels(tmp_path: Path, images: Path, norm: bool) -> None:
    model = model_of(tmp_path / "m.onnx", norm)
    assert check_preprocess(model, images, "unit").better is None
    found = check_preprocess(model, images, "unit+bgr")
    assert found.better is not None and not found.better.endswith("+bgr")
    assert found.warning is not None and "top-1 100.0 % against 0.0 %" in found.warning
    assert found.samples == COUNT


def test_without_labels_and_statistics_nothing_is_said(tmp_path: Path, images: Path) -> None:
    """Confidence alone would choose raw, which is surest and wrong."""
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, file in enumerate(images.rglob("*.png")):
        shutil.copy(file, flat / f"{number}.png")
    found = check_preprocess(model_of(tmp_path / "m.onnx", False), flat, "unit")
    assert (found.decided_by, found.better) == (None, None)
    sure = {f.preprocess: f.confidence for f in found.fits}
    assert sure["raw"] is not None and sure["unit"] is not None and sure["raw"] > sure["unit"]
    known = check_preprocess(model_of(tmp_path / "m.onnx", True), flat, "raw")
    assert known.decided_by == "statistics"
    assert known.better is not None and known.better.startswith("unit")


def test_one_preset_tried_on_a_zip_is_the_same(tmp_path: Path, images: Path) -> None:
    model = model_of(tmp_path / "m.onnx", True)
    packed = shutil.make_archive(str(images), "zip", images)
    assert check_preprocess(model, packed, "raw").fits == check_preprocess(model, images, "raw").fits


def test_what_holds_no_images_is_one_plain_sentence(tmp_path: Path) -> None:
    model = model_of(tmp_path / "m.onnx", False)
    np.savez(tmp_path / "x.npz", x=normal(1, 4, 3, 4, 4))
    with pytest.raises(DataError, match="holds no images"):
        check_preprocess(model, tmp_path / "x.npz", "unit")
