"""What samples look like: pictures, numbers, and the text that tokens stand for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from quant_core.study import Study, preview


@pytest.fixture
def reviews(repo: Path, tmp_path: Path) -> Path:
    """A copy of the bundled text model, with its samples as tokens and as lines."""
    for file in (repo / "assets" / "samples" / "reviews-transformer").iterdir():
        shutil.copy(file, tmp_path / file.name)
    return tmp_path


def fed(folder: Path, which: list[int]) -> list[str]:
    """What preview shows of the token input."""
    study = Study.open(str(folder / "model.onnx"), str(folder / "evaluation.npz"), "none")
    return [p.values for p in preview(study, which) if p.input == "input_ids"]


def test_tokens_are_shown_as_their_text(reviews: Path) -> None:
    lines = (reviews / "evaluation.txt").read_text().splitlines()
    for number, said in zip([0, 3, 5], fed(reviews, [0, 3, 5]), strict=True):
        line = lines[number].rpartition("\t")[0]
        assert said.replace(" ", "") == f"[CLS] {line} [SEP]".replace(" ", "")


@pytest.mark.parametrize("content", [None, "{", "[]", '{"model": {"type": "BPE"}}'])
def test_without_a_tokenizer_that_can_be_read_tokens_are_numbers(reviews: Path, content: str | None) -> None:
    file = reviews / "tokenizer.json"
    file.unlink() if content is None else file.write_text(content)
    (said,) = fed(reviews, [0])
    numbers = said.removesuffix(" …").split(", ")
    assert len(numbers) == 24
    assert all(number.isdigit() for number in numbers)
