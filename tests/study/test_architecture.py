"""What the page Model is told: boxes, a row for each layer, and where every byte of the file is."""

from __future__ import annotations

from pathlib import Path

import pytest

from quant_core.formats import Scheme
from quant_core.plan import Plan, Precision, default_scheme
from quant_core.study import Study, architecture, damage, desk_cells, layer_table, stored_bytes
from tests.models import (
    build,
    conv_chain,
    deep_residual,
    file_of,
    graph_of,
    node,
    normal,
    port,
    tied_language_model,
)


def test_large_graphs_fold_by_themselves_and_small_ones_do_not(tmp_path: Path) -> None:
    small = architecture(graph_of(deep_residual(3), tmp_path, "small.onnx"), None)
    large = architecture(graph_of(deep_residual(40), tmp_path, "large.onnx"), None)
    assert (small.blocks, small.folded) == (3, False)
    assert (large.blocks, large.folded) == (40, True)
    assert [box.block for box in large.boxes if box.block] == list(range(1, 41))


def test_every_layer_is_in_one_box_whatever_is_folded(tmp_path: Path) -> None:
    graph = graph_of(deep_residual(12), tmp_path)
    for folded, unfolded in ((False, ()), (True, ()), (True, ("block4.a", "no such node"))):
        built = architecture(graph, folded, unfolded)
        assert sorted(built.box_of) == sorted(layer.name for layer in graph.layers)
    assert not built.boxes[built.box_of["block4.a"]].block
    assert built.boxes[built.box_of["block5.a"]].block == 6


@pytest.mark.parametrize("model", [conv_chain(), tied_language_model()], ids=["cnn", "tied"])
def test_the_bytes_of_the_treemap_are_those_of_the_file(model: object, tmp_path: Path) -> None:
    study = Study.open(file_of(model, tmp_path).path)
    stored = stored_bytes(study, Plan())
    assert stored["bytes"].sum() == study.graph.file.bytes
    weights = stored[stored["group"] == "Weights of layers"]
    shared = {layer.tensor: layer.bytes for layer in study.graph.quantizable}  # a tied tensor once
    assert weights["bytes"].sum() == sum(shared.values())


def test_the_treemap_takes_the_bits_of_the_plan(tmp_path: Path) -> None:
    study = Study.open(file_of(conv_chain(), tmp_path).path)
    plan = Plan("mix", {"pointwise": Precision(Scheme("int4", "group:32"))})
    stored = stored_bytes(study, plan).set_index("name")["bits"]
    assert stored["wc"] == 4
    assert stored["wa"] == 32
    assert stored["ba"] == 0


def test_an_error_is_shown_at_the_format_of_the_plan() -> None:
    study = Study.open("sample:digits-cnn", "sample:digits-cnn")
    keys = [k for k in desk_cells(study, "weights") if k.layer == "conv2" and k.format in ("int8", "int4")]
    list(study.sweep(keys))
    cells = study.known_cells(keys)
    eight, four = (next(c for k, c in cells.items() if k.format == f) for f in ("int8", "int4"))
    assert damage(Plan(), "conv2", cells, "int4") == ("int4", four.quality.sqnr_db)
    chosen = Plan("mix", {"conv2": Precision(default_scheme("int8"))})
    assert damage(chosen, "conv2", cells, "int4") == ("int8", eight.quality.sqnr_db)
    other = Plan("mix", {"conv2": Precision(Scheme("int8", "tensor"))})
    assert damage(other, "conv2", cells, "int4") == (None, None)  # no column of the sweep has that scheme
    assert damage(Plan(), "conv1", cells, "int4") == ("int4", None)
    table = layer_table(study, Plan(), cells, "int4").set_index("name")
    assert set(table["bits"]) == {32}
    assert table.loc["conv2", "sqnr_db"] == four.quality.sqnr_db
    assert table["sqnr_db"].isna().sum() == len(table) - 1


def test_a_layer_without_float_weights_has_neither_bits_nor_bytes(tmp_path: Path) -> None:
    scores = node("MatMul", ["x", "y"], ["xy"], name="scores")
    last = node("MatMul", ["xy", "w"], ["out"], name="last")
    ports = [port("x", "N", 8), port("y", 8, 8)]
    model = build([scores, last], ports, [port("out", "N", 8)], {"w": normal(0, 8, 8)})
    table = layer_table(Study.open(file_of(model, tmp_path).path), Plan(), {}, "int4").set_index("name")
    assert (
        table["bits"].isna().to_dict() == table["bytes"].isna().to_dict() == {"scores": True, "last": False}
    )
    assert table.loc["last", "bytes"] == 8 * 8 * 4
