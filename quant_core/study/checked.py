"""The check of preprocessing, made once for a source and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from quant_core.data import PRESETS
from quant_core.engine import ENGINE
from quant_core.errors import DataError
from quant_core.store import Store
from quant_core.study.check_data import DataCheck, DataFit, check_preprocess
from quant_core.study.source import Source

_KEPT_OPTIONS = ("stretch", "crop", "nchw", "nhwc")


def can_check(source: Source) -> bool:
    """Whether `source` names images of the user's own with their preprocessing."""
    if source.data is None or source.preprocess is None or source.is_sample:
        return False
    return Path(source.data).is_dir() or source.data.lower().endswith(".zip")


def known_check(source: Source) -> DataCheck | None:
    """The check of `source` if it was made."""
    record = Store().get(_about(source))
    if record is None:
        return None
    fits = tuple(DataFit(**fit) for fit in record["fits"])
    return DataCheck(**{**record, "fits": fits})


def keep_check(source: Source, progress: Callable[[int, int], None] | None = None) -> DataCheck:
    """Check the preprocessing of `source`, unless that was done, and keep what is found. DataError where it
    names no images.
    """
    found = known_check(source)
    if found is None:
        if source.data is None or source.preprocess is None:
            raise DataError("no images are named", "open a folder of images with its preprocessing")
        found = check_preprocess(
            source.model, source.data, source.preprocess, details=source, progress=progress
        )
        Store().put(_about(source), found.to_json())
    return found


def with_better(source: Source, check: DataCheck) -> Source | None:
    """`source` with the preprocessing that fits better, images made to fit as before; None where there is
    none, or none that has a name.
    """
    base = (check.better or "").split("+")[0]
    if check.better is None or base not in PRESETS:
        return None
    kept = [o for o in (source.preprocess or "").split("+")[1:] if o in _KEPT_OPTIONS]
    return replace(source, preprocess="+".join([check.better, *kept]))


def _about(source: Source) -> dict[str, Any]:
    asked = asdict(replace(source, samples=None, calibration=None))
    return {"what": "preprocessing check", "source": asked, "stamps": source.stamps, "engine": ENGINE}
