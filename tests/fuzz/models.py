"""Model files to be refused or understood: good ones with accidents in their bytes or in what they say."""

from __future__ import annotations

from pathlib import Path
from random import Random

import onnx

from tests.fuzz.accidents import ACCIDENTS
from tests.fuzz.mutate import mutate_bytes
from tests.fuzz.seeds import seeds


def write_model(draw: Random, folder: Path) -> Path:
    """A model file in `folder`, and what it needs beside it."""
    path = folder / "net.onnx"
    content = draw.choice(seeds())
    how = draw.random()
    if how < 0.3:
        path.write_bytes(mutate_bytes(draw, content, draw.choice(seeds())))
        return path
    model = onnx.ModelProto.FromString(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 6))):
        draw.choice(ACCIDENTS)(draw, model, folder)
    content = model.SerializeToString()
    path.write_bytes(mutate_bytes(draw, content) if how > 0.95 else content)
    return path
