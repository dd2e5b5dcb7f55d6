"""Opening a file that somebody else made."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from quant_core.errors import ModelError
from quant_core.graph import Graph, count_parameters, inputs_of, outputs_of, read_model
from tests.models import build, conv_chain, file_of, node, normal, port, tied_language_model


def test_bytes_and_hash_are_the_files(tmp_path: Path) -> None:
    file = file_of(conv_chain(), tmp_path)
    content = (tmp_path / "net.onnx").read_bytes()
    assert file.bytes == len(content)
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert file.name == "net"
    assert file_of(conv_chain(), tmp_path, "model.onnx").name == tmp_path.name


def test_ports_say_name_type_and_shape(tmp_path: Path) -> None:
    file = file_of(tied_language_model(), tmp_path)
    (ids,), (logits,) = inputs_of(file.model), outputs_of(file.model)
    assert (ids.name, ids.dtype, ids.shape, ids.batch) == ("ids", "int64", ("N", "T"), None)
    assert (logits.name, logits.dtype, logits.shape) == ("logits", "float32", ("N", "T", 12))
    assert inputs_of(file_of(conv_chain(batch=4), tmp_path).model)[0].batch == 4


def test_parameters_count_every_stored_float(tmp_path: Path) -> None:
    file = file_of(conv_chain(), tmp_path)
    assert count_parameters(file.model) == 216 + 8 + 72 + 64 + 40 + 5 + 3 * 4 * 8


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p.mkdir(), "is a folder"),
        (lambda p: None, "there is no model file"),
        (lambda p: p.write_bytes(b"not a protobuf at all \xff\xff"), "not a readable ONNX file"),
        (lambda p: p.write_bytes(b""), "net.onnx"),
        (lambda p: p.write_bytes(conv_chain().SerializeToString()[:-300]), "net.onnx"),
        (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200)), "not a readable ONNX file"),
    ],
    ids=["folder", "missing", "text", "empty", "cut off", "picture"],
)
def test_what_is_not_a_model_is_one_plain_sentence(tmp_path: Path, make, said: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "net.onnx"
    make(path)
    with pytest.raises(ModelError) as error:
        read_model(path)
    assert said.lower() in str(error.value).lower()
    assert "\n" not in str(error.value)


def outside(tensor: onnx.TensorProto, location: str) -> onnx.TensorProto:
    """`tensor` with its bytes in another file."""
    size = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(size))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def with_external_data(location: str) -> onnx.ModelProto:
    model = build(
        [node("MatMul", ["x", "w"], ["y"], name="product")],
        [port("x", "N", 4)],
        [port("y", "N", 5)],
        {"w": normal(1, 4, 5)},
    )
    outside(model.graph.initializer[0], location)
    return model


def test_external_data_beside_the_model_is_read_and_counted(tmp_path: Path) -> None:
    data = normal(1, 4, 5).tobytes()
    (tmp_path / "net.data").write_bytes(data)
    file = file_of(with_external_data("net.data"), tmp_path)
    content = (tmp_path / "net.onnx").read_bytes()
    assert file.bytes == len(content) + len(data)
    assert file.sha256 == hashlib.sha256(content + data).hexdigest()
    graph = Graph(file, file.model)
    np.testing.assert_array_equal(graph.weights(graph.layer("product")), normal(1, 4, 5))


def test_missing_external_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'net\.data', which is missing"):
        file_of(with_external_data("net.data"), tmp_path)


@pytest.mark.parametrize("how", ["parent", "absolute", "link"])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, how: str) -> None:
    secret = tmp_path / "secret.data"
    secret.write_bytes(normal(1, 4, 5).tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    location = {"parent": "../secret.data", "absolute": str(secret), "link": "link.data"}[how]
    if how == "link":
        (folder / "link.data").symlink_to(secret)
    with pytest.raises(ModelError, match="outside its folder"):
        file_of(with_external_data(location), folder)


@pytest.mark.parametrize("place", ["body", "constant"])
def test_external_data_outside_the_folder_is_refused_wherever_it_hides(tmp_path: Path, place: str) -> None:
    """In the body of an If, or in the attribute of a Constant node."""
    (tmp_path / "secret.data").write_bytes(normal(1, 4, 5).tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    tensor = outside(onnx.numpy_helper.from_array(normal(1, 4, 5), "w"), "../secret.data")
    product = node("MatMul", ["x", "w"], ["t"], name="product")
    if place == "constant":
        constant = node("Constant", [], ["w"], name="constant", value=tensor)
        model = build([constant, product], [port("x", "N", 4)], [port("t", "N", 5)], {})
    else:
        body = helper.make_graph([product], "body", [], [port("t", "N", 5)], [tensor])
        choice = node("If", ["flag"], ["y"], name="choice", then_branch=body, else_branch=body)
        inputs = [port("x", "N", 4), port("flag", kind=TensorProto.BOOL)]
        model = build([choice], inputs, [port("y", "N", 5)], {})
    with pytest.raises(ModelError, match="outside its folder"):
        file_of(model, folder)
