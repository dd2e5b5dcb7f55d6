"""Is the preprocessing the one that the model was trained with? Try the others on the same images.

Wrong preprocessing is the most common thing mistaken for quantization loss: the model still works, only
worse, and quantizing it makes that visible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant_core.data import PRESETS, Batch, Dataset, ImageDataset, Preprocess, draw, get_preprocess, open_data
from quant_core.data import sized as with_sizes
from quant_core.engine import batch_norm_distance, batch_size, make_session, run_whole
from quant_core.errors import DataError
from quant_core.graph import ModelFile, inputs_of
from quant_core.study.details import Details
from quant_core.study.open import open_model

SAMPLES = 64
MEASURED = 32  # samples that the statistics of inner tensors are taken of
CONFIDENCE = 0.99  # of the interval that must lie above one half
NEAR = 1.1  # times the distance of the best that counts as the same
FARTHER = 1.5  # times that the chosen preprocessing is farther from the statistics of training
LABELS, STATISTICS = "labels", "statistics"


@dataclass(frozen=True)
class DataFit:
    """How well one preprocessing fits: `metric` is top-1 (None without labels), `confidence` the mean of the
    highest class probability (None where outputs are no classes), `distance` that of the statistics to those
    of training in nats, see `engine.batch_norm_distance` (None without a BatchNormalization)."""

    preprocess: str
    chosen: bool
    metric: float | None
    confidence: float | None
    distance: float | None


@dataclass(frozen=True)
class DataCheck:
    """The fits, the chosen one first and then the best first, and the one that is clearly better than the
    chosen one, with a sentence that says so; None where there is none. `decided_by` says what
    there was, `labels`, `statistics` or both; None where there is neither: then nothing is said, since
    networks are often surest of what they understand least."""

    preprocess: str
    samples: int
    decided_by: str | None
    fits: tuple[DataFit, ...]
    better: str | None
    warning: str | None

    def to_json(self) -> dict[str, Any]:
        """The record of the command `check-data`."""
        return asdict(self) | {"fits": [asdict(f) for f in self.fits]}


@dataclass(frozen=True)
class _Tried:
    fit: DataFit
    right: NDArray[np.bool_] | None  # of each sample


def check_preprocess(
    model: str | Path | ModelFile,
    data: str | Path,
    preprocess: str,
    samples: int = SAMPLES,
    details: Details | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DataCheck:
    """Try `preprocess` and every preset, with red and with blue first, on at most `samples` of the images at
    `data`, by running the user's FP32 file.

    Another one is clearly better where, of the samples that only one of the two gets right, its share has a
    99 % Clopper-Pearson interval above one half; or where the chosen one is at least 1.5 times as far from
    the statistics of training, and labels, if there are some, do not speak against it. DataError where the
    data is no folder or archive of images."""
    file = model if isinstance(model, ModelFile) else open_model(model)
    reading = (details or Details()).reading(file)
    ports = with_sizes(inputs_of(file.model), reading.sizes)
    chosen = get_preprocess(preprocess)
    whole = open_data(data, ports, chosen, reading)
    if not isinstance(whole, ImageDataset):
        raise DataError(f"'{whole.name}' holds no images", "give a folder or a zip archive of images")
    tried: list[_Tried] = []
    rivals = _rivals(chosen, whole.wanted.channels)
    for number, one in enumerate((chosen, *rivals)):
        tried.append(_try(file, draw(whole.prepared_as(one), samples), one.name, number == 0))
        if progress is not None:
            progress(number + 1, 1 + len(rivals))
    better, by = _better(tried)
    order = sorted((t.fit for t in tried[1:]), key=_rank)
    count = min(samples, len(whole))
    warning = None if better is None else _sentence(tried[0].fit, better, count)
    return DataCheck(
        chosen.name,
        count,
        by,
        (tried[0].fit, *order),
        None if better is None else better.preprocess,
        warning,
    )


def _rivals(chosen: Preprocess, channels: int) -> list[Preprocess]:
    """Every preset that has values for so many channels, with its colours both ways, that is not the chosen
    one; images are made to fit as chosen."""
    found = [replace(p, fit=chosen.fit, layout=chosen.layout) for p in PRESETS.values()]
    found = [p for p in found if {len(p.mean), len(p.std)} <= {1, channels}]
    if channels == 3:
        found += [p.turned() for p in (*found, chosen)]
    same = {_numbers(chosen)}
    rivals = []
    for one in found:
        if _numbers(one) not in same:
            same.add(_numbers(one))
            rivals.append(one)
    return rivals


def _numbers(p: Preprocess) -> tuple[object, ...]:
    return p.scale, p.mean, p.std, p.bgr


def _try(file: ModelFile, data: Dataset, name: str, chosen: bool) -> _Tried:
    size = batch_size(inputs_of(file.model))
    session = make_session(file.path, "float")
    feeds: Batch = data.take(np.arange(len(data)))
    batches = [{k: a[i : i + size] for k, a in feeds.items()} for i in range(0, len(data), size)]
    outputs = np.concatenate([run_whole(session, batch)[0] for batch in batches])
    right = confidence = None
    if outputs.ndim == 2 and outputs.shape[1] > 1 and outputs.dtype.kind == "f":
        confidence = float(_probabilities(outputs).max(axis=1).mean())
        if data.labels is not None and data.labels.shape == outputs.shape[:1]:
            right = outputs.argmax(axis=1) == data.labels
    step = -(-len(data) // MEASURED)
    distance = batch_norm_distance(file.model, {k: a[::step] for k, a in feeds.items()}, size)
    metric = None if right is None else float(right.mean())
    return _Tried(DataFit(name, chosen, metric, confidence, distance), right)


def _probabilities(outputs: NDArray[np.generic]) -> NDArray[np.float64]:
    wide = np.nan_to_num(np.asarray(outputs, np.float64))
    if wide.min() >= 0 and np.allclose(wide.sum(axis=1), 1.0, atol=1e-3):
        return wide
    grown = np.exp(wide - wide.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True), np.float64)


def _rank(fit: DataFit) -> tuple[float, float, float]:
    return (
        -(fit.metric if fit.metric is not None else 0.0),
        fit.distance if fit.distance is not None else 0.0,
        -(fit.confidence if fit.confidence is not None else 0.0),
    )


def _better(tried: list[_Tried]) -> tuple[DataFit | None, str | None]:
    """The best of those that are clearly better than the first, and what decided."""
    by = [LABELS] if tried[0].right is not None else []
    by += [STATISTICS] if tried[0].fit.distance is not None else []
    found = [t.fit for t in tried[1:] if _clear_by_labels(tried[0], t) or _clear_by_statistics(tried[0], t)]
    return (_first_of_the_best(found) if found else None), " and ".join(by) or None


def _first_of_the_best(found: list[DataFit]) -> DataFit:
    """The best; of those that are as good (as 127 and 127.5 are) the first in the list of presets."""
    best = min(found, key=_rank)
    return next(
        f for f in found if f.metric == best.metric and (f.distance or 0.0) <= NEAR * (best.distance or 0.0)
    )


def _clear_by_labels(chosen: _Tried, other: _Tried) -> bool:
    from scipy.stats import binomtest  # slow to import, and only this check needs it

    won, lost = _won_and_lost(chosen, other)
    return won > lost and bool(binomtest(won, won + lost).proportion_ci(CONFIDENCE, "exact").low > 0.5)


def _won_and_lost(chosen: _Tried, other: _Tried) -> tuple[int, int]:
    """Samples that only the other gets right, and that only the chosen one does."""
    if chosen.right is None or other.right is None:
        return 0, 0
    return int((other.right & ~chosen.right).sum()), int((chosen.right & ~other.right).sum())


def _clear_by_statistics(chosen: _Tried, other: _Tried) -> bool:
    mine, its = chosen.fit, other.fit
    won, lost = _won_and_lost(chosen, other)
    if mine.distance is None or its.distance is None or won < lost:
        return False
    return mine.distance > FARTHER * its.distance


def _sentence(chosen: DataFit, better: DataFit, samples: int) -> str:
    if better.metric is not None and chosen.metric is not None and better.metric > chosen.metric:
        said = f"top-1 {100 * better.metric:.1f} % against {100 * chosen.metric:.1f} %"
    else:
        said = (
            f"what enters the BatchNormalizations is {better.distance:.3g} nats from that of training"
            f" against {chosen.distance:.3g}"
        )
    return (
        f"The preprocessing '{better.preprocess}' fits this model clearly better than '{chosen.preprocess}':"
        f" {said}, on {samples} images."
    )
