"""The picture of a graph: nothing overlaps, names stay text, and 1,000 nodes are quick."""

from __future__ import annotations

import json
import time
from itertools import combinations, pairwise
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_core.figures import (
    Box,
    Layout,
    bytes_figure,
    contrast,
    damage_color,
    graph_figure,
    graph_option,
    layered,
    palette,
    text_on,
    value_color,
)
from quant_core.figures.layered import SMALL_TALL, SMALL_WIDE, TALL, WIDE
from quant_core.study import architecture
from tests.models import deep_residual, graph_of

HOSTILE = "<img src=x onerror=alert(1)> {n0|x} {b} {@[0]}"
SIZE = (720.0, 560.0)


def half(small: bool) -> tuple[float, float]:
    return (SMALL_WIDE / 2, SMALL_TALL / 2) if small else (WIDE / 2, TALL / 2)


def chain(count: int) -> Layout:
    return layered([False] * count, list(pairwise(range(count))))


def boxes_of(count: int) -> list[Box]:
    return [Box(f"layer {i}", "Conv", (f"layer {i}",), "#1D3557") for i in range(count)]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[bool], list[tuple[int, int]]]:
    count = draw(st.integers(1, 30))
    small = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    pairs = [(a, b) for a, b in combinations(range(count), 2) if b - a < 6]
    return small, sorted(draw(st.sets(st.sampled_from(pairs), max_size=40))) if pairs else []


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_no_two_boxes_overlap_and_all_lie_inside(graph: tuple[list[bool], list[tuple[int, int]]]) -> None:
    small, edges = graph
    layout = layered(small, edges)
    assert len(layout.centres) == len(small)
    for (x, y), s in zip(layout.centres, small, strict=True):
        assert half(s)[0] <= x + 1e-6 <= layout.width - half(s)[0] + 1e-3
        assert half(s)[1] <= y + 1e-6 <= layout.height - half(s)[1] + 1e-3
    placed = list(zip(layout.centres, small, strict=True))
    for ((x, y), s), ((u, v), t) in combinations(placed, 2):
        (w, h), (p, q) = half(s), half(t)
        assert abs(x - u) >= w + p - 1e-6 or abs(y - v) >= h + q - 1e-6


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_a_line_leads_from_the_rim_of_one_box_to_the_rim_of_the_other(
    graph: tuple[list[bool], list[tuple[int, int]]],
) -> None:
    small, edges = graph
    layout = layered(small, edges)
    for (source, target), line in zip(edges, layout.lines, strict=True):
        (x, y), (u, v) = layout.centres[source], layout.centres[target]
        assert line[0] == pytest.approx((x, y + half(small[source])[1]))
        assert line[-1] == pytest.approx((u, v - half(small[target])[1]))


def test_a_long_chain_is_set_in_columns_that_fill_the_page() -> None:
    layout = chain(60)
    assert layout.height < 60 * TALL
    assert 0.5 < layout.width / layout.height / 1.3 < 2.0
    assert chain(5).width < 1.5 * WIDE  # a short one is a single column


def test_items_are_the_boxes_in_order_and_the_selected_one_is_ringed() -> None:
    option = graph_option(chain(12), boxes_of(12), "light", SIZE, selected=7)
    items = option["series"][0]["data"]
    assert [i for i, item in enumerate(items) if item.get("selected")] == [7]
    assert [item["symbolSize"] for item in items[:12]] == [WIDE] * 12
    assert all(item["symbol"] == "none" for item in items[12:])
    assert len({item["name"] for item in items}) == len(items)
    ringed = graph_option(chain(12), boxes_of(12), "light", SIZE, selected=7, ringed=True)
    drawn = ringed["series"][0]["data"]
    assert not any(item.get("selected") for item in drawn)
    assert drawn[7]["itemStyle"]["borderColor"] == palette("light").accent
    assert drawn[6]["itemStyle"]["borderColor"] != palette("light").accent


def test_a_large_graph_opens_around_the_selected_box_or_whole() -> None:
    layout = chain(600)
    near = graph_option(layout, boxes_of(600), "light", SIZE, selected=300)["series"][0]
    x, y = layout.centres[300]
    assert abs(near["center"][0] - x) * near["zoom"] <= SIZE[0] / 2
    assert abs(near["center"][1] - y) * near["zoom"] <= SIZE[1] / 2
    assert near["label"]["show"]
    whole = graph_option(layout, boxes_of(600), "light", SIZE, selected=300, whole=True)["series"][0]
    assert whole["zoom"] * layout.width <= SIZE[0]
    assert whole["zoom"] * layout.height <= SIZE[1]
    assert not whole["label"]["show"]  # too small to read: no soup


