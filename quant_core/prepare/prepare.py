"""Prepare a model: step by step, each proven by running the model before and after on the same samples."""

from __future__ import annotations

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
from quant_core.prepare.steps import free_initializers, lift_constants, name_nodes, raise_old_opset

PROOF_DB = 80.0  # float32 reordering stays far above, a wrong formula far below
SYNTHETIC_LENGTH = 8  # stands for an unknown dimension of a generated input


@dataclass(frozen=True)
class Step:
    """One step of preparation: what it did, and the worst SQNR (dB) of the outputs after it against those
    before.

    `proof_db` is None where the step only renames or moves what is stored. `kept` is False where it was
    undone."""

    name: str
    done: str
    proof_db: float | None
    kept: bool


def prepare(model: ir.Model, samples: Batch | None = None) -> tuple[ir.Model, tuple[Step, ...]]:
    """A prepared copy of `model`, and the steps taken. Proofs run on `samples`, or on generated inputs
    without.
    """
    prepared = ir.external_data.load_to_model(model.clone())
    feeds = samples if samples is not None else generate_inputs(inputs_of(model))
    steps: list[Step] = []
    expected = _outputs(prepared, feeds)

    def attempt(name: str, change: Callable[[ir.Model], tuple[ir.Model, str]]) -> None:
        nonlocal prepared
        try:
            candidate, done = change(prepared.clone())
        except ModelError as error:
            steps.append(Step(name, f"undone: {error.what}", None, False))
            return
        if not done:
            return
        if expected is None:
            prepared = candidate
            steps.append(Step(name, f"{done} (not proven: the model did not run)", None, True))
            return
        actual = _outputs(candidate, feeds)
        proof = -200.0 if actual is None else _worst(expected, actual)
        kept = proof >= PROOF_DB
        steps.append(Step(name, done if kept else f"undone: outputs moved to {proof:.0f} dB", proof, kept))
        if kept:
            prepared = candidate

    def counted(step: Callable[[ir.Model], int], text: str) -> Callable[[ir.Model], tuple[ir.Model, str]]:
        def change(candidate: ir.Model) -> tuple[ir.Model, str]:
            count = step(candidate)
            return candidate, text.format(count) if count else ""

        return change

    def raised(candidate: ir.Model) -> tuple[ir.Model, str]:
        result, old = raise_old_opset(candidate)
        return result, f"opset {old} raised to 13" if old else ""

    attempt("initializers", counted(free_initializers, "{} initializers taken off the list of inputs"))
    attempt("constants", counted(lift_constants, "{} Constant nodes turned into initializers"))
    attempt("opset", raised)
    attempt("batch norm", counted(fold_batch_norm, "{} BatchNormalization folded into the layer before"))
    attempt("names", counted(name_nodes, "{} nodes named"))
    return prepared, tuple(steps)


def generate_inputs(inputs: tuple[Port, ...], seed: int = 0) -> Batch:
    """Made-up inputs: normal noise for floats, zeros and ones for the rest, two samples where the batch is
    free.
    """
    rng = np.random.default_rng(seed)
    feeds: Batch = {}
    for port in inputs:
        free = [2 if i == 0 else SYNTHETIC_LENGTH for i in range(len(port.shape))]
        shape = [d if isinstance(d, int) else free[i] for i, d in enumerate(port.shape)]
        kind = np.dtype(port.dtype) if port.dtype not in ("str", "unknown") else np.dtype(np.float32)
        made = rng.normal(size=shape) if kind.kind == "f" else rng.integers(0, 2, size=shape)
        feeds[port.name] = np.asarray(made).astype(kind)
    return feeds


def _outputs(model: ir.Model, feeds: Batch) -> Outputs | None:
    """Outputs for `feeds`, None where the model cannot run on them."""
    try:
        return run_whole(make_session(bytes(ir.to_proto(model).SerializeToString()), "float"), feeds)
    except ModelError:
        return None


def _worst(expected: Outputs, actual: Outputs) -> float:
    if len(expected) != len(actual) or any(e.shape != a.shape for e, a in zip(expected, actual, strict=True)):
        return -200.0
    floats = [
        (np.asarray(e, np.float64), np.asarray(a, np.float64))
        for e, a in zip(expected, actual, strict=True)
        if e.dtype.kind == "f"
    ]
    others = [(e, a) for e, a in zip(expected, actual, strict=True) if e.dtype.kind != "f"]
    if any(not np.array_equal(e, a) for e, a in others):
        return -200.0
    return min((sqnr_db(e, a) for e, a in floats), default=200.0)
