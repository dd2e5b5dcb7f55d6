"""Dropped files are kept under their content, and their names stay inside their folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quant_core.study import keep_upload


def test_a_file_is_kept_as_it_is_and_once(home: Path) -> None:
    first = keep_upload("model.onnx", b"content")
    assert first.read_bytes() == b"content"
    assert keep_upload("model.onnx", b"content") == first
    assert keep_upload("model.onnx", b"other") != first
    assert first.name == "model.onnx"
    assert len(list((home / "files").iterdir())) == 2


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..\\..\\evil.onnx", "/abs.onnx", ".bashrc", "", "a" * 500 + ".onnx", "\x00.npz"],
)
def test_a_hostile_name_stays_in_its_folder(home: Path, name: str) -> None:
    path = keep_upload(name, b"x")
    assert path.parent.parent.parent == home / "files"
    assert len(path.name) <= 100
    assert not path.name.startswith(".")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(name=st.text(max_size=60))
def test_any_name_is_a_plain_one(home: Path, name: str) -> None:
    path = keep_upload(name, b"y")
    assert path.is_file()
    assert path.resolve().is_relative_to((home / "files").resolve())
    assert all(c.isascii() and (c.isalnum() or c in "._-") for c in path.name)