def test_names_are_text_and_no_template() -> None:
    box = Box(HOSTILE, HOSTILE, (HOSTILE, HOSTILE), "#FFFFFF")
    item = graph_option(chain(1), [box], "light", SIZE)["series"][0]["data"][0]
    tip, label = item["tooltip"]["formatter"], item["label"]["formatter"]
    assert "<img" not in tip
    assert "{" not in tip
    shown = [part.split("|", 1)[1] for part in label.split("\n")]
    assert all(part.count("}") == 1 and part.endswith("}") and "{" not in part for part in shown)
    hover = graph_figure(chain(1), [box], "light").data[-1]
    assert "<img" not in hover.customdata[0]
    assert "<img" not in hover.text[0]


@pytest.mark.parametrize("zoom", [0.78, 1.0])
def test_of_a_long_kind_the_beginning_is_shown_and_all_of_its_value(zoom: float) -> None:
    box = Box("a", "ConvTranspose 3x3 depthwise", ("a",), "#FFFFFF", value="worst 12.3 dB")
    layout = chain(1)
    size = (zoom * layout.width + 20.0, zoom * layout.height + 20.0)
    item = graph_option(layout, [box], "light", size, whole=True)["series"][0]["data"][0]
    second = item["label"]["formatter"].split("\n")[1]
    assert "|Conv" in second
    assert second.endswith("… · worst 12.3 dB}")
    assert "Conv" in graph_figure(layout, [box], "light").data[-1].text[0]


def test_what_was_not_measured_is_hollow() -> None:
    boxes = [Box("a", "", ("a",), None), Box("b", "", ("b",), damage_color(20.0, "dark"))]
    hollow, full = graph_option(chain(2), boxes, "dark", SIZE)["series"][0]["data"][:2]
    assert hollow["itemStyle"]["borderType"] == "dashed"
    assert hollow["itemStyle"]["color"] == palette("dark").background
    assert full["itemStyle"]["color"] == damage_color(20.0, "dark")
    assert value_color("error", None, 0.0, "dark") is None


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_more_is_a_stronger_colour_and_its_text_can_be_read(theme: str) -> None:
    colors = [value_color("bytes", n, 100.0, theme) or "" for n in range(0, 101, 5)]
    away = [contrast(c, palette(theme).background) for c in colors]
    assert away == sorted(away)
    assert min(contrast(c, text_on(c)) for c in colors) >= 4.5
    assert value_color("bits", 4.0, 0.0, theme) == palette(theme).bits[4]


def test_the_still_figure_shows_every_box() -> None:
    boxes = [*boxes_of(9), Box("helper", "", ("helper",), None, small=True)]
    figure = graph_figure(chain(10), boxes, "light")
    assert len(figure.data[-1].customdata) == 10
    assert "helper" in figure.data[-1].text


def test_the_treemap_adds_up_to_the_file() -> None:
    stored = pd.DataFrame(
        {
            "name": ["w", "<b>v</b>", "graph"],
            "group": ["Weights of layers", "Other tensors", "Graph structure"],
            "bytes": [60, 30, 10],
            "size": ["60 B", "30 B", "10 B"],
            "bits": [4, 0, 0],
            "note": ["conv", "", ""],
        }
    )
    figure = bytes_figure(stored, "net", "light")
    assert figure.layout.uniformtext.mode == "hide"  # no label too small to read
    tree = figure.data[0]
    assert tree.values[0] == 100
    assert sum(v for v, parent in zip(tree.values, tree.parents, strict=True) if parent == "file") == 100
    assert tree.marker.colors[tree.labels.index("w")] == palette("light").bits[4]
    assert "<b>v</b>" not in tree.labels


def test_a_thousand_nodes_are_laid_out_and_described_quickly(tmp_path: Path) -> None:
    built = architecture(graph_of(deep_residual(199), tmp_path), folded=False)
    assert sum(len(box.nodes) for box in built.boxes) > 1000
    layout = layered([box.is_small for box in built.boxes], built.edges)
    boxes = boxes_of(len(built.boxes))
    start = time.perf_counter()
    content = json.dumps(graph_option(layout, boxes, "light", SIZE, selected=500))
    assert time.perf_counter() - start < 0.5
    assert len(content) < 1_000_000
