"""The kinds of data, tasks and marks on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers import models as tokenizer_models

from quant_core.data import get_sample
from tests.models import build, node, normal, port, run

CNN = "sample:digits-cnn"
Command = Callable[..., Any]


def saved(path: Path, *given: Any) -> Path:
    path.write_bytes(build(*given).SerializeToString())
    return path


@pytest.fixture
def autoencoder(tmp_path: Path) -> Path:
    """x [N, 6] to y [N, 6], by a bottleneck of 2."""
    nodes = [node("MatMul", ["x", "a"], ["h"], name="down"), node("MatMul", ["h", "b"], ["y"], name="up")]
    weights = {"a": normal(1, 6, 2), "b": normal(2, 2, 6)}
    return saved(tmp_path / "a.onnx", nodes, [port("x", "N", 6)], [port("y", "N", 6)], weights)


def test_the_same_samples_as_npz_npy_and_csv_give_the_same_numbers(
    cli: Command, tmp_path: Path, autoencoder: Path
) -> None:
    x, labels = normal(3, 40, 6), np.arange(40) % 2
    np.savez(tmp_path / "d.npz", x=x, labels=labels)
    (tmp_path / "d").mkdir()
    np.save(tmp_path / "d" / "x.npy", x)
    np.save(tmp_path / "d" / "labels.npy", labels)
    rows = [",".join([*(repr(float(v)) for v in row), str(k)]) for row, k in zip(x, labels, strict=True)]
    (tmp_path / "d.csv").write_text("\n".join([",".join([*(f"x_{i}" for i in range(6)), "label"]), *rows]))
    given = ("evaluate", autoencoder, "--preset", "int8", "--json", "--data")
    found = [cli(*given, tmp_path / name).json for name in ("d.npz", "d", "d.csv")]
    assert found[0] == found[1] == found[2]
    assert found[0]["metric_name"] == "ROC AUC"
    score = np.square(run(autoencoder.read_bytes(), {"x": x})[0] - x).mean(axis=1)
    assert 0.3 < roc_auc_score(labels, score) < 0.7  # noise; the figure below is of 32 of the 40
    assert 0 < found[0]["metric_fp32"] < 1


def test_a_sweep_of_an_autoencoder_measures_its_reconstruction(
    cli: Command, tmp_path: Path, autoencoder: Path
) -> None:
    np.savez(tmp_path / "d.npz", x=normal(3, 40, 6), labels=np.arange(40) % 2)
    record = cli("sweep", autoencoder, "--data", tmp_path / "d.npz", "--formats", "int8", "--json").json
    assert record["baseline"]["metric_name"] == "ROC AUC"
    assert all(abs(c["metric"] - record["baseline"]["metric"]) < 0.2 for c in record["cells"])


def test_text_goes_through_the_tokenizer(cli: Command, tmp_path: Path) -> None:
    tokenizer = Tokenizer(tokenizer_models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "words.json"))
    (tmp_path / "t.txt").write_text("a b a b\n" * 9)
    nodes = [node("Gather", ["table", "ids"], ["e"], name="t"), node("MatMul", ["e", "w"], ["y"], name="h")]
    weights = {
        "table": np.eye(3, 4, dtype=np.float32),
        "w": np.float32([[0, 0, 0], [0, 0, 9], [0, 9, 0], [0, 0, 0]]),
    }
    inputs = [port("ids", "N", "T", kind=7)]
    model = saved(tmp_path / "m.onnx", nodes, inputs, [port("y", "N", "T", 3)], weights)
    given = ("evaluate", model, "--data", tmp_path / "t.txt", "--preset", "int8-weights")
    done = cli(*given, "--tokenizer", tmp_path / "words.json", "--json")
    assert (done.json["metric_name"], done.json["metric_fp32"]) == ("token accuracy", 1.0)
    assert 1.0 < done.json["more"]["perplexity"]["metric_fp32"] < 1.01
    assert "next tokens" in done.err
    missing = cli(*given)
    assert missing.code == 2 and "tokenizer" in missing.err


def test_generated_calibration_is_said_and_marked(cli: Command) -> None:
    done = cli(
        "evaluate", CNN, "--calibration", "generated:16", "--samples", "40", "--preset", "int8", "--json"
    )
    assert done.json["generated_calibration"] is True
    assert done.json["calibration_samples"] == 16
    assert "generated inputs" in done.err
    plain = cli("evaluate", CNN, "--samples", "40", "--preset", "int8", "--json")
    assert "generated_calibration" not in plain.json


def test_int8_is_exported_without_data(cli: Command) -> None:
    model = get_sample("digits-cnn").model
    refused = cli("export", model, "--preset", "int8", "--out", "q.onnx")
    assert refused.code == 2 and "calibration" in refused.err
    done = cli("export", model, "--preset", "int8", "--calibration", "generated", "--out", "q.onnx", "--json")
    assert done.json["generated_calibration"] is True
    assert Path("q.onnx").stat().st_size == done.json["bytes"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--task", "magic"), "'magic'"),
        (("--outputs", "nothing"), "'nothing'"),
        (("--task", "detection"), "--outputs"),
        (("--size", "what=3"), "'what'"),
        (("--size", "what"), "makes no sense"),
        (("--rate", "fast"), "fast"),
    ],
)
def test_what_cannot_be_is_one_plain_sentence(cli: Command, options: tuple[str, ...], said: str) -> None:
    done = cli("evaluate", CNN, "--preset", "fp16", *options)
    assert (done.code, done.out) == (2, "")
    assert said in done.err and len(done.err.strip().splitlines()) == 1


@pytest.mark.slow
def test_check_data_gives_its_table_and_a_sentence(cli: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(24):
        pixels = rng.integers(0, 60, (4, 4, 3), np.uint8)
        pixels[..., 2 * (number % 2)] += 150
        path = tmp_path / "images" / ("a", "b")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    nodes = [
        node("GlobalAveragePool", ["x"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("MatMul", ["f", "w"], ["y"]),
    ]
    weights = {"w": np.float32([[9, -9], [0, 0], [-9, 9]])}
    model = saved(tmp_path / "m.onnx", nodes, [port("x", "N", 3, 4, 4)], [port("y", "N", 2)], weights)
    given = ("check-data", model, "--data", tmp_path / "images", "--preprocess")
    wrong = cli(*given, "unit+bgr", "--json").json
    assert set(wrong) == {"preprocess", "samples", "decided_by", "fits", "better", "warning"}
    assert all(set(f) == {"preprocess", "chosen", "metric", "confidence", "distance"} for f in wrong["fits"])
    assert (wrong["samples"], wrong["decided_by"]) == (24, "labels")
    assert wrong["warning"] is not None
    assert cli(*given, "unit", "--json").json["warning"] is None
    assert "No other preprocessing" in cli(*given, "unit").out
    assert cli(*given, "nonsense").code == 2


@pytest.mark.slow
def test_faces_are_found(cli: Command, models: Path) -> None:
    """The nine images with boxes; stretched, since a crop would cut faces off."""
    faces = models / "faces"
    given = (
        "evaluate",
        faces / "model.onnx",
        "--data",
        faces / "images",
        "--boxes",
        faces,
        "--preset",
        "fp16",
    )
    fixed = ("--calibration", "none", "--json")
    found = cli(*given, "--preprocess", "centred+stretch", *fixed).json
    assert (found["metric_name"], found["samples"]) == ("mAP@0.5", 9)
    assert found["metric_fp32"] > 0.95
    wrong = cli(*given, "--preprocess", "raw+stretch", *fixed).json
    assert wrong["metric_fp32"] < found["metric_fp32"] - 0.05
