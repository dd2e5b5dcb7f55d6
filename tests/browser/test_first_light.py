"""A person in a real browser: the app opens analysed, a click moves numbers, the file keeps their word."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from playwright.sync_api import Browser, Page, expect

from quant_core.study import Study

Visit = Callable[[str], Page]
Settle = Callable[[], None]

MEASURED_WITHIN = 60_000  # ms


MEASURED = ".qs-number:not([data-number=Latency])"


def numbers(page: Page) -> dict[str, str]:
    """What the header shows of size and quality once it is measured, by label; and the SQNR."""
    expect(page.locator(".qs-number")).to_have_count(4)
    expect(page.locator(f"{MEASURED} b", has_text="○")).to_have_count(0, timeout=MEASURED_WITHIN)
    found = {
        n.get_attribute("data-number") or "": n.locator("b").inner_text()
        for n in page.locator(MEASURED).all()
    }
    note = page.locator('[data-number="Agreement"] small').last.inner_text()
    return found | {"SQNR": note.split(",")[0]}


def command_line(repo: Path, *arguments: str) -> dict:
    """What the command line says, as JSON."""
    command = [sys.executable, "-m", "quant_core", *arguments, "--json"]
    return json.loads(subprocess.run(command, cwd=repo, capture_output=True, check=True, timeout=300).stdout)


def shown(record: dict) -> dict[str, str]:
    """What the header must show for an evaluation of the command line."""

    def three(value: float) -> str:
        return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"

    size, unit = record["bytes"] / 1024, "KiB"
    if size >= 1024:
        size, unit = size / 1024, "MiB"
    return {
        "Size": f"{three(size)} {unit}",
        record["metric_name"].capitalize(): f"{three(100 * record['metric'])} %",
        "Agreement": f"{three(100 * record['agreement'])} %",
        "SQNR": f"{record['sqnr_db']:.1f} dB",
    }


def download(page: Page, name: str, folder: Path) -> Path:
    """The file behind a download button of the desk."""
    with page.expect_download() as waiting:
        page.get_by_role("button", name=name, exact=True).click()
    target = folder / waiting.value.suggested_filename
    waiting.value.save_as(target)
    return target


def cell(page: Page, layer: str, column: str) -> object:
    """A cell of the matrix."""
    return page.locator(f'button.cell[aria-label^="{layer}, {column},"]')


def filled(page: Page) -> None:
    """Waits until every cell of the matrix is measured."""
    expect(page.locator("button.cell").first).to_be_visible(timeout=MEASURED_WITHIN)
    expect(page.locator("button.cell.empty:not([aria-label*='fp32'])")).to_have_count(0, timeout=120_000)


PAGES = {
    "/": "Start",
    "/model": "Model",
    "/weights": "Weights",
    "/activations": "Activations",
    "/integer-arithmetic": "Integer arithmetic",
    "/sensitivity": "Sensitivity",
    "/mixed-precision": "Mixed precision",
    "/compare": "Compare",
    "/verify": "Verify",
    "/export": "Export",
}


USUAL = ("/", "/model", "/activations", "/verify")  # the other pages are opened by the tests below


@pytest.mark.parametrize(
    "path", [p if p in USUAL else pytest.param(p, marks=pytest.mark.slow) for p in PAGES]
)
def test_every_page_opens_on_the_analysed_sample(visit: Visit, repo: Path, path: str) -> None:
    page = visit(path)
    expect(page.locator('[data-chip="model"]')).to_contain_text("digits-mobile")
    expect(page.locator('[data-number="Top-1"]')).to_be_visible(timeout=MEASURED_WITHIN)
    card = json.loads((repo / "assets/samples/digits-mobile/card.json").read_text(encoding="utf-8"))
    assert numbers(page)["Top-1"] == f"{100 * card['metric_fp32']:.1f} %"
    expect(page.get_by_role("heading", name=PAGES[path], exact=True)).to_be_visible()


def test_the_matrix_fills_with_what_the_command_line_measures(visit: Visit, repo: Path) -> None:
    page = visit("/mixed-precision")
    filled(page)
    table = command_line(repo, "sweep", "sample:digits-mobile", "--formats", "int4", "--quantized", "weights")
    for wanted in table["cells"][::9]:
        expect(cell(page, wanted["layer"], "int4")).to_have_text(f"{wanted['sqnr_db']:.0f}")


def test_a_weight_and_an_activation_move_size_and_metric_as_the_command_line_says(
    visit: Visit, settle: Settle, repo: Path, tmp_path: Path
) -> None:
    page = visit("/mixed-precision")
    filled(page)
    before = numbers(page)
    cell(page, "block1.expand", "int4").click()
    expect(page.locator('[data-chip="plan"]')).to_contain_text("1 layer quantized")
    settle()
    after_weight = numbers(page)
    assert after_weight["Size"] != before["Size"]
    page.get_by_role("radio", name="Activations").click()
    settle()
    cell(page, "block2.project", "uint4").click()
    expect(page.locator('[data-chip="plan"]')).to_contain_text("2 layers quantized")
    settle()
    assert numbers(page)["SQNR"] != after_weight["SQNR"]

    page.get_by_role("link", name="Export", exact=True).first.click()
    expect(page.get_by_text("This file, measured")).to_be_visible(timeout=MEASURED_WITHIN)
    settle()
    plan = download(page, "Plan", tmp_path)
    assert len(json.loads(plan.read_text())["layers"]) == 2
    record = command_line(repo, "evaluate", "sample:digits-mobile", "--plan", str(plan))
    assert numbers(page) == shown(record)

    file = download(page, "ONNX file", tmp_path)
    assert file.stat().st_size == record["bytes"]
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    data = Study.open("sample:digits-mobile", "sample:digits-mobile").data
    right = sum(
        int((session.run(None, feeds)[0].argmax(-1) == labels).sum()) for feeds, labels in data.batches(32)
    )
    assert np.isclose(right / len(data), record["metric"])


def test_undo_redo_and_a_reload_bring_back_the_same_plan(visit: Visit, settle: Settle) -> None:
    page = visit("/mixed-precision")
    filled(page)
    float_numbers = numbers(page)
    page.get_by_role("button", name="int8 for all layers", exact=True).click()
    expect(page.locator('[data-chip="plan"]')).to_contain_text("27 layers quantized")
    settle()
    chosen = numbers(page)
    assert chosen["Size"] != float_numbers["Size"]
    page.get_by_role("button", name="Undo").click()
    expect(page.locator('[data-chip="plan"]')).to_contain_text("as opened")
    settle()
    assert numbers(page) == float_numbers
    page.get_by_role("button", name="Redo").click()
    expect(page.locator('[data-chip="plan"]')).to_contain_text("27 layers quantized")
    settle()
    assert numbers(page) == chosen
    page.reload()
    settle()
    assert numbers(page) == chosen
    page.get_by_role("link", name="Weights").first.click()
    settle()
    assert numbers(page) == chosen


@pytest.mark.slow
def test_a_locked_layer_keeps_its_format(visit: Visit, settle: Settle) -> None:
    page = visit("/mixed-precision")
    filled(page)
    page.get_by_role("button", name="Lock stem", exact=True).click()
    settle()
    page.get_by_role("button", name="int4 for all layers", exact=True).click()
    settle()
    expect(cell(page, "stem", "fp32")).to_have_attribute("aria-pressed", "true")
    expect(cell(page, "head", "int4")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text("it is locked")).to_be_visible()


def test_arrow_keys_and_enter_choose_a_format(visit: Visit, settle: Settle) -> None:
    page = visit("/mixed-precision")
    filled(page)
    cell(page, "stem", "fp16").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(cell(page, "block1.expand", "int8")).to_have_attribute("aria-pressed", "true")


@pytest.mark.slow
def test_search_stays_under_its_budget(visit: Visit, settle: Settle) -> None:
    page = visit("/mixed-precision")
    filled(page)
    page.get_by_role("button", name="Search and measure").click()
    expect(page.get_by_role("button", name="Searching")).to_be_visible()
    expect(page.locator('[data-chip="plan"]')).to_contain_text("Search, 20", timeout=MEASURED_WITHIN)
    settle()
    share = page.locator('[data-number="Size"] small').last.inner_text()
    assert float(share.split(" %")[0]) <= 20.0


@pytest.mark.slow
def test_a_wrong_path_is_one_calm_sentence_and_the_sample_stays_open(visit: Visit, settle: Settle) -> None:
    page = visit("/")
    page.get_by_role("tab", name="Path on this machine").click()
    page.get_by_label("Model", exact=True).fill("no/such/model.onnx")
    page.get_by_test_id("stFormSubmitButton").get_by_role("button", name="Open", exact=True).click()
    expect(page.get_by_text("There is no model file")).to_be_visible()
    settle()
    expect(page.locator('[data-chip="model"]')).to_contain_text("digits-mobile")


@pytest.mark.slow
def test_the_weights_page_follows_format_and_layer(visit: Visit, settle: Settle) -> None:
    page = visit("/weights")
    first = page.get_by_test_id("stMetricValue").first.inner_text()
    page.get_by_role("combobox", name="Format").click()
    page.keyboard.type("int4")
    page.get_by_role("option", name="int4", exact=True).click()
    settle()
    assert page.get_by_test_id("stMetricValue").first.inner_text() != first
    page.get_by_role("button", name="Next").click()
    settle()
    expect(page.get_by_role("combobox", name="Layer")).to_have_value("block1.expand  (Conv 1x1)")


@pytest.mark.slow
def test_a_model_of_your_own_opens_by_path(visit: Visit, settle: Settle, repo: Path, models: Path) -> None:
    page = visit("/")
    folder = models / "keywords"
    page.get_by_role("tab", name="Path on this machine").click()
    page.get_by_label("Model", exact=True).fill(str(folder / "model.onnx"))
    page.get_by_label("Data", exact=True).fill(str(folder / "data.npz"))
    page.get_by_text("Calibration and number of samples").locator("visible=true").click()
    page.get_by_label("Calibration", exact=True).fill(str(folder / "calibration.npz"))
    page.get_by_test_id("stFormSubmitButton").get_by_role("button", name="Open", exact=True).click()
    expect(page.locator('[data-chip="model"]')).to_contain_text("keywords", timeout=MEASURED_WITHIN)
    page.get_by_role("link", name="Mixed precision").first.click()
    settle()
    page.get_by_role("button", name="int8 for all layers", exact=True).click()
    expect(page.locator('[data-chip="plan"]')).to_contain_text("10 layers quantized")
    settle()
    arguments = ["--data", f"{folder / 'data.npz'}", "--calibration", f"{folder / 'calibration.npz'}"]
    model = str(folder / "model.onnx")
    record = command_line(repo, "evaluate", model, *arguments, "--samples", "256", "--preset", "int8-weights")
    assert numbers(page) == shown(record)


QUICK = ("/mixed-precision", "/export")  # a server each, so the other pages are for -m slow


@pytest.mark.parametrize(
    "path", [p if p in QUICK else pytest.param(p, marks=pytest.mark.slow) for p in PAGES]
)
def test_a_deep_link_to_a_fresh_server_shows_that_page(
    browser: Browser, fresh_server: str, path: str
) -> None:
    page = browser.new_page()
    page.goto(fresh_server + path)
    expect(page.get_by_role("heading", name=PAGES[path], exact=True)).to_be_visible(timeout=MEASURED_WITHIN)
    expect(page.get_by_role("link", name="Start")).to_be_visible()
    expect(page.locator(".qs-number")).to_have_count(4, timeout=MEASURED_WITHIN)
    expect(page.locator('[data-chip="model"]')).to_contain_text("digits-mobile")
    assert not page.get_by_role("dialog").count()
    page.close()
