"""Plan files to be refused or understood: the presets of a model with accidents in their bytes or values."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from random import Random

import onnx_ir as ir

from quant_core.graph import Graph, read_model
from quant_core.plan import PRESETS, preset_plan
from quant_core.prepare import prepare
from tests.fuzz.data import mutate_json
from tests.fuzz.mutate import mutate_bytes
from tests.models import conv_chain


@functools.cache
def graph(folder: Path) -> Graph:
    """The model that plans are made for, written to `folder` once."""
    path = folder / "planned.onnx"
    path.write_bytes(conv_chain().SerializeToString())
    file = read_model(path)
    prepared: ir.Model = prepare(file.model)[0]
    return Graph(file, prepared)


@functools.cache
def _good(folder: Path) -> tuple[bytes, ...]:
    return tuple(json.dumps(preset_plan(graph(folder), name).to_json()).encode() for name in PRESETS)


def write_plan_file(draw: Random, folder: Path, shared: Path) -> Path:
    """A plan file in `folder`; `shared` is where the model lies."""
    content = draw.choice(_good(shared))
    how = draw.random()
    if how < 0.75:
        content = mutate_json(draw, content)
    if how > 0.7:
        content = mutate_bytes(draw, content)
    if how > 0.97:
        content = draw.choice(
            (b"[" * 100_000, b'{"a":' * 50_000, b"9" * 50_000, b"", b"\xff\xfe{}", b"null", b"1e999")
        )
    path = folder / "plan.json"
    path.write_bytes(content)
    return path
