"""A stranger's file is opened apart: whatever it does ends in one sentence; what was prepared is kept."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from quant_core.errors import ModelError, QuantscopeError
from quant_core.store import Store
from quant_core.study import Source, Study, open_guarded
from quant_core.study import preparation as module
from tests.bodies import endless
from tests.models import conv_chain


def saved(model: onnx.ModelProto, folder: Path) -> Source:
    path = folder / "net.onnx"
    onnx.save(model, path)
    return Source(str(path), None)


def test_a_model_that_never_ends_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not open after 8 seconds"):
        open_guarded(saved(endless(), tmp_path), seconds=8.0)


def test_what_is_wrong_with_the_file_is_said_as_before(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"nothing of a model")
    with pytest.raises(ModelError, match="not a readable ONNX file"):
        open_guarded(Source(str(tmp_path / "net.onnx"), None))
    with pytest.raises(QuantscopeError, match="no data file"):
        open_guarded(Source(saved(conv_chain(), tmp_path).model, str(tmp_path / "none.npz")))


def test_nothing_is_run_here_once_it_was_opened_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = saved(conv_chain(), tmp_path)
    expected = Study.open(source.model, store=Store(tmp_path / "other"))
    savings, opened = expected.savings, open_guarded(source)

    def never(*_: object) -> None:
        raise AssertionError("the file was run")

    monkeypatch.setattr(module, "prepare", never)
    monkeypatch.setattr(module, "find_savings", never)
    for study in (opened, open_guarded(source)):
        assert study.steps == expected.steps
        assert study.savings == savings
        assert study.graph.layers == expected.graph.layers


def test_a_path_means_what_it_means_to_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(conv_chain(), tmp_path)
    monkeypatch.chdir(tmp_path)
    assert open_guarded(Source("net.onnx", None)).graph.layers
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    with pytest.raises(ModelError, match=r"'net\.onnx'"):
        open_guarded(Source("net.onnx", None))


def test_a_damaged_preparation_is_made_anew(tmp_path: Path) -> None:
    source = saved(conv_chain(), tmp_path)
    layers = open_guarded(source).graph.layers
    for path in (Store().path.parent / "prepared").iterdir():
        path.write_bytes(b"{")
    assert source.open().graph.layers == layers


def test_a_changed_file_is_opened_anew(tmp_path: Path) -> None:
    source = saved(conv_chain(), tmp_path)
    open_guarded(source)
    (tmp_path / "net.onnx").write_bytes(b"something else, which is no model")
    with pytest.raises(ModelError, match="not a readable ONNX file"):
        open_guarded(source)
