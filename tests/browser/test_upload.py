"""Files dropped on the window open as a study of their own, and wrong ones leave what is open alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

Visit = Callable[..., Page]
Settle = Callable[[], None]


def drop(page: Page, label: str, file: Path) -> None:
    """Choose a file for the field called `label`, and wait until it is there."""
    field = page.get_by_test_id("stFileUploader").filter(has_text=label)
    field.locator("input[type=file]").set_input_files(file)
    expect(field.get_by_text(file.name)).to_be_visible(timeout=30_000)


def open_files(page: Page) -> None:
    page.get_by_role("button", name="Open files").click()


@pytest.mark.slow
def test_a_file_of_a_wrong_kind_is_refused_in_one_sentence(
    visit: Visit, settle: Settle, tmp_path: Path
) -> None:
    page = visit("/")
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    field = page.get_by_test_id("stFileUploader").filter(has_text="Model file")
    field.locator("input[type=file]").set_input_files(picture)
    expect(field.get_by_text("not allowed")).to_be_visible(timeout=30_000)
    open_files(page)
    expect(page.get_by_text("No model is chosen")).to_be_visible(timeout=30_000)
    settle()
    expect(page.locator('[data-chip="model"]')).to_contain_text("digits-mobile")


@pytest.mark.slow
def test_a_reload_in_the_middle_of_opening_loses_nothing(visit: Visit, settle: Settle, models: Path) -> None:
    page = visit("/")
    drop(page, "Model file", models / "odd" / "light_resnet50.onnx")
    open_files(page)
    expect(page.get_by_text("Opening the model and its data")).to_be_visible(timeout=30_000)
    page.reload()
    expect(page.locator('[data-chip="model"]')).to_contain_text("light_resnet50", timeout=120_000)
    settle()


def test_dropped_files_open_and_wrong_ones_change_nothing(
    visit: Visit, settle: Settle, repo: Path, tmp_path: Path
) -> None:
    sample = repo / "assets" / "samples" / "digits-cnn"
    page = visit("/")
    model = page.locator('[data-chip="model"]')

    open_files(page)
    expect(page.get_by_text("No model is chosen")).to_be_visible()

    garbage = tmp_path / "broken.onnx"
    garbage.write_bytes(b"this is no model")
    drop(page, "Model file", garbage)
    open_files(page)
    expect(page.get_by_text("is not a readable ONNX file")).to_be_visible(timeout=30_000)
    expect(model).to_contain_text("digits-mobile")

    drop(page, "Model file", sample / "model.onnx")
    wrong = tmp_path / "wrong.npz"
    wrong.write_bytes(b"this is no archive")
    drop(page, "Data file", wrong)
    open_files(page)
    expect(page.get_by_test_id("stAlert").filter(has_text="wrong.npz")).to_be_visible(timeout=30_000)
    expect(model).to_contain_text("digits-mobile")

    drop(page, "Data file", sample / "evaluation.npz")
    open_files(page)
    expect(model).to_contain_text("5 layers", timeout=30_000)
    expect(page.locator('[data-chip="data"]')).to_contain_text("samples")
    settle()
    page.reload()
    settle()
    expect(model).to_contain_text("model")
    expect(model).to_contain_text("5 layers")
