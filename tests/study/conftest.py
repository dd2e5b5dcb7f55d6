"""The fast sample, opened with a store of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from quant_core.store import Store
from quant_core.study import Study

CNN = "sample:digits-cnn"


@pytest.fixture
def open_study(tmp_path: Path) -> Callable[..., Study]:
    """`open_study()` opens digits-cnn with 60 samples. Each call is like another process on one store."""

    def opened(samples: int | None = 60, calibration: str | None = None) -> Study:
        return Study.open(CNN, CNN, calibration, None, samples, Store(tmp_path))

    return opened
