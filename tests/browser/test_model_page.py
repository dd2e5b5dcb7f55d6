"""One selection in the graph, the table and the address bar, by clicks that only a browser sends."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from quant_core.figures import Box, Layout, graph_option, layered
from quant_core.study import Architecture, Study, architecture

if TYPE_CHECKING:
    from playwright.sync_api import Page

Settle = Callable[[], None]
Visit = Callable[[str], "Page"]
SIZE = (720.0, 560.0)  # what the page lays the graph out for
ROW = 35  # pixels of a row of a table, its head included


class Graph:
    """The graph of a study (the default sample's, if none is given) as the page draws it, to click its boxes:
    the chart is a canvas.
    """

    def __init__(self, page: Page, folded: bool = False, study: Study | None = None) -> None:
        self.page = page
        study = study or Study.open("sample:digits-mobile")
        self.built: Architecture = architecture(study.graph, folded)
        small = [box.is_small for box in self.built.boxes]
        self.layout: Layout = layered(small, self.built.edges, SIZE[0] / SIZE[1])
        boxes = [Box("", "", ()) for _ in small]
        series = graph_option(self.layout, boxes, "light", SIZE, whole=True)["series"][0]
        self.zoom, self.centre = series["zoom"], series["center"]

    def click(self, node: str) -> None:
        """Click the box that `node` is in, at the zoom that the page opens with."""
        chart = self.page.locator(".stEChartsChart canvas").first
        chart.scroll_into_view_if_needed()
        area = chart.bounding_box()
        assert area is not None
        x, y = next(
            at for box, at in zip(self.built.boxes, self.layout.centres, strict=True) if node in box.nodes
        )
        self.page.mouse.click(
            area["x"] + area["width"] / 2 + (x - self.centre[0]) * self.zoom,
            area["y"] + area["height"] / 2 + (y - self.centre[1]) * self.zoom,
        )


def selected(page: Page, layer: str) -> None:
    """Waits until address bar, picker and table all have `layer`."""
    page.wait_for_url(re.compile(f"layer={re.escape(layer)}(&|$)"))
    expect(page.get_by_role("combobox", name="Layer")).to_have_value(re.compile(f"^{re.escape(layer)} "))
    # The canvas of the table has a hidden table beside it, for screen readers.
    row = page.locator("[data-testid=stDataFrame] [role=row][aria-selected=true]")
    expect(row).to_have_count(1)
    expect(row).to_contain_text(layer)


def tick(page: Page, row: int) -> None:
    """Click the box at the left of a row of the table."""
    table = page.locator("[data-testid=stDataFrame]").first
    table.scroll_into_view_if_needed()
    area = table.bounding_box()
    assert area is not None
    page.mouse.click(area["x"] + 16, area["y"] + ROW * (row + 1.5))


def test_graph_and_table_hold_one_selection(visit: Visit, settle: Settle) -> None:
    page = visit("/model?layer=stem")
    graph = Graph(page)
    graph.click("block3.project")
    selected(page, "block3.project")
    settle()
    tick(page, 2)
    selected(page, "block1.depthwise")
    settle()
    selected(page, "block1.depthwise")  # the click in the graph did not come back
    page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")
    graph.click("block2.expand")
    selected(page, "block2.expand")
    settle()
    selected(page, "block2.expand")  # nor that in the table
    tick(page, 2)
    selected(page, "block1.depthwise")
    page.get_by_role("button", name="Next").click()
    selected(page, "block1.project")
    page.reload()
    settle()
    selected(page, "block1.project")


@pytest.mark.slow
def test_a_row_that_is_taken_back_stays_the_selection(visit: Visit, settle: Settle) -> None:
    page = visit("/model?layer=stem")
    tick(page, 1)
    selected(page, "block1.expand")
    settle()
    tick(page, 1)
    settle()
    selected(page, "block1.expand")


@pytest.mark.slow
def test_a_click_on_a_folded_block_opens_it(visit: Visit, settle: Settle) -> None:
    page = visit("/model?layer=block1.expand")
    page.get_by_text("Fold repeated blocks", exact=True).click()
    settle()
    Graph(page, folded=True).click("block4.project")
    expect(page.get_by_role("button", name="Fold all")).to_be_visible()
    settle()
    selected(page, "block1.expand")
    page.get_by_role("button", name="Fold all").click()
    expect(page.get_by_role("button", name="Fold all")).to_have_count(0)


@pytest.mark.slow
def test_a_click_on_a_helper_operator_shows_it_and_keeps_the_layer(visit: Visit, settle: Settle) -> None:
    page = visit("/model?layer=stem")
    Graph(page).click("pool")
    expect(page.get_by_text("GlobalAveragePool")).to_be_visible()
    selected(page, "stem")


@pytest.mark.parametrize("page_name", ["Weights of this layer", "Choose its precision"])
@pytest.mark.slow
def test_links_lead_to_the_layer_on_other_pages(visit: Visit, settle: Settle, page_name: str) -> None:
    page = visit("/model?layer=block2.expand")
    page.get_by_role("link", name=page_name).click()
    expect(page.get_by_role("heading", name="Model", exact=True)).to_have_count(0)
    settle()
    assert "layer=block2.expand" in page.url
