"""A model is prepared once: the prepared graph, its steps and the savings are kept under what they depend on,
so that no process after the first has to run a stranger's file to know them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from quant_core.data import Batch
from quant_core.engine import ENGINE
from quant_core.graph import ModelFile
from quant_core.prepare import Saving, Step, find_savings, prepare, prepare_unrun
from quant_core.store import measurement_key, write_whole

_LARGEST = 512 << 20  # bytes; a larger prepared graph is not kept
_KEPT = 24  # graphs; the oldest go first


class Preparation:
    """What preparing `file` gives, proven on the samples called `proof_key` (None: on generated inputs).
    `samples` draws them where they are needed.
    """

    def __init__(
        self, file: ModelFile, proof_key: str | None, samples: Callable[[], Batch | None], folder: Path
    ) -> None:
        self._file, self._samples = file, samples
        about = {"what": "prepared", "model": file.sha256, "proof": proof_key, "engine": ENGINE}
        self._model = folder / f"{measurement_key(about)}.onnx"
        self._record = self._model.with_suffix(".json")

    def graph(self) -> tuple[ir.Model, tuple[Step, ...]]:
        """The prepared graph and the steps taken."""
        if self._file.is_large:
            size = f"{self._file.bytes / 1e9:.1f} GB"
            return prepare_unrun(self._file.model, f"a model of {size} is not run as a whole here")
        record = self._read()
        if record is not None and "steps" in record:
            with contextlib.suppress(Exception):  # a damaged file counts as none, whatever reading it raises
                kept = ir.from_proto(onnx.load(self._model, format="protobuf"))
                return kept, tuple(Step(**step) for step in record["steps"])
        model, steps = prepare(self._file.model, self._samples())
        content = ir.to_proto(model).SerializeToString()
        if len(content) <= _LARGEST:
            write_whole(self._model, content)
            self._write({"steps": [asdict(step) for step in steps]})
            self._forget_old()
        return model, steps

    def savings(self) -> tuple[Saving, ...]:
        """What can be saved of the file without changing what it computes."""
        if self._file.is_large:
            return ()
        record = self._read() or {}
        if "savings" in record:
            with contextlib.suppress(TypeError):
                return tuple(Saving(**saving) for saving in record["savings"])
        found = find_savings(self._file.model, self._samples())
        self._write({**record, "savings": [asdict(saving) for saving in found]})
        return found

    def _read(self) -> dict[str, Any] | None:
        with contextlib.suppress(OSError, ValueError):
            record = json.loads(self._record.read_text(encoding="utf-8"))
            return record if isinstance(record, dict) else None
        return None

    def _write(self, record: dict[str, Any]) -> None:
        write_whole(self._record, json.dumps(record).encode())

    def _forget_old(self) -> None:
        with contextlib.suppress(OSError):
            for old in sorted(self._model.parent.glob("*.onnx"), key=lambda p: p.stat().st_mtime)[:-_KEPT]:
                old.unlink(missing_ok=True)
                old.with_suffix(".json").unlink(missing_ok=True)
