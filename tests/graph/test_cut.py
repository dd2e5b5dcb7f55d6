"""Cutting a graph: every layer stands in one segment, and the parts compute what the whole does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from quant_core.graph import Graph, cut_segments, inputs_of, stretch, suffix
from quant_core.prepare import generate_inputs
from tests.bodies import branching
from tests.models import (
    build,
    conv_chain,
    graph_of,
    matmul_chain,
    node,
    normal,
    port,
    positions,
    simulate,
    tied_language_model,
    zoo,
)


def two_paths() -> onnx.ModelProto:
    """Two chains beside each other that meet at the end: several tensors are alive at every place."""
    nodes, weights = [], {}
    for path in ("a", "b"):
        source = "x"
        for i in range(4):
            nodes.append(node("MatMul", [source, f"w{path}{i}"], [f"{path}{i}"], name=f"{path}_layer_{i}"))
            nodes.append(node("Relu", [f"{path}{i}"], [f"{path}{i}r"], name=f"{path}_relu_{i}"))
            weights[f"w{path}{i}"] = normal(i + (10 if path == "b" else 0), 6, 6, scale=0.5)
            source = f"{path}{i}r"
    nodes.append(node("Add", ["a3r", "b3r"], ["y"], name="join"))
    return build(nodes, [port("x", "N", 6)], [port("y", "N", 6)], weights)


def inner_output() -> onnx.ModelProto:
    """A graph that also gives an inner tensor."""
    model = two_paths()
    model.graph.output.append(port("a1r", "N", 6))
    return model


MODELS: list[Callable[[], onnx.ModelProto]] = [
    conv_chain,
    matmul_chain,
    positions,
    tied_language_model,
    branching,
    zoo,
    two_paths,
    inner_output,
]
every_model = pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)


def no_layers() -> onnx.ModelProto:
    """A graph with nothing to quantize."""
    return build([node("Relu", ["x"], ["y"], name="relu")], [port("x", "N", 3)], [port("y", "N", 3)], {})


@pytest.mark.parametrize("most", [1, 9])
def test_a_graph_without_layers_is_one_segment(most: int, tmp_path: Path) -> None:
    (segment,) = cut_segments(graph_of(no_layers(), tmp_path), most)
    assert (segment.entry, segment.layers) == (("x",), ())


def feeds_of(graph: Graph) -> dict[str, np.ndarray]:
    return generate_inputs(inputs_of(graph.model))


@every_model
@pytest.mark.parametrize("most", [1, 2, 4, 9, 50])
def test_every_layer_stands_in_exactly_one_segment(
    make: Callable[[], onnx.ModelProto], most: int, tmp_path: Path
) -> None:
    graph = graph_of(make(), tmp_path)
    segments = cut_segments(graph, most)
    assert 1 <= len(segments) <= most
    assert [n for s in segments for n in s.layers] == [x.name for x in graph.quantizable]
    assert segments[0].entry == tuple(p.name for p in inputs_of(graph.model))


@every_model
def test_up_to_an_entry_and_on_from_there_gives_what_the_whole_gives(
    make: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    graph = graph_of(make(), tmp_path)
    feeds = feeds_of(graph)
    whole = simulate(graph.model, feeds)
    here = tuple(p.name for p in inputs_of(graph.model))
    current = dict(feeds)
    for segment in cut_segments(graph)[1:]:
        values = simulate(stretch(graph, here, segment.entry).model, current)
        here, current = segment.entry, dict(zip(segment.entry, values, strict=True))
        rest = suffix(graph, here)
        for got, wanted in zip(simulate(rest.model, current), whole, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_a_deep_graph_is_cut_into_pieces_of_like_work(tmp_path: Path) -> None:
    nodes = [node("MatMul", [f"t{i}", f"w{i}"], [f"t{i + 1}"], name=f"layer_{i}") for i in range(18)]
    weights = {f"w{i}": normal(i, 6, 6) for i in range(18)}
    graph = graph_of(build(nodes, [port("t0", "N", 6)], [port("t18", "N", 6)], weights), tmp_path)
    assert [len(s.layers) for s in cut_segments(graph, 9)] == [2] * 9


def test_the_rest_of_a_graph_has_the_layers_from_there_on(tmp_path: Path) -> None:
    graph = graph_of(two_paths(), tmp_path)
    segments = cut_segments(graph, 4)
    rest = suffix(graph, segments[2].entry)
    assert [x.name for x in rest.quantizable] == [n for s in segments[2:] for n in s.layers]
    assert rest.file is graph.file


def test_cutting_leaves_the_graph_as_it_was(tmp_path: Path) -> None:
    graph = graph_of(conv_chain(), tmp_path)
    feeds = feeds_of(graph)
    before = simulate(graph.model, feeds)
    for segment in cut_segments(graph)[1:]:
        suffix(graph, segment.entry)
    np.testing.assert_array_equal(simulate(graph.model, feeds)[0], before[0])
    assert [v.name for v in graph.model.graph.inputs] == ["x"]


def shrinking() -> onnx.ModelProto:
    """Products whose results get smaller: 64, 32, 16, 8 and 4 numbers a sample."""
    sizes = [64, 64, 32, 32, 16, 16, 8, 8, 4, 4]
    nodes = [node("MatMul", [f"t{i}", f"w{i}"], [f"t{i + 1}"], name=f"layer_{i}") for i in range(9)]
    weights = {f"w{i}": normal(i, sizes[i], sizes[i + 1]) for i in range(9)}
    return build(nodes, [port("t0", "N", 64)], [port("t9", "N", 4)], weights)


@pytest.mark.parametrize("room", [0, 3, 16, 100, 300, 1000, 10_000])
def test_what_is_kept_at_the_cuts_fits_in_the_room(room: int, tmp_path: Path) -> None:
    graph = graph_of(shrinking(), tmp_path)
    sizes = {v.name: 4 * v.shape[1] for n in graph.model.graph for v in n.outputs}
    fewer, most = cut_segments(graph, room=room), cut_segments(graph)
    taken = sum(sizes[name] for segment in fewer[1:] for name in segment.entry)
    assert taken <= room
    assert [n for s in fewer for n in s.layers] == [x.name for x in graph.quantizable]
    if room == 10_000:
        assert fewer == most
    if room >= 300:
        assert len(fewer) > 3
    if room <= 3:
        assert len(fewer) == 1
