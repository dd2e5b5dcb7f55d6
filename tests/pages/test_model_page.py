"""The page Model without a browser: what it shows of a study, and that a choice is kept in the state."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from pages.parts.state import State, View
from quant_core.study import Source, new_session_id
from tests.models import build, deep_residual, node, normal, port

MODEL = "pages/explore/model.py"
TIMEOUT = 120
HOSTILE = "<img src=x onerror=alert(1)>{b}"


def open_page(repo: Path, source: Source, **view: object) -> AppTest:
    state = State(new_session_id(), source, view=View(**view))
    state.save()
    test = AppTest.from_file(str(repo / MODEL), default_timeout=TIMEOUT)
    test.query_params["study"] = state.id
    return again(test)


def again(test: AppTest) -> AppTest:
    test.run()
    assert not test.exception, test.exception
    return test


def spec(test: AppTest) -> dict:
    return json.loads(test.get("echarts_chart")[0].proto.spec)


def labels(test: AppTest) -> list[str]:
    items = spec(test)["series"][0]["data"]
    return [item["label"]["formatter"] for item in items if "label" in item]


def state_of(test: AppTest) -> State:
    return test.session_state["quantscope"]


@pytest.fixture
def deep(tmp_path: Path) -> Source:
    path = tmp_path / "deep.onnx"
    path.write_bytes(deep_residual(40).SerializeToString())
    return Source(str(path), None)


def test_every_layer_is_in_the_graph_and_in_the_table(repo: Path) -> None:
    test = open_page(repo, Source("sample:digits-cnn", "sample:digits-cnn"))
    wanted = ["conv1", "conv2", "conv3", "conv4", "classifier"]
    assert list(test.dataframe[0].value["name"]) == wanted
    drawn = labels(test)
    assert all(any(name in label for label in drawn) for name in wanted)
    assert spec(test)["series"][0]["data"][1]["selected"]  # the first layer, after the input


def test_the_table_says_what_the_format_of_the_error_is_and_hides_an_empty_column(repo: Path) -> None:
    test = open_page(repo, Source("sample:digits-cnn", "sample:digits-cnn"))
    proto = test.dataframe[0].proto
    assert json.loads(proto.columns)["format"]["label"] == "Error at"
    assert "sqnr_db" in proto.column_order
    assert "reason" not in proto.column_order  # every layer can be quantized


def test_a_colour_is_kept_and_repaints_the_graph(repo: Path) -> None:
    test = open_page(repo, Source("sample:digits-cnn", "sample:digits-cnn"))
    before = labels(test)
    assert any("32 bits" in label for label in before)
    test.button_group(key="model-colour").set_value("bytes")
    again(test)
    assert state_of(test).view.colour == "bytes"
    assert any("KiB" in label for label in labels(test))
    assert labels(test) != before


def test_unmeasured_error_is_hollow_and_named_in_the_tooltip(repo: Path) -> None:
    test = open_page(repo, Source(str(repo / "assets/samples/digits-cnn/model.onnx"), None), colour="error")
    item = spec(test)["series"][0]["data"][1]
    assert item["itemStyle"]["borderType"] == "dashed"
    assert "not measured" in item["tooltip"]["formatter"]
    assert any("not measured" in block.proto.body for block in test.get("html"))


def test_a_large_graph_is_folded_until_the_user_says_otherwise(repo: Path, deep: Source) -> None:
    test = open_page(repo, deep)
    assert sum("Block" in label for label in labels(test)) == 40
    test.toggle(key="model-folded").set_value(False)
    again(test)
    assert state_of(test).view.folded is False
    assert not any("Block" in label for label in labels(test))


def test_one_block_can_be_opened_and_closed_again(repo: Path, deep: Source) -> None:
    test = open_page(repo, deep, unfolded=("block3.a",))
    drawn = labels(test)
    assert sum("Block" in label for label in drawn) == 39
    assert any("block3.b" in label for label in drawn)
    next(b for b in test.button if b.label == "Fold all").click()
    again(test)
    assert sum("Block" in label for label in labels(test)) == 40


def test_the_search_thins_the_table_and_pales_the_graph(repo: Path, deep: Source) -> None:
    test = open_page(repo, deep, folded=False)
    test.text_input(key="model-find").set_value("Block17.")
    again(test)
    assert list(test.dataframe[0].value["name"]) == ["block17.a", "block17.b"]
    boxes = [item for item in spec(test)["series"][0]["data"] if "label" in item]
    full = [item["tooltip"]["formatter"] for item in boxes if "opacity" not in item["itemStyle"]]
    assert full
    assert all("block17." in tip for tip in full)
    assert len(full) < len(boxes)


def test_another_selection_gives_the_graph_a_new_key(repo: Path) -> None:
    test = open_page(repo, Source("sample:digits-cnn", "sample:digits-cnn"))
    first = test.get("echarts_chart")[0].proto.id
    next(b for b in test.button if b.label == "Next").click()
    again(test)
    assert state_of(test).layer == "conv2"
    assert test.get("echarts_chart")[0].proto.id != first  # so that an earlier click cannot come back
    assert [i for i, item in enumerate(spec(test)["series"][0]["data"]) if item.get("selected")] == [2]


def test_names_from_the_file_stay_text(repo: Path, tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], name=HOSTILE),
        node("Conv", ["a", "v"], ["y"], name="[link](http://x) $x$"),
    ]
    weights = {"w": normal(1, 4, 3, 3, 3), "v": normal(2, 4, 4, 1, 1)}
    path = tmp_path / "hostile.onnx"
    path.write_bytes(
        build(nodes, [port("x", "N", 3, 8, 8)], [port("y", "N", 4, 6, 6)], weights).SerializeToString()
    )
    test = open_page(repo, Source(str(path), None))
    assert "<img" not in json.dumps([i.get("tooltip") for i in spec(test)["series"][0]["data"]])
    assert not any("<img" in block.proto.body for block in test.get("html"))
    assert not any("<img" in block.value for block in [*test.markdown, *test.caption])


def test_a_layer_that_cannot_be_quantized_says_why(repo: Path, tmp_path: Path) -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"], name="stored"),
        node("Transpose", ["a"], ["t"], name="turn"),
        node("MatMul", ["a", "t"], ["y"], name="scores"),
    ]
    path = tmp_path / "scores.onnx"
    model = build(nodes, [port("x", "N", 4)], [port("y", "N", "N")], {"w": normal(1, 4, 4)})
    path.write_bytes(model.SerializeToString())
    test = open_page(repo, Source(str(path), None))
    table: pd.DataFrame = test.dataframe[0].value
    reasons = dict(zip(table["name"], table["reason"], strict=True))
    assert "both inputs are activations" in reasons["scores"]
    assert reasons["stored"] == ""
