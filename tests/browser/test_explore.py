"""Clicks in charts and tables of Weights and Activations, which only a browser sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

Settle = Callable[[], None]
Visit = Callable[[str], "Page"]
ROW = 35  # pixels of a row of a table, its head included


def tick(page: Page, table: Locator, row: int) -> None:
    """Click the box at the left of a row; the table is a canvas."""
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 18, box["y"] + ROW * (row + 1.5))


@pytest.mark.slow
def test_a_channel_and_a_format_are_chosen_with_a_click(visit: Visit, settle: Settle) -> None:
    page = visit("/weights?layer=block3.project")
    channel = page.locator("[class*=st-key-weights-channel] input").first
    assert channel.input_value() == "All channels"
    page.locator("[class*=st-key-channels-block3] .barlayer .point path").nth(7).click(force=True)
    page.wait_for_function(
        "document.querySelector('[class*=st-key-weights-channel] input').value.endsWith(7)"
    )
    settle()
    tick(page, page.locator("[data-testid=stDataFrame]").first, 14)
    page.wait_for_url("**overlay=int4**")
    settle()
    page.get_by_role("button", name="Use this format for the layer").click()
    settle()
    assert "1 layer quantized" in page.locator("[data-chip=plan]").inner_text()


@pytest.mark.slow
def test_a_layer_and_a_scheme_are_chosen_with_a_click(visit: Visit, settle: Settle) -> None:
    page = visit("/activations?layer=block3.project")
    page.locator("[class*=st-key-layer-ranges-] .barlayer").wait_for(timeout=60_000)  # calibration runs
    settle()
    thick = page.locator("[class*=st-key-layer-ranges-] .barlayer .trace").last
    thick.locator(".point path").nth(12).click(force=True)
    page.wait_for_url("**layer=block4.project**")
    settle()
    tick(page, page.locator("[data-testid=stDataFrame]").nth(1), 9)
    page.wait_for_url("**overlay=**")
    settle()
    drawn = page.locator("[class*=st-key-activations-overlay] input").first.input_value()
    assert page.url.endswith(f"overlay={drawn}")
