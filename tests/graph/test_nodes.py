"""Boxes of a graph: what joins a layer, and which stretches repeat."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_core.graph import (
    INPUT,
    OUTPUT,
    Graph,
    Node,
    Part,
    edges_between,
    fold,
    graph_nodes,
    merge_small,
    repeated_blocks,
)
from quant_core.study import Study
from tests.bodies import branching
from tests.models import conv_chain, deep_residual, graph_of, two_in_a_row


def boxes(graph: Graph) -> tuple[tuple[Node, ...], tuple[Part, ...]]:
    nodes = graph_nodes(graph)
    return nodes, merge_small(nodes)


def names(nodes: tuple[Node, ...], part: Part) -> list[str]:
    return [nodes[i].name for i in part.nodes]


def test_every_node_input_and_output_of_the_graph_is_there_once(tmp_path: Path) -> None:
    graph = graph_of(conv_chain(), tmp_path)
    nodes = graph_nodes(graph)
    inner = [n for n in nodes if n.op not in (INPUT, OUTPUT)]
    assert [n.name for n in inner] == [n.name for n in graph.model.graph]
    assert [n.name for n in nodes if n.op == INPUT] == ["x"]
    assert [n.name for n in nodes if n.op == OUTPUT] == ["y"]
    assert {n.name for n in nodes if n.layer} == {layer.name for layer in graph.layers}
    assert next(n for n in nodes if n.name == "depthwise").kind == "Depthwise 3x3"
    assert next(n for n in nodes if n.name == "pool").shape == (1, 8, 1, 1)


def test_what_a_body_reads_is_an_edge(tmp_path: Path) -> None:
    nodes = graph_nodes(graph_of(branching(), tmp_path))
    choice = next(n for n in nodes if n.op == "If")
    assert {nodes[i].name for i in choice.inputs} == {"flag", "conv"}


def test_an_activation_joins_its_layer_unless_others_read_the_layer(tmp_path: Path) -> None:
    nodes, parts = boxes(graph_of(conv_chain(), tmp_path))
    together = {tuple(names(nodes, part)) for part in parts}
    assert ("first", "relu_a") in together
    assert ("depthwise", "relu_b") in together
    assert ("pointwise",) in together  # the Add after it reads another tensor too
    assert ("add", "relu_c") in together
    assert ("classifier",) in together  # a layer never joins another


def test_residual_blocks_are_cut_between_blocks_not_through_them(tmp_path: Path) -> None:
    nodes, parts = boxes(graph_of(deep_residual(6), tmp_path))
    blocks = repeated_blocks(nodes, parts)
    assert len(blocks) == 6
    for number, (start, end) in enumerate(blocks):
        inside = [name for part in parts[start:end] for name in names(nodes, part)]
        assert inside == [f"block{number}.{part}" for part in ("a", "relu", "b", "add", "out")]


def test_a_chain_of_equal_layers_is_no_block(tmp_path: Path) -> None:
    nodes, parts = boxes(graph_of(two_in_a_row("Conv"), tmp_path))
    assert repeated_blocks(nodes, parts) == ()


def test_the_blocks_of_real_models_are_those_their_makers_named(models: Path) -> None:
    def stems(name: str) -> list[str]:
        nodes, parts = boxes(Study.open(models / name / "model.onnx").graph)
        blocks = repeated_blocks(nodes, parts)
        return [nodes[parts[start].nodes[0]].name for start, _ in blocks]

    assert stems("stories") == [f"layers.{i}.attention_norm.pow" for i in range(5)]
    assert stems("mobilenet_v1") == [f"conv_dw_{i}" for i in range(1, 14)]
    residual = [f"layer{stage}.{i}.conv1" for stage in (1, 2, 3) for i in range(3)]
    assert stems("resnet20") == [n for n in residual if n not in ("layer2.0.conv1", "layer3.0.conv1")]


@st.composite
def networks(draw: st.DrawFn) -> tuple[Node, ...]:
    """Nodes in an order of execution that read any earlier ones, with stretches that repeat."""
    kinds = draw(st.lists(st.sampled_from(["Conv 1x1", "Conv 3x3", "Relu", "Add", "Reshape"]), min_size=1))
    kinds = (kinds * draw(st.integers(1, 4)))[:40]
    rng = random.Random(draw(st.integers(0, 99)))
    nodes = [Node(0, "x", INPUT, INPUT, False, (), None)]
    for index, kind in enumerate(kinds, start=1):
        reads = {
            index - 1 if rng.random() < 0.7 else rng.randrange(index) for _ in range(rng.choice((1, 1, 2)))
        }
        nodes.append(Node(index, f"n{index}", kind.split()[0], kind, "Conv" in kind, tuple(reads), None))
    return tuple(nodes)


@settings(max_examples=150, deadline=None)
@given(networks(), st.randoms(use_true_random=False))
def test_folding_loses_no_node_and_makes_no_cycle(nodes: tuple[Node, ...], rng: random.Random) -> None:
    merged = merge_small(nodes)
    blocks = repeated_blocks(nodes, merged)
    opened = {n for n in range(1, len(blocks) + 1) if rng.random() < 0.5}
    wanted = {(a, n.index) for n in nodes for a in n.inputs}
    for parts in (merged, fold(merged, blocks), fold(merged, blocks, opened)):
        place = {i: p for p, part in enumerate(parts) for i in part.nodes}
        assert sorted(i for part in parts for i in part.nodes) == list(range(len(nodes)))
        edges = edges_between(nodes, parts)
        assert all(a < b for a, b in edges)  # an order of execution: no cycle
        assert set(edges) == {(place[a], place[b]) for a, b in wanted if place[a] != place[b]}
    assert fold(merged, blocks, set(range(1, len(blocks) + 1))) == merged
    folded = [part.block for part in fold(merged, blocks, opened) if part.block]
    assert folded == [n for n in range(1, len(blocks) + 1) if n not in opened]


@given(networks())
def test_blocks_of_a_row_are_of_equal_structure(nodes: tuple[Node, ...]) -> None:
    parts = merge_small(nodes)
    blocks = repeated_blocks(nodes, parts)
    structure = [
        tuple(tuple(nodes[i].kind for i in part.nodes) for part in parts[start:end]) for start, end in blocks
    ]
    assert all(structure.count(s) >= 2 for s in structure)
    assert all(b <= c for (_, b), (c, _) in pairwise(blocks))


@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_nodes_take_no_time(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = [["Conv 3x3", "Conv 1x1", "Pool"][i] for i in rng.integers(0, 3, 1000)]
    nodes = tuple(
        Node(i, f"n{i}", k, k, k != "Pool", (i - 1,) if i else (), None) for i, k in enumerate(kinds)
    )
    parts = merge_small(nodes)
    assert len(repeated_blocks(nodes, parts)) > 100
