"""Every way to open a model, in a real browser: a sample, paths, a folder with weights beside the model, the
hub; what cannot be opened is one sentence; a reload in the middle loses nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest
from playwright.sync_api import Page, expect

from tests.bodies import endless
from tests.browser.test_upload import drop, open_files
from tests.conftest import serving
from tests.hub import COMMIT, REPO, Hub, serving_hub
from tests.models import conv_chain

Visit = Callable[..., Page]
Settle = Callable[[], None]
SOON = 60_000  # ms


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serving_hub() as running:
        yield running


@pytest.fixture(scope="module")
def server(chromium: str, visited: Path, hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An app whose hub is the small one, and in which the default sample is known."""
    folder = tmp_path_factory.mktemp("ways")
    shutil.copytree(visited, folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.url)
        with serving(folder) as running:
            yield running.url


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A folder with a model whose weights are in a file beside it."""
    folder = tmp_path / "exported"
    folder.mkdir()
    onnx.save(
        conv_chain(), folder / "net.onnx", save_as_external_data=True, location="net.bin", size_threshold=0
    )
    return folder


def open_path(page: Page, model: Path, data: Path | None = None) -> None:
    page.get_by_role("tab", name="Path on this machine").click()
    page.get_by_label("Model", exact=True).fill(str(model))
    page.get_by_label("Data", exact=True).fill("" if data is None else str(data))
    page.get_by_test_id("stFormSubmitButton").get_by_role("button", name="Open", exact=True).click()


def is_open(page: Page, settle: Settle, name: str, layers: int, data: str = "No data") -> None:
    """Wait until this is open, and that a reload does not change it."""
    for again in (False, True):
        if again:
            page.reload()
        chip = page.locator('[data-chip="model"]')
        expect(chip).to_contain_text(name, timeout=SOON)
        expect(chip).to_contain_text(f"{layers} layers")
        expect(page.locator('[data-chip="data"]')).to_contain_text(data)
        settle()


def test_a_sample_opens_with_its_data(visit: Visit, settle: Settle) -> None:
    page = visit("/")
    card = page.get_by_test_id("stVerticalBlock").filter(has_text="sensor-anomaly").last
    button = card.locator("xpath=ancestor-or-self::*[.//button][1]").get_by_role("button", name="Open")
    button.click()
    expect(page.locator('[data-chip="model"]')).to_contain_text("sensor-anomaly", timeout=SOON)
    expect(page.locator('[data-chip="data"]')).to_contain_text("samples")
    expect(page.get_by_test_id("stMain").get_by_text("ROC AUC 0.9").first).to_be_visible()
    page.goto("about:blank")  # nobody waits for its sweep


@pytest.mark.slow
def test_paths_open_a_model_and_its_data(visit: Visit, settle: Settle, repo: Path) -> None:
    sample = repo / "assets" / "samples" / "digits-cnn"
    page = visit("/")
    open_path(page, sample / "model.onnx", sample / "evaluation.npz")
    is_open(page, settle, "digits-cnn", 5, "256 samples")


@pytest.mark.slow
def test_a_folder_opens_with_the_weights_beside_its_model(visit: Visit, settle: Settle, beside: Path) -> None:
    page = visit("/")
    open_path(page, beside)
    is_open(page, settle, "net", 4)
    whole = sum(path.stat().st_size for path in beside.iterdir())
    expect(page.locator('[data-number="Size"]')).to_contain_text(f"{whole / 1024:.2f} KiB")


@pytest.mark.slow
def test_without_the_weights_beside_it_a_model_is_refused_in_one_sentence(
    visit: Visit, settle: Settle, beside: Path
) -> None:
    (beside / "net.bin").unlink()
    page = visit("/")
    drop(page, "Model file", beside / "net.onnx")
    open_files(page)
    alert = page.get_by_test_id("stAlert").filter(has_text="net.bin")
    expect(alert).to_be_visible(timeout=SOON)
    open_path(page, beside)
    expect(alert).to_be_visible(timeout=SOON)
    settle()
    expect(page.locator('[data-chip="model"]')).to_contain_text("digits-mobile")


@pytest.mark.slow
def test_a_model_of_the_hub_is_fetched_and_pinned(
    visit: Visit, settle: Settle, hub: Hub, tmp_path: Path
) -> None:
    hub.put(conv_chain(), tmp_path)
    page = visit("/")
    assert hub.asked == [], "the hub is asked when the user asks, not before"
    page.get_by_role("tab", name="Hugging Face").click()
    name = page.get_by_label("Model of the hub")
    name.fill("nobody/nothing")
    fetch = page.get_by_role("button", name="Fetch and open")
    fetch.click()
    expect(page.get_by_text("has no model")).to_be_visible(timeout=SOON)
    name.fill(REPO)
    expect(fetch).to_be_enabled()
    fetch.click()
    is_open(page, settle, "small-net", 4)
    assert any(COMMIT in path for path in hub.asked)


@pytest.mark.slow
def test_a_reload_in_the_middle_of_opening_goes_on(visit: Visit, settle: Settle, tmp_path: Path) -> None:
    slow = tmp_path / "slow.onnx"
    slow.write_bytes(endless(30_000).SerializeToString())
    page = visit("/")
    open_path(page, slow)
    expect(page.get_by_text("Opening the model and its data")).to_be_visible(timeout=SOON)
    page.reload()
    is_open(page, settle, "slow", 2)
