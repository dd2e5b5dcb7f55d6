"""Work that fails says why, and a click on Try again does it, also while other work ends at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.conftest import serving


@pytest.mark.slow
def test_an_export_that_failed_is_tried_again(browser: Browser, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "exports").write_text("a file where the folder should be", encoding="utf-8")
    with serving(tmp_path) as running:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{running.url}/mixed-precision")
        page.get_by_role("button", name="int8 for all layers", exact=True).click(timeout=60_000)
        expect(page.locator('[data-chip="plan"]')).to_contain_text("27 layers quantized")
        page.get_by_role("link", name="Export", exact=True).first.click()
        again = page.get_by_role("button", name="Try again")
        expect(again).to_be_visible(timeout=90_000)
        expect(page.get_by_text("cannot be used (File exists)")).to_be_visible()
        (home / "exports").unlink()
        again.click()
        expect(page.get_by_text("This file, measured")).to_be_visible(timeout=90_000)
        expect(again).to_have_count(0)
        page.close()
