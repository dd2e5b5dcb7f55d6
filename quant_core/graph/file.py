"""Open an ONNX file: its bytes, its hash and its graph. The file is never changed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir

from quant_core.errors import ModelError

_BLOCK = 1 << 20
logging.getLogger("onnx_ir").setLevel(logging.ERROR)


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model as the user gave it.

    `bytes` counts the file and its external data; `sha256` is the hash of the same bytes, in that order.
    """

    path: Path
    name: str
    sha256: str
    bytes: int
    model: ir.Model


def read_model(path: str | Path, name: str = "") -> ModelFile:
    """Read the ONNX file at `path`. ModelError if it is missing, is not ONNX, or lacks its external data."""
    path = Path(path)
    if path.is_dir():
        raise ModelError(f"'{path.name}' is a folder", "give the path of an .onnx file")
    if not path.is_file():
        raise ModelError(f"there is no model file '{path}'", "check the path")
    try:
        model = ir.load(path)
        model.graph.sort()  # old exporters wrote nodes out of order, and runtimes let them
    except Exception as error:  # protobuf, onnx-ir and the file system each raise their own kinds
        raise _unreadable(path) from error
    if model.graph is None or not len(model.graph.outputs):
        raise ModelError(f"'{path.name}' holds no graph with outputs", "give a model saved as .onnx")
    files = [path, *_external_files(model, path)]
    return ModelFile(
        path, name or _display_name(path), _hash(files), sum(f.stat().st_size for f in files), model
    )


def _unreadable(path: Path) -> ModelError:
    """Why the file cannot be opened: it is no ONNX, or ONNX with a graph that this version does not read."""
    try:
        nodes = len(onnx.load(path, load_external_data=False).graph.node)
    except Exception:  # whatever protobuf or the file system says, it is not a model
        nodes = 0
    if nodes:
        what = f"'{path.name}' is ONNX, but its graph holds types or names that this version does not read"
        return ModelError(
            what, "check it with onnx.checker, and leave out outputs that are sequences or maps"
        )
    return ModelError(f"'{path.name}' is not a readable ONNX file", "give a model saved as .onnx")


def _display_name(path: Path) -> str:
    return path.parent.name if path.stem == "model" and path.parent.name else path.stem


def _external_files(model: ir.Model, path: Path) -> list[Path]:
    """The external data files, in order of first use; each must lie below the model's folder."""
    folder = path.resolve().parent
    found: dict[Path, None] = {}
    for tensor in _external_tensors(model.graph):
        location = str(tensor.location)
        file = (folder / location).resolve()
        if not file.is_relative_to(folder):
            raise ModelError(
                f"'{path.name}' points to data outside its folder ('{location}')",
                "move the data beside the model",
            )
        if not file.is_file():
            raise ModelError(
                f"'{path.name}' needs the data file '{location}', which is missing", "put it beside the model"
            )
        found[file] = None
    return list(found)


def _external_tensors(graph: ir.Graph) -> Iterator[ir.ExternalTensor]:
    """Every tensor kept in another file: initializers and attributes, in the bodies of nodes too."""
    for value in graph.initializers.values():
        if isinstance(value.const_value, ir.ExternalTensor):
            yield value.const_value
    for node in graph:
        for attribute in node.attributes.values():
            held = attribute.value if isinstance(attribute.value, (list, tuple)) else [attribute.value]
            for item in held:
                if isinstance(item, ir.ExternalTensor):
                    yield item
                elif isinstance(item, ir.Graph):
                    yield from _external_tensors(item)


def _hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
