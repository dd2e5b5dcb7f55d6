"""Lines of text as token indices, by a `tokenizer.json` as Hugging Face's library tokenizers writes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant_core.data.dataset import Batch, Labels
from quant_core.data.scores import IGNORE
from quant_core.errors import DataError
from quant_core.graph import Port

LENGTH = 512  # tokens of a line at most where neither the model nor the user says
TEXT_BYTES = 256 << 20
MASKS = ("attention_mask", "input_mask", "mask")
SEGMENTS = ("token_type_ids", "segment_ids")
POSITIONS = ("position_ids",)
_PADDING = ("[PAD]", "<pad>", "<|endoftext|>", "</s>")


def read_text(
    path: Path, inputs: tuple[Port, ...], outputs: tuple[Port, ...], tokenizer: Path
) -> tuple[dict[str, np.ndarray], Labels | None, tuple[str, ...]]:
    """Arrays for the token inputs, labels, and notes, from the lines of the UTF-8 file at `path`: one sample
    a line, and if wanted a tab and a whole number.

    Lines are cut or padded to the length of the input, or to the longest line. Without labels, and where the
    model gives logits for each token and does not look ahead, labels are the next tokens. DataError where a
    file cannot be read or the model takes no tokens."""
    lines, labels = _lines(path)
    tokens = _token_input(inputs)
    encoder = _tokenizer(tokenizer)
    size = tokens.shape[1]
    limit = size if isinstance(size, int) else LENGTH
    encoded = _encoded(encoder, lines, limit, tokenizer.name)
    length = size if isinstance(size, int) else max(1, *(len(e) for e in encoded))
    ids = np.full((len(lines), length), _padding(encoder), np.int64)
    mask = np.zeros_like(ids)
    for row, found in enumerate(encoded):
        ids[row, : len(found)], mask[row, : len(found)] = found, 1
    arrays: Batch = {tokens.name: ids}
    for port in inputs:
        if port.name in MASKS:
            arrays[port.name] = mask
        elif port.name in SEGMENTS:
            arrays[port.name] = np.zeros_like(ids)
        elif port.name in POSITIONS:
            arrays[port.name] = np.broadcast_to(np.arange(length), ids.shape).copy()
    looks_ahead = any(p.name in SEGMENTS for p in inputs)
    if labels is None and outputs and len(outputs[0].shape) == 3 and not looks_ahead:
        following = np.where(mask[:, 1:] == 1, ids[:, 1:], IGNORE)
        labels = np.concatenate([following, np.full((len(lines), 1), IGNORE)], axis=1)
        return arrays, labels, ("The labels are the next tokens of each line.",)
    return arrays, labels, ()


def decode_tokens(rows: NDArray[np.integer], tokenizer: Path) -> list[str]:
    """The text of each row of token indices, `[rows, tokens]`, without the padding at its end. DataError
    where the tokenizer cannot tell.
    """
    encoder = _read_once(tokenizer, tokenizer.stat().st_mtime_ns if tokenizer.is_file() else 0)
    with _refusing(f"the tokenizer '{tokenizer.name}' does not know the tokens"):
        filler, kept = _padding(encoder), []
        for row in rows.tolist():
            while len(row) > 1 and row[-1] == filler:
                row.pop()
            kept.append(row)
        return [str(said) for said in encoder.decode_batch(kept, skip_special_tokens=True)]


def token_input(inputs: tuple[Port, ...]) -> str | None:
    """The name of the input of token indices, None where there is none."""
    try:
        return _token_input(inputs).name
    except DataError:
        return None


@lru_cache(maxsize=4)
def _read_once(file: Path, changed: int) -> Any:
    """The tokenizer of a file, as it was `changed` last."""
    return _tokenizer(file)


def _lines(path: Path) -> tuple[list[str], NDArray[np.int64] | None]:
    try:
        if path.stat().st_size > TEXT_BYTES:
            raise DataError(f"'{path.name}' is larger than {TEXT_BYTES >> 20} MiB", "give fewer lines")
        rows = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"'{path.name}' is not text in UTF-8", "save it as UTF-8, one sample a line"
        ) from error
    if not rows:
        raise DataError(f"'{path.name}' holds no lines", "write one sample a line")
    rows = [r.removesuffix("\r") for r in rows]
    parts = [r.rpartition("\t") for r in rows]
    numbered = [bool(tab) and _is_whole(label) for _, tab, label in parts]
    if not any(numbered):
        return rows, None
    if not all(numbered):
        raise DataError(
            f"line {numbered.index(False) + 1} of '{path.name}' has no label, others do",
            "end each line with a tab and a whole number, or none",
        )
    return [text for text, _, _ in parts], np.asarray([int(label) for _, _, label in parts], np.int64)


def _is_whole(text: str) -> bool:
    digits = text.strip().removeprefix("-")
    return digits.isascii() and digits.isdecimal() and len(digits) < 19


def _token_input(inputs: tuple[Port, ...]) -> Port:
    """The input of token indices: `input_ids`, or the only one of whole numbers that is nothing else."""
    others = {*MASKS, *SEGMENTS, *POSITIONS}
    found = [
        p for p in inputs if len(p.shape) == 2 and p.dtype in ("int64", "int32") and p.name not in others
    ]
    named = [p for p in found if p.name == "input_ids"]
    if not (named or len(found) == 1):
        raise DataError("the model has no single input of token indices", "give the data as .npz")
    return (named or found)[0]


def _tokenizer(file: Path) -> Any:
    from tokenizers import Tokenizer

    if not file.is_file():
        raise DataError(
            "text needs a tokenizer", "name a tokenizer.json, or put one beside the text or the model"
        )
    with _refusing(f"'{file.name}' is not a readable tokenizer"):
        if file.stat().st_size > TEXT_BYTES:
            raise ValueError("too large")
        return Tokenizer.from_str(file.read_text(encoding="utf-8"))


def _encoded(encoder: Any, lines: list[str], limit: int, name: str) -> list[list[int]]:
    """The token indices of each line, at most `limit`."""
    with _refusing(f"the tokenizer '{name}' cannot read the text"):
        encoder.no_padding()
        encoder.enable_truncation(limit)
        return [list(e.ids) for e in encoder.encode_batch(lines)]


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """DataError for whatever the library tokenizers raises: plain Exception, and panics that derive from
    BaseException.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise DataError(what, "give the tokenizer.json of the model") from error


def _padding(encoder: Any) -> int:
    """The index that fills lines up: what the tokenizer calls padding, else 0."""
    known = (encoder.token_to_id(name) for name in _PADDING)
    return next((int(i) for i in known if i is not None), 0)
