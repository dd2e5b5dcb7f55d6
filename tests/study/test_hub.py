"""Models of the hub, against a small server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from quant_core.errors import ModelError
from quant_core.study import HubModel, fetch, kept_path, open_model
from tests.hub import COMMIT, REPO, Hub, serving_hub
from tests.models import conv_chain


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one model of which the weights are in a file beside it."""
    with serving_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def model(hub: Hub, tmp_path: Path) -> onnx.ModelProto:
    """What the hub has as onnx/model.onnx."""
    made = conv_chain()
    hub.put(made, tmp_path)
    return made


@pytest.mark.usefixtures("model")
def test_a_model_is_fetched_with_its_data_and_pinned(hub: Hub) -> None:
    pinned = fetch(f"hf:{REPO}")
    assert pinned == f"hf:{REPO}@{COMMIT}:onnx/model.onnx"
    assert {path.name for path in kept_path(pinned).parent.iterdir() if path.is_file()} == {
        "model.onnx",
        "weights.bin",
    }
    file = open_model(pinned)
    assert file.name == "small-net"
    assert file.bytes == sum(len(hub.files[f"onnx/{n}"]) for n in ("model.onnx", "weights.bin"))
    assert not any(path.endswith("README.md") for path in hub.asked)


@pytest.mark.usefixtures("model")
def test_what_is_here_is_not_asked_again(hub: Hub) -> None:
    pinned = fetch(f"hf:{REPO}@main")
    hub.asked.clear()
    assert fetch(pinned) == pinned
    assert open_model(pinned).bytes
    assert hub.asked == []


@pytest.mark.usefixtures("model")
def test_without_a_network_the_last_commit_is_taken(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = fetch(f"hf:{REPO}")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert fetch(f"hf:{REPO}") == pinned
    with pytest.raises(ModelError, match="does not answer"):
        fetch("hf:somebody/else")


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("hf:nobody/nothing", "has no model"),
        (f"hf:{REPO}@other", "has no model"),
        (f"hf:{REPO}:missing.onnx", "has no file 'missing.onnx'"),
        ("hf:no slash", "names no model"),
        (f"hf:{REPO}:../../etc/passwd", "names no model"),
        (f"hf:{REPO}:/etc/passwd", "names no model"),
    ],
)
def test_what_cannot_be_fetched_is_one_sentence(reference: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        fetch(reference)


def test_several_models_are_named(hub: Hub) -> None:
    hub.files = {"a.onnx": b"", "b.onnx": b""}
    with pytest.raises(ModelError, match=r"several ONNX files; name one, .* of a\.onnx, b\.onnx"):
        fetch(f"hf:{REPO}")


def test_a_gated_model_is_said_to_be_so(hub: Hub) -> None:
    hub.gated = True
    with pytest.raises(ModelError, match="not open to everybody"):
        fetch(f"hf:{REPO}")


def test_data_outside_the_folder_is_not_fetched(hub: Hub, model: onnx.ModelProto) -> None:
    proto = onnx.load_from_string(hub.files["onnx/model.onnx"])
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../../secret"
    hub.files["onnx/model.onnx"] = proto.SerializeToString()
    with pytest.raises(ModelError, match="outside its folder"):
        fetch(f"hf:{REPO}")


def test_a_reference_that_is_not_pinned_is_not_opened() -> None:
    assert not HubModel.parse(f"hf:{REPO}@main").pinned
    with pytest.raises(ModelError, match="is not on this machine"):
        open_model(f"hf:{REPO}")
