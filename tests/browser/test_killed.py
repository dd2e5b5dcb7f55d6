"""Whatever is killed in the middle of a sweep, the table completes and equals an undisturbed one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from quant_core.store import Store
from quant_core.study import Source, Study, cells_of, desk_formats
from tests.conftest import Server, serving
from tests.jobs.conftest import host, workers

LONG = 120_000  # ms


def measured(server: Server) -> dict[str, float]:
    """When each measurement in the app's store was made."""
    with closing(sqlite3.connect(server.home / "quantscope.sqlite")) as store:
        return dict(store.execute("SELECT key, measured FROM measurements WHERE about LIKE '%cell%'"))


def more_cells(page: Page, server: Server, count: int) -> int:
    """Wait until `count` more cells are measured."""
    wanted = len(measured(server)) + count
    for _ in range(600):
        if (found := len(measured(server))) >= wanted:
            return found
        page.wait_for_timeout(100)
    pytest.fail(f"{found} cells after a minute, not {wanted}")


@pytest.mark.slow
def test_a_worker_then_the_host_then_the_app_is_killed(
    browser: Browser, chromium: str, tmp_path: Path
) -> None:
    page = browser.new_page()
    page.set_default_timeout(60_000)
    with serving(tmp_path) as server:
        page.goto(f"{server.url}/mixed-precision")
        expect(page.get_by_text("Sensitivity: ").first).to_be_visible(timeout=LONG)
        more_cells(page, server, 8)

        kept = measured(server)
        for worker in workers(server.home):
            worker.kill()
        more_cells(page, server, 12)

        kept |= measured(server)
        first = host(server.home)
        first.kill()
        more_cells(page, server, 12)
        assert host(server.home).pid != first.pid

        kept |= measured(server)

        link, port = page.url, int(server.url.rsplit(":", 1)[1])
        psutil.Process(server.process.pid).kill()
        server.process.wait(10)
    with serving(tmp_path, port) as server:
        page.goto(link)
        expect(page.locator("button.cell").first).to_be_visible(timeout=LONG)
        expect(page.get_by_text("were known before")).to_be_visible(timeout=5 * LONG)  # the whole sweep
        expect(page.locator("button.cell.empty:not([aria-label*='fp32'])")).to_have_count(0)
        study = Study.open("sample:digits-mobile", "sample:digits-mobile", store=Store(server.home))
        keys = cells_of(study, desk_formats())
        disturbed = study.known_cells(keys)
        again = [key for key, when in measured(server).items() if kept.get(key, when) != when]
    assert again == []  # no finished cell ran again
    page.close()
    undisturbed = {cell.key: cell for cell in Source().open().sweep(keys)}  # in the store of this test
    assert disturbed == undisturbed
