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
from quant_core.graph.checks import check_proto
from quant_core.graph.repair import repair
from quant_core.graph.walks import shown

_BLOCK = 1 << 20
LARGE = 1 << 30  # bytes
_LISTED = 8
logging.getLogger("onnx_ir").setLevel(logging.ERROR)


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model as the user gave it.

    `bytes` counts the file and its external data; `sha256` is the hash of the same bytes, in that order.
    `repairs` says what was changed in `model` so that it could be opened, a sentence each."""

    path: Path
    name: str
    sha256: str
    bytes: int
    model: ir.Model
    repairs: tuple[str, ...] = ()

    @property
    def is_large(self) -> bool:
        """Whether it is so large that the model is never run or held as a whole: its weights are looked at
        and quantized layer by layer.
        """
        return self.bytes > LARGE


def runnable(file: ModelFile) -> Path | bytes:
    """What ONNX Runtime is given to run the model: the file itself, unless it had to be repaired."""
    if not file.repairs:
        return file.path
    return bytes(ir.to_proto(ir.external_data.load_to_model(file.model.clone())).SerializeToString())


def read_model(path: str | Path, name: str = "") -> ModelFile:
    """Read the ONNX file at `path`, or the one in that folder. ModelError if it is missing, is not ONNX, or
    lacks its external data.
    """
    path = _in_folder(Path(path))
    if not path.is_file():
        raise ModelError(f"there is no model file '{path}'", "check the path")
    proto, repairs = _parse(path)
    model = _build(proto, path)
    files = [path, *_external_files(model, path)]
    return ModelFile(
        path, name or _display_name(path), _hash(files), sum(f.stat().st_size for f in files), model, repairs
    )


def _in_folder(path: Path) -> Path:
    """The one model of a folder; `path` itself where it is none. ModelError where a folder holds no model or
    several.
    """
    if not path.is_dir():
        return path
    found = sorted(p for p in path.iterdir() if p.suffix.lower() == ".onnx" and p.is_file())
    if len(found) == 1:
        return found[0]
    if not found:
        raise ModelError(f"'{path.name}' is a folder without an .onnx file", "give the path of an .onnx file")
    listed = ", ".join(p.name for p in found[:_LISTED]) + (" and more" if len(found) > _LISTED else "")
    raise ModelError(f"the folder '{path.name}' holds {len(found)} models", f"name one of them: {listed}")


def _parse(path: Path) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """What the file holds, repaired and checked."""
    try:
        proto = onnx.load(path, format="protobuf", load_external_data=False)
    except Exception as error:  # protobuf and the file system each raise their own kinds
        raise _unreadable(path) from error
    if not len(proto.graph.node) and not len(proto.graph.output):
        raise _unreadable(path)
    repairs = repair(proto, path.name)
    if not len(proto.graph.output):
        raise ModelError(
            f"'{path.name}' gives no plain tensors", "give a model whose outputs are not sequences or maps"
        )
    check_proto(proto, path.name)
    return proto, repairs


def _build(proto: onnx.ModelProto, path: Path) -> ir.Model:
    """The graph of `proto`, its nodes in an order of execution."""
    try:
        model = ir.from_proto(proto)
        ir.external_data.set_base_dir(model.graph, path.parent)
    except Exception as error:  # onnx-ir raises its own kinds
        raise ModelError(
            f"'{path.name}' is ONNX, but its graph holds types or names that this version does not read",
            "check it with onnx.checker",
        ) from error
    try:
        model.graph.sort()  # old exporters wrote nodes out of order, and runtimes let them
    except ValueError as error:
        raise ModelError(f"the nodes of '{path.name}' form a cycle", "export the model again") from error
    return model


def _unreadable(path: Path) -> ModelError:
    return ModelError(f"'{path.name}' is not a readable ONNX file", "give a model saved as .onnx")


def _display_name(path: Path) -> str:
    return path.parent.name if path.stem == "model" and path.parent.name else path.stem


def _external_files(model: ir.Model, path: Path) -> list[Path]:
    """The external data files, in order of first use; each must lie below the model's folder."""
    folder = path.resolve().parent
    found: dict[Path, None] = {}
    for tensor in _external_tensors(model.graph):
        location = str(tensor.location)
        try:
            file = (folder / location).resolve()
            there = (folder / location).is_file()  # not of a way through folders that do not exist
        except (OSError, ValueError, RuntimeError) as error:  # a name no file system takes, links in a ring
            raise ModelError(
                f"'{path.name}' points to data that cannot be found ('{shown(location)}')",
                "put the data beside the model",
            ) from error
        if not file.is_relative_to(folder):
            raise ModelError(
                f"'{path.name}' points to data outside its folder ('{shown(location)}')",
                "move the data beside the model",
            )
        if not there:
            raise ModelError(
                f"'{path.name}' needs the data file '{shown(location)}', which is missing",
                "put it beside the model",
            )
        begin, length = tensor.offset or 0, int(tensor.nbytes) if tensor.length is None else tensor.length
        if begin < 0 or length != tensor.nbytes or begin + length > file.stat().st_size:
            what = f"the tensor '{shown(tensor.name or '')}' in '{path.name}'"
            raise ModelError(
                f"{what} does not have the bytes that it declares in '{shown(location)}'",
                "export the model again",
            )
        found[file] = None
    return list(found)


def _external_tensors(graph: ir.Graph) -> Iterator[ir.ExternalTensor]:
    """Every tensor kept in another file: initializers and attributes, in the bodies of nodes too."""
    graphs = [graph]
    while graphs:
        current = graphs.pop()
        for value in current.initializers.values():
            if isinstance(value.const_value, ir.ExternalTensor):
                yield value.const_value
        for node in current:
            for attribute in node.attributes.values():
                held = attribute.value if isinstance(attribute.value, (list, tuple)) else [attribute.value]
                for item in held:
                    if isinstance(item, ir.ExternalTensor):
                        yield item
                    elif isinstance(item, ir.Graph):
                        graphs.append(item)


def _hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
