"""What can be saved of a file without changing what it computes, each saving proven on data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from quant_core.data import Batch, Outputs
from quant_core.lower import SAVINGS, drop_notes, size_of
from quant_core.prepare.prepare import first_that_runs, outputs_of_run, worst_sqnr
from quant_core.prepare.steps import counted, free_initializers, lift_constants, lift_stored

NOTES = "notes"
_NOTES_TEXT = "names shortened; documentation, metadata and shape information dropped"
_EQUAL_DB = 200.0


@dataclass(frozen=True)
class Saving:
    """A lossless saving: its kind, what it does, how many bytes of the FP32 file it saves, and the SQNR (dB)
    of the outputs with it, 200 where they are equal to the bit. `proven_db` is None where the model could not
    be run. `kept` is False where it is not applied.
    """

    kind: str
    what: str
    bytes: int
    proven_db: float | None
    kept: bool


def find_savings(model: ir.Model, samples: Batch | None = None) -> tuple[Saving, ...]:
    """The savings that apply to the user's `model`, one on top of the other. Proofs run on `samples`, or on
    generated inputs without: once with all of them, and one by one where that is not equal to the bit.
    """
    base = _movable(model)
    feeds, expected = first_that_runs(base, samples)
    together, sizes = _apply_all(base)
    if not sizes:
        return ()
    if expected is not None:
        actual = outputs_of_run(together, feeds)
        if actual is not None and _identical(expected, actual):
            return tuple(Saving(kind, text, saved, _EQUAL_DB, True) for kind, text, saved in sizes)
    found: list[Saving] = []
    for kind in (*SAVINGS, NOTES):
        candidate = base.clone()
        text, saved = _apply(candidate, kind, size_of(base))
        if not text:
            continue
        saving = _proven(kind, text, saved, candidate, feeds, expected)
        base = candidate if saving.kept else base
        if saved > 0 or not saving.kept:
            found.append(saving)
    return tuple(found)


def may_save(model: ir.Model) -> bool:
    """Whether a saving that must be proven first applies to `model`."""
    trial = _movable(model)
    return any(change(trial) for change, _ in SAVINGS.values())


def _movable(model: ir.Model) -> ir.Model:
    """A copy of `model` with everything that it stores as initializers of the graph."""
    copy = ir.external_data.load_to_model(model.clone())
    for move in (free_initializers, lift_constants, lift_stored):
        move(copy)
    return copy


def _apply_all(base: ir.Model) -> tuple[ir.Model, list[tuple[str, str, int]]]:
    """A copy of `base` with every saving, and (kind, what, bytes) of those that save something."""
    model, size = base.clone(), size_of(base)
    found = []
    for kind in (*SAVINGS, NOTES):
        text, saved = _apply(model, kind, size)
        size -= saved
        if saved > 0:
            found.append((kind, text, saved))
    return model, found


def _apply(model: ir.Model, kind: str, size: int) -> tuple[str, int]:
    """Apply one saving to `model`, whose file has `size` bytes. Gives what it did, empty where nothing, and
    how many bytes it saves.
    """
    if kind == NOTES:
        drop_notes(model)
        return _NOTES_TEXT, size - size_of(model)
    change, text = SAVINGS[kind]
    count = change(model)
    return (counted(text, count), size - size_of(model)) if count else ("", 0)


def _proven(
    kind: str, text: str, saved: int, candidate: ir.Model, feeds: Batch, expected: Outputs | None
) -> Saving:
    if expected is None:
        kept = kind in (NOTES, "unused", "duplicates")
        why = text if kept else f"undone: {text}, which is not proven: the model did not run; give it data"
        return Saving(kind, why, saved, None, kept)
    actual = outputs_of_run(candidate, feeds)
    if actual is None:
        return Saving(kind, f"undone: {text}, and the model no longer runs", saved, -_EQUAL_DB, False)
    if _identical(expected, actual):
        return Saving(kind, text, saved, _EQUAL_DB, True)
    return Saving(kind, f"undone: {text}, and outputs moved", saved, worst_sqnr(expected, actual), False)


def _identical(expected: Outputs, actual: Outputs) -> bool:
    return len(expected) == len(actual) and all(
        e.dtype == a.dtype and np.array_equal(e, a, equal_nan=e.dtype.kind == "f")
        for e, a in zip(expected, actual, strict=True)
    )
