"""Bad input: one plain sentence that names the thing, and exit code 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bodies import endless
from tests.models import conv_chain

CNN = "sample:digits-cnn"
Command = Callable[..., Any]


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A folder with files that do not fit."""
    (tmp_path / "text.onnx").write_bytes(b"this is no model \xff")
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "endless.onnx").write_bytes(endless().SerializeToString())
    (tmp_path / "other.onnx").write_bytes(conv_chain().SerializeToString())
    np.savez(tmp_path / "names.npz", images=np.zeros((4, 1, 8, 8), np.float32))
    np.savez(tmp_path / "shape.npz", input=np.zeros((4, 8, 8, 1), np.float32))
    np.savez(tmp_path / "empty.npz", input=np.zeros((0, 1, 8, 8), np.float32))
    np.savez(tmp_path / "x.npz", x=np.zeros((64, 64), np.float32))
    (tmp_path / "text.npz").write_text("no archive")
    for name, layers in (
        ("layer", {"conv_9": {"weights": {"format": "int8"}}}),
        ("format", {"conv1": {"weights": {"format": "int9"}}}),
        ("rule", {"conv1": {"activations": {"format": "fp16"}}}),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps({"quantscope": 1, "layers": layers}))
    foreign = {"quantscope": 1, "model": {"sha256": "0" * 64, "name": "resnet20"}, "layers": {}}
    (tmp_path / "foreign.json").write_text(json.dumps(foreign))
    (tmp_path / "text.json").write_text("{")
    return tmp_path


INT8 = ("--preset", "int8")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("inspect", "text.onnx"), "text.onnx"),
        (("inspect", "folder.onnx"), "folder.onnx"),
        (("inspect", "nowhere.onnx"), "nowhere.onnx"),
        (("inspect", "sample:nothing"), "nothing"),
        (("inspect", CNN, "--patience", "0"), "'0'"),
        (("inspect", "endless.onnx", "--patience", "8"), "'endless.onnx' was not open after 8 seconds"),
        pytest.param(
            ("compare", "endless.onnx", "endless.onnx", "--data", "x.npz", "--patience", "8"),
            "'endless.onnx' was not open",
            marks=pytest.mark.slow,
        ),
        (("evaluate", "nowhere.onnx", "--data", CNN, *INT8), "nowhere.onnx"),
        (("evaluate", CNN, "--data", "nowhere.npz", *INT8), "nowhere.npz"),
        (("evaluate", CNN, "--data", "names.npz", *INT8), "'input'"),
        (("evaluate", CNN, "--data", "shape.npz", *INT8), "[4, 8, 8, 1]"),
        (("evaluate", CNN, "--data", "empty.npz", *INT8), "empty.npz"),
        (("evaluate", CNN, "--data", "text.npz", *INT8), "text.npz"),
        (("evaluate", "other.onnx", "--data", CNN, *INT8), "'x'"),
        (("evaluate", "other.onnx", *INT8), "--data"),
        (("evaluate", CNN, "--preset", "int7"), "'int7'"),
        (("evaluate", CNN, "--plan", "nowhere.json"), "nowhere.json"),
        (("evaluate", CNN, "--plan", "text.json"), "text.json"),
        (("evaluate", CNN, "--plan", "layer.json"), "'conv_9'"),
        (("evaluate", CNN, "--plan", "format.json"), "'int9'"),
        (("evaluate", CNN, "--plan", "rule.json"), "'conv1'"),
        (("evaluate", CNN, "--plan", "foreign.json"), "resnet20"),
        (("evaluate", CNN, "--calibration", "none", *INT8), "calibration"),
        (("evaluate", CNN, "--calibration", "0", *INT8), "'0'"),
        (("evaluate", CNN, "--calibration", "600", *INT8), "600"),
        (("evaluate", CNN, "--samples", "0", *INT8), "0"),
        (("evaluate", CNN, "--samples", "many", *INT8), "many"),
        (("evaluate", CNN, "--execution", "fast", *INT8), "fast"),
        (("evaluate", CNN), "--preset"),
        (("evaluate", CNN, "--plan", "layer.json", *INT8), "--p"),
        (("sweep", CNN, "--formats", "int8,int9"), "'int9'"),
        (("sweep", CNN, "--formats", "fp32"), "fp32"),
        (("sweep", CNN, "--formats", ""), "format"),
        (("sweep", CNN, "--quantized", "biases"), "'biases'"),
        (("search", CNN, "--max-bytes", "1%", "--out", "p.json"), "at most 1095 bytes"),
        (("search", CNN, "--max-bytes", "lots", "--out", "p.json"), "'lots'"),
        (("search", CNN, "--max-bytes", "-5", "--out", "p.json"), "-5"),
        (("search", CNN, "--max-bytes", "nan", "--out", "p.json"), "nan"),
        (("search", CNN, "--max-drop", "-1", "--out", "p.json"), "-1"),
        (("search", CNN, "--out", "p.json"), "--max-bytes"),
        (("search", CNN, "--max-bytes", "25%"), "--out"),
        (("export", CNN, *INT8, "--out", "no/such/folder/q.onnx"), "no/such/folder"),
        (("export", CNN, *INT8, "--out", "folder.onnx"), "folder.onnx"),
        (("compare", CNN, "other.onnx", "--data", CNN), "inputs"),
        (("compare", CNN, CNN), "--data"),
        (("quantize", CNN), "quantize"),
        ((), "COMMAND"),
    ],
    ids=lambda a: " ".join(a)[:60] if isinstance(a, tuple) else None,
)
def test_bad_input_is_one_plain_sentence_and_exit_code_2(
    cli: Command, bad: Path, arguments: tuple[str, ...], named: str
) -> None:
    done = cli(*arguments)
    assert done.code == 2
    assert done.out == ""
    lines = done.err.strip().splitlines()
    assert [line for line in lines if " left" not in line] == lines[-1:]
    assert named in lines[-1]
    assert "Traceback" not in done.err
    assert lines[-1].endswith((".", "help."))


def test_a_plan_for_another_model_is_named(cli: Command) -> None:
    cli("search", CNN, "--max-bytes", "25%", "--out", "plan.json")
    done = cli("evaluate", "sample:digits-mobile", "--plan", "plan.json")
    assert done.code == 2
    assert "digits-cnn" in done.err
