"""Open what a user names: a model, its data, and the samples that calibrate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quant_core.data import (
    COUNT,
    GENERATED,
    PREFIX,
    Batch,
    Dataset,
    Reading,
    draw,
    generated_data,
    get_sample,
    open_data,
    set_aside,
)
from quant_core.engine import fixed_batch
from quant_core.errors import ArgumentError
from quant_core.graph import ModelFile, Port, read_model
from quant_core.study.hub import HubModel, is_hub, kept_path

_PROOF_SAMPLES = 4


@dataclass(frozen=True)
class OpenedData:
    """Samples to evaluate, and those that calibrate; None where there are none."""

    evaluation: Dataset | None
    calibration: Dataset | None


def open_model(reference: str | Path) -> ModelFile:
    """The model at a path, of `sample:NAME`, or of the hub if it was fetched."""
    if str(reference).startswith(PREFIX):
        sample = get_sample(str(reference))
        return read_model(sample.model, sample.name)
    if is_hub(str(reference)):
        return read_model(kept_path(str(reference)), HubModel.parse(str(reference)).repo.split("/")[-1])
    return read_model(reference)


def open_samples(
    reference: str | Path | None,
    inputs: tuple[Port, ...],
    calibration: str | None = None,
    preprocess: str | None = None,
    samples: int | None = None,
    reading: Reading | None = None,
    rows: Mapping[str, int] | None = None,
) -> OpenedData:
    """The data at a path or of `sample:NAME`; None for none: only a path or generated samples calibrate.

    `calibration` is `none`, a number of samples to set aside, a path, or `generated:N` for made-up samples,
    whose indices stay below `rows`. Without it a bundled sample uses its own calibration split, and other
    data set aside a fifth. `samples` draws that many of the rest."""
    made = _generated(calibration, inputs, reading, rows)
    if reference is None:
        named = calibration not in (None, "none") and not _is_number(str(calibration))
        if named and made is None:
            made = open_samples(str(calibration), inputs, "none", preprocess, None, reading).evaluation
        return OpenedData(None, made)
    text = str(reference)
    sample = get_sample(text) if text.startswith(PREFIX) else None
    whole = open_data(sample.evaluation if sample else reference, inputs, preprocess, reading)
    whole.name = f"{sample.name} evaluation" if sample else whole.name
    calibrating: Dataset | None
    if made is not None:
        evaluation, calibrating = whole, made
    elif calibration is None and sample is not None:
        evaluation, calibrating = whole, open_data(sample.calibration, inputs)
    elif calibration is None:
        evaluation, calibrating = set_aside(whole) if len(whole) > 1 else (whole, None)
    elif calibration == "none":
        evaluation, calibrating = whole, None
    elif _is_number(calibration):
        evaluation, calibrating = set_aside(whole, int(calibration))
    elif calibration.startswith(PREFIX):
        evaluation, calibrating = whole, open_data(get_sample(calibration).calibration, inputs)
    else:
        evaluation, calibrating = whole, open_data(calibration, inputs, preprocess, reading)
    if samples is not None:
        evaluation = draw(evaluation, samples)
    return OpenedData(evaluation, calibrating)


def proof_samples(data: Dataset, inputs: tuple[Port, ...]) -> Batch:
    """A few samples that preparation proves its steps on, as many as the model takes at a time."""
    count = fixed_batch(inputs) or min(len(data), _PROOF_SAMPLES)
    return data.take(np.arange(count) % len(data))


def _generated(
    calibration: str | None, inputs: tuple[Port, ...], reading: Reading | None, rows: Mapping[str, int] | None
) -> Dataset | None:
    """Made-up samples where `calibration` asks for them."""
    kind, colon, count = (calibration or "").partition(":")
    if kind != GENERATED:
        return None
    if colon and not count.isdecimal():
        raise ArgumentError(f"calibration is '{calibration}'", "write generated, or generated:64")
    sizes = {} if reading is None else reading.sizes
    return generated_data(inputs, rows or {}, int(count) if colon else COUNT, sizes)


def _is_number(text: str) -> bool:
    try:
        number = int(text)
    except ValueError:
        return False
    if number < 1:
        raise ArgumentError(f"calibration is '{text}'", "give none, a number above 0, a path, or generated")
    return True
