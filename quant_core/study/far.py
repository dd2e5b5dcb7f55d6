"""The sweep of a study on a cluster: what travels there, what is done there, and what comes home."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from quant_core.data import ArrayDataset, Dataset, Labels, Task
from quant_core.engine import (
    Cell,
    CellKey,
    Failed,
    Pulse,
    Reference,
    Sweeper,
    adaptive_sweep,
    batch_size,
    measure_lanes,
)
from quant_core.errors import QuantscopeError
from quant_core.graph import Graph, ModelFile, inputs_of, runnable
from quant_core.jobs import Files, spread, workers_of
from quant_core.lower import FindRange, WeightCache
from quant_core.stats import Ranges
from quant_core.study.records import cell_of, cell_record

_PIECES = 4  # for each worker: fewer wait at the end for the slowest, more repeat what comes before a layer
_ROWS = 32  # samples written at a time


@dataclass(frozen=True)
class Order:
    """What a sweep is made of: cells of `graph` on `data` with `ranges`; on few samples where `few` is
    set.
    """

    graph: Graph
    task: Task
    data: Dataset
    ranges: Ranges
    execution: str = "simulated"
    few: bool = False


def sweep_far(
    address: str, order: Order, keys: Sequence[CellKey], pulse: Pulse, failed: Failed | None
) -> Iterator[Cell]:
    """The cells of `keys` from the workers of the cluster at `address`, as they come."""
    with tempfile.TemporaryDirectory() as folder:
        files = _packed(order, Path(folder), pulse)
        pieces = [[list(_fields(key)) for key in piece] for piece in _pieces(keys, workers_of(address))]
        for found in spread(address, measure_cells, files, pieces, pulse):
            for fields, record in found["cells"]:
                yield cell_of(CellKey(*fields), record)
            for fields, what, remedy in found["failed"]:
                error = QuantscopeError(what, remedy)
                if failed is None:
                    raise error
                failed(CellKey(*fields), error)


def _fields(key: CellKey) -> tuple[str, str, str]:
    return key.layer, key.format, key.part


def _pieces(keys: Sequence[CellKey], workers: int) -> list[list[CellKey]]:
    """Cells of neighbouring layers stand together: what comes before them is computed once for a piece."""
    count = max(1, -(-len(keys) // (_PIECES * max(workers, 1))))
    pieces: list[list[CellKey]] = []
    for key in keys:
        if not pieces or (len(pieces[-1]) >= count and pieces[-1][-1].layer != key.layer):
            pieces.append([])
        pieces[-1].append(key)
    return pieces


def _packed(order: Order, folder: Path, pulse: Pulse) -> Files:
    """The model, the prepared graph, samples and ranges as files."""
    graph, file, data = order.graph, order.graph.file, order.data
    files = {name: folder / name for name in ("model", "prepared", "about", "ranges")}
    user = runnable(file)
    whole = isinstance(user, Path) and user.stat().st_size == file.bytes
    files["model"].write_bytes(user.read_bytes() if isinstance(user, Path) and whole else _single(file.model))
    files["prepared"].write_bytes(_single(graph.model))
    files["ranges"].write_bytes(order.ranges.to_bytes())
    names = list(data.take(np.arange(1)))
    for number, name in enumerate(names):
        files[f"input{number}"] = _written(folder / f"input{number}", data, name, pulse)
    if data.labels is not None:
        files["labels"] = _saved(folder / "labels", np.asarray(data.labels))
    about = {
        "name": file.name,
        "sha256": file.sha256,
        "bytes": file.bytes,
        "refused": sorted(graph.refused),
        "task": asdict(order.task),
        "execution": order.execution,
        "inputs": names,
        "data": [data.name, data.key, data.has_boxes],
        "few": order.few,
    }
    files["about"].write_text(json.dumps(about, sort_keys=True), encoding="utf-8")
    return files


def _single(model: ir.Model) -> bytes:
    """The model with its external data in one file."""
    return bytes(ir.to_proto(ir.external_data.load_to_model(model.clone())).SerializeToString())


def _saved(path: Path, array: np.ndarray[Any, Any]) -> Path:
    with path.open("wb") as file:
        np.save(file, array.astype(str) if array.dtype.kind == "O" else array, allow_pickle=False)
    return path


def _written(path: Path, data: Dataset, name: str, pulse: Pulse) -> Path:
    """All samples of one input, written piece by piece."""
    first = data.take(np.arange(1))[name]
    if first.dtype.kind in "OUS":  # text has no width of its own before all of it is known
        return _saved(path, data.take(np.arange(len(data)))[name])
    shape = (len(data), *first.shape[1:])
    held = np.lib.format.open_memmap(path, "w+", first.dtype, shape)
    for start in range(0, len(data), _ROWS):
        pulse()
        rows = np.arange(start, min(start + _ROWS, len(data)))
        held[rows] = data.take(rows)[name]
    held.flush()
    return path


# ---- on the workers


def measure_cells(files: Files, piece: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Measure the cells of `piece`: fields of their keys, and records as the store keeps them."""
    keys = [CellKey(*fields) for fields in piece]
    failures: list[list[Any]] = []

    def failed(key: CellKey, error: QuantscopeError) -> None:
        failures.append([_fields(key), error.what, error.remedy])

    measure = _opened(tuple(sorted((name, str(path)) for name, path in files.items())))
    cells = [[_fields(cell.key), cell_record(cell)] for cell in measure(keys, failed)]
    return {"cells": cells, "failed": failures}


Measure = Callable[[Sequence[CellKey], Failed], Iterator[Cell]]


@lru_cache(maxsize=1)
def _opened(names: tuple[tuple[str, str], ...]) -> Measure:
    """What measures cells of the study in these files; kept, as the next piece is of the same one."""
    files = {name: Path(path) for name, path in names}
    about = json.loads(files["about"].read_text(encoding="utf-8"))
    user = ir.from_proto(onnx.load(files["model"], format="protobuf"))
    file = ModelFile(files["model"], about["name"], about["sha256"], about["bytes"], user)
    prepared = ir.from_proto(onnx.load(files["prepared"], format="protobuf"))
    refused = frozenset(about["refused"])
    graph = Graph(file, prepared, lambda: refused)
    arrays = {
        name: np.load(files[f"input{number}"], mmap_mode="r") for number, name in enumerate(about["inputs"])
    }
    labels: Labels | None = np.load(files["labels"]) if "labels" in files else None
    name, key, has_boxes = about["data"]
    data = ArrayDataset(name, key, arrays, labels)
    data.has_boxes = has_boxes
    ranges = Ranges.from_bytes(files["ranges"].read_bytes())
    reference, cache = Reference(files["model"], task=Task(**about["task"])), WeightCache(graph)
    find: FindRange = ranges.find
    size = batch_size(inputs_of(file.model))
    lanes = measure_lanes(files["model"], data.take(np.arange(min(size, len(data)))), file.bytes)
    if about["few"]:
        # A first look is for whoever waits for a single machine; here the pieces come soon enough.
        return lambda keys, failed: adaptive_sweep(
            cache, keys, data, reference, find, failed=failed, looked=keys, lanes=lanes
        )
    return Sweeper(cache, data, reference, find, size, about["execution"], lanes=lanes).measure
