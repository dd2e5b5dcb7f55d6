"""A small trained-like model with data, and its calibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest

from quant_core.data import ArrayDataset
from quant_core.engine import Reference, calibrate
from quant_core.graph import Graph, inputs_of
from quant_core.lower import WeightCache
from quant_core.prepare import generate_inputs
from quant_core.stats import Ranges
from tests.models import conv_chain, dataset, graph_of, simulate


@dataclass(frozen=True)
class Bench:
    """A graph with everything that measuring takes."""

    graph: Graph
    cache: WeightCache
    data: ArrayDataset
    reference: Reference
    ranges: Ranges


@pytest.fixture(scope="session")
def bench_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bench]:
    """`bench_of(model, samples)`: made-up samples; labels are the model's own choices, some of them wrong."""

    def make(model: onnx.ModelProto, samples: int = 20, size: int | None = None) -> Bench:
        graph = graph_of(model, tmp_path_factory.mktemp("bench"))
        shapes = generate_inputs(inputs_of(graph.model))
        rng = np.random.default_rng(4)
        arrays = {}
        for name, example in shapes.items():
            shape = (samples, *example.shape[1:])
            whole = rng.normal(size=shape) if example.dtype.kind == "f" else rng.integers(0, 12, shape)
            arrays[name] = whole.astype(example.dtype)
        step = size or samples
        logits = [
            simulate(graph.model, {k: padded(a[i : i + step], step) for k, a in arrays.items()})[0]
            for i in range(0, samples, step)
        ]
        labels = np.concatenate(logits)[:samples].argmax(-1)
        labels[::7] = (labels[::7] + 1) % 5
        data = dataset(arrays, labels)
        path: Path = graph.file.path
        return Bench(graph, WeightCache(graph), data, Reference(path), calibrate(graph, data))

    return make


def padded(array: np.ndarray, size: int) -> np.ndarray:
    """`array` with its last sample repeated up to `size`."""
    return np.concatenate([array, np.repeat(array[-1:], size - len(array), axis=0)])


@pytest.fixture(scope="session")
def bench(bench_of: Callable[..., Bench]) -> Bench:
    """The convolution chain with 20 samples."""
    return bench_of(conv_chain())
