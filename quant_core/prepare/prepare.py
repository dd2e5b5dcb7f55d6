"""Prepare a model: step by step, each proven by running the model before and after on the same samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from quant_core.data import Batch, Outputs
from quant_core.engine import make_session, run_whole
from quant_core.errors import ModelError
from quant_core.formats import sqnr_db
from quant_core.graph import Port, inputs_of
from quant_core.prepare.batch_norm import fold_batch_norm
from quant_core.prepare.fold import fold_constants
from quant_core.prepare.image_scaler import replace_image_scalers
from quant_core.prepare.steps import (
    LOWEST_OPSET,
    counted,
    free_initializers,
    infer_types,
    inline_functions,
    lift_constants,
    lift_stored,
    name_nodes,
    raise_old_opset,
)

PROOF_DB = 80.0  # float32 reordering stays far above, a wrong formula far below
_LENGTHS = (8, 64, 512, 2)  # stand for an unknown dimension of a generated input, the first that runs
_BATCH = 2
_FOLDED = "{n} node{s} that depend on stored tensors alone computed"
_MOST_VALUES = 1 << 26  # of all generated inputs together
_Change = Callable[[ir.Model], tuple[ir.Model, str]]


@dataclass(frozen=True)
class Step:
    """One step of preparation: what it did, and the worst SQNR (dB) of the outputs after it against those
    before.

    `proof_db` is None where nothing could be run: what only renames or moves is kept then, the rest undone.
    `kept` is False where it was undone."""

    name: str
    done: str
    proof_db: float | None
    kept: bool


def prepare(model: ir.Model, samples: Batch | None = None) -> tuple[ir.Model, tuple[Step, ...]]:
    """A prepared copy of `model`, and the steps taken. Proofs run on `samples`, or on generated inputs
    without.
    """
    work = _Work(ir.external_data.load_to_model(model.clone()), samples)
    work.attempt("functions", _counted(inline_functions, "{n} function{s} written out"), moves=True)
    text = "{n} initializer{s} taken off the list of inputs"
    work.attempt("initializers", _counted(free_initializers, text), moves=True)
    text = "{n} Constant node{s} turned into initializers"
    work.attempt("constants", _counted(lift_constants, text), moves=True)
    text = "{n} tensor{s} stored in bodies moved to the graph around them"
    work.attempt("bodies", _counted(lift_stored, text), moves=True)
    work.attempt("image scaler", _counted(replace_image_scalers, "{n} ImageScaler written as Mul and Add"))
    work.attempt("opset", _raised)
    work.attempt("folding", _folded)
    text = "{n} BatchNormalization folded into the layer before"
    work.attempt("batch norm", _counted(fold_batch_norm, text))
    work.attempt("names", _counted(name_nodes, "{n} node{s} named"), moves=True)
    text = "types and shapes of {n} tensor{s} inferred"
    work.attempt("shapes", _counted(infer_types, text), moves=True)
    return work.model, tuple(work.steps)


def prepare_unrun(model: ir.Model, why: str) -> tuple[ir.Model, tuple[Step, ...]]:
    """As `prepare`, of a model too large to be run or copied: only what moves or renames, and `why`."""
    prepared = model.clone()
    steps = [Step("proofs", f"undone: {why}", None, False)]
    for name, change, text in (
        ("initializers", free_initializers, "{n} initializer{s} taken off the list of inputs"),
        ("names", name_nodes, "{n} node{s} named"),
    ):
        if count := change(prepared):
            steps.append(Step(name, counted(text, count), None, True))
    return prepared, tuple(steps)


class _Work:
    """The model as far as it is prepared, with the outputs that every step must keep."""

    def __init__(self, model: ir.Model, samples: Batch | None) -> None:
        self.model = model
        self.steps: list[Step] = []
        self._spare: ir.Model | None = None
        self._feeds, self._expected = first_that_runs(model, samples)

    def attempt(self, name: str, change: _Change, moves: bool = False) -> None:
        """Take the step `change` if the outputs stay. One that only `moves` what is stored is also kept where
        the model does not run."""
        spare, self._spare = self._spare or self.model.clone(), None
        try:
            candidate, done = change(spare)
        except ModelError as error:
            self._undo(name, error.what)
            return
        except Exception as error:  # converters and passes of others raise and assert what they like
            self._undo(name, f"it failed ({type(error).__name__})")
            return
        if not done:
            self._spare = candidate  # as it was: the next step can have it
            return
        if self._expected is None:
            if moves:
                self.model = candidate
                self.steps.append(Step(name, f"{done} (not proven: the model did not run)", None, True))
            else:
                self._undo(name, f"{done}, which is not proven: the model did not run; give it data")
            return
        actual = outputs_of_run(candidate, self._feeds)
        proof = -200.0 if actual is None else worst_sqnr(self._expected, actual)
        if proof < PROOF_DB:
            moved = "the model no longer runs" if actual is None else f"outputs moved to {proof:.0f} dB"
            self._undo(name, moved, proof)
            return
        self.model = candidate
        self.steps.append(Step(name, done, proof, True))

    def _undo(self, name: str, why: str, proof: float | None = None) -> None:
        self.steps.append(Step(name, f"undone: {why[:1].lower()}{why[1:]}", proof, False))


def _counted(step: Callable[[ir.Model], int], text: str) -> _Change:
    def change(candidate: ir.Model) -> tuple[ir.Model, str]:
        count = step(candidate)
        return candidate, counted(text, count) if count else ""

    return change


def _raised(candidate: ir.Model) -> tuple[ir.Model, str]:
    result, old = raise_old_opset(candidate)
    return result, f"opset {old} raised to {LOWEST_OPSET}" if old else ""


def _folded(candidate: ir.Model) -> tuple[ir.Model, str]:
    count, grown = fold_constants(candidate)
    larger = f"; stored tensors grew by {grown:,} bytes" if grown > 0 else ""
    return candidate, f"{counted(_FOLDED, count)}{larger}" if count else ""


def generate_inputs(inputs: tuple[Port, ...], seed: int = 0, length: int = _LENGTHS[0]) -> Batch:
    """Made-up inputs: normal noise for floats, zeros and ones for the rest, two samples where the batch is
    free, `length` for other free dimensions. Dimensions of one name have one size.
    """
    rng = np.random.default_rng(seed)
    named: dict[str, int] = {}
    for position in (0, 1):  # what is a first dimension anywhere is the batch
        for port in inputs:
            for i, d in enumerate(port.shape):
                if isinstance(d, str) and (i == 0) == (position == 0):
                    named.setdefault(d, _BATCH if i == 0 else length)
    feeds: Batch = {}
    for port in inputs:
        free = [_BATCH if i == 0 else length for i in range(len(port.shape))]
        sizes = [named.get(d, free[i]) if isinstance(d, str) else d for i, d in enumerate(port.shape)]
        shape = [free[i] if d is None else d for i, d in enumerate(sizes)]
        kind = np.dtype(port.dtype) if port.dtype not in ("str", "unknown") else np.dtype(np.float32)
        made = rng.normal(size=shape) if kind.kind == "f" else rng.integers(0, 2, size=shape)
        feeds[port.name] = np.asarray(made).astype(kind)
    return feeds


def first_that_runs(model: ir.Model, samples: Batch | None) -> tuple[Batch, Outputs | None]:
    """Inputs on which the model runs, and its outputs there: the samples, else inputs of one length after the
    other."""
    if samples is not None:
        return samples, outputs_of_run(model, samples)
    inputs = inputs_of(model)
    free = any(not isinstance(d, int) for port in inputs for d in port.shape[1:])
    feeds = generate_inputs(inputs) if _fits(inputs, _LENGTHS[0]) else {}
    try:
        session = make_session(bytes(ir.to_proto(model).SerializeToString()), "float")
    except ModelError:
        return feeds, None
    for length in _LENGTHS if free else _LENGTHS[:1]:
        if not _fits(inputs, length):
            continue
        feeds = generate_inputs(inputs, length=length)
        try:
            return feeds, run_whole(session, feeds)
        except ModelError:  # another length may do
            continue
    return feeds, None


def _fits(inputs: tuple[Port, ...], length: int) -> bool:
    """Whether inputs of this length can be made without much memory."""
    return sum(math.prod(_sizes(port, length)) for port in inputs) <= _MOST_VALUES


def _sizes(port: Port, length: int) -> list[int]:
    return [d if isinstance(d, int) else length for d in port.shape]


def outputs_of_run(model: ir.Model, feeds: Batch) -> Outputs | None:
    """Outputs for `feeds`, None where the model cannot run on them."""
    try:
        return run_whole(make_session(bytes(ir.to_proto(model).SerializeToString()), "float"), feeds)
    except ModelError:
        return None


def worst_sqnr(expected: Outputs, actual: Outputs) -> float:
    """The lowest SQNR of any output in dB; -200 where shapes differ, or anything that is no float."""
    if len(expected) != len(actual):
        return -200.0
    worst = 200.0
    for e, a in zip(expected, actual, strict=True):
        if e.shape != a.shape or e.dtype != a.dtype:
            return -200.0
        if e.dtype.kind != "f":
            worst = worst if np.array_equal(e, a) else -200.0
        elif not np.array_equal(e, a, equal_nan=True):
            wide, got = e.astype(np.float64), a.astype(np.float64)
            same = (wide == got) | (np.isnan(wide) & np.isnan(got))  # equal infinities too
            worst = min(
                worst,
                sqnr_db(np.where(same, np.nan_to_num(wide), wide), np.where(same, np.nan_to_num(wide), got)),
            )
    return worst
