"""How long the exported file of a plan takes against the user's FP32 file, on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from quant_core.engine import TIMED_WITHIN, batch_size, latency_ratios
from quant_core.graph import inputs_of, runnable
from quant_core.plan import Plan
from quant_core.study.study import Study

_RUNS = 24
_NOISY = 1.5  # times between the quartiles


@dataclass(frozen=True)
class Latency:
    """Time of the exported file over that of FP32, default options: median and quartiles of `runs`
    interleaved pairs of `batch` samples.
    """

    ratio: float
    low: float
    high: float
    runs: int
    batch: int

    @property
    def is_noisy(self) -> bool:
        """Whether the quartiles lie so far apart that the machine must have been busy."""
        return self.high > _NOISY * self.low


def known_latency(study: Study, plan: Plan, decoder: str = "cast") -> Latency | None:
    """The latency of `plan` if it was measured before."""
    record = study.store.get(_about(study, plan, decoder))
    return None if record is None else Latency(**record)


def measure_latency(
    study: Study, plan: Plan, pulse: Callable[[], None] = lambda: None, decoder: str = "cast"
) -> Latency:
    """Measure and keep the latency of `plan`; `pulse` is called between runs."""
    model = study.lowered(plan, decoder)
    size = batch_size(inputs_of(study.graph.file.model), dynamic=True)
    ratios = latency_ratios(runnable(study.graph.file), model, study.data, size, _RUNS, pulse, TIMED_WITHIN)
    low, median, high = (float(q) for q in np.quantile(ratios, (0.25, 0.5, 0.75)))
    found = Latency(median, low, high, len(ratios), size)
    study.store.put(_about(study, plan, decoder), asdict(found))
    return found


def _about(study: Study, plan: Plan, decoder: str) -> dict[str, Any]:
    about = study.keys.plan(plan, "shipped", study.data, decoder)
    return about | {"what": f"latency {plan.key}", "runs": _RUNS}
