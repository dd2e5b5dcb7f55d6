"""Certificates of plans: what the exported file does, run as its user will, on all samples that are open.

Each part is kept as soon as it is measured: the outputs, then the layers, then speed and memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from quant_core.data import Quality, draw, measure_of
from quant_core.engine import Apart, Flip, batch_size, certify, fixed_batch, layer_errors
from quant_core.formats import sqnr_from_power
from quant_core.graph import inputs_of, runnable
from quant_core.lower import lowered_opset
from quant_core.plan import Plan
from quant_core.stats import CodeDifferences, paired_change, wilson
from quant_core.study.speed import known_speed, measure_speed
from quant_core.study.study import Study

LAYER_SAMPLES = 64  # SQNR ranks as well on 8 to 16 samples as on all (0.999), see DESIGN.md, section 4
CERTIFIED = ("outputs", "layers", "speed")  # parts of a certificate
# Three sessions are alive: MobileNet v1 at 32 samples took 540 MiB beyond what was there, see
# benchmarks/certify.py. Static ranges give the same numbers at any batch.
_AT_ONCE = 8
_COUNTED = ("differ", "beyond_one", "largest")
_COLUMNS = [
    "layer",
    "isolated_db",
    "accumulated_db",
    "codes",
    *_COUNTED,
    *(f"shipped_{name}" for name in _COUNTED),
]
Interval = tuple[float, float]
Tick = Callable[..., None]


@dataclass(frozen=True)
class Certificate:
    """What certifying found of one file, over `samples` samples. `quality` is by run: float, simulated,
    shipped.

    `outputs` has a row for each pair of runs and each float output: a, b, output, elements, differ, median,
    p99, largest (differences of b from a as a share of the root mean square of a), sqnr_db. `changed` counts
    decisions that differ by pair, as "float shipped"; `decisions` were compared. `gained` and `lost`:
    decisions only the file or only FP32 gets right, None without labels."""

    bytes: int
    opset: int
    sha256: str
    samples: int
    quality: dict[str, Quality]
    outputs: pd.DataFrame
    decisions: int
    changed: dict[str, int]
    gained: int | None
    lost: int | None
    flips: tuple[Flip, ...]

    @property
    def metric_name(self) -> str | None:
        """The metric, None without labels."""
        return self.quality["shipped"].metric_name

    def interval(self, run: str) -> Interval | None:
        """The 95 % interval of the metric of a run: Wilson's, for a metric that counts decisions; None for
        others, of which sums are kept and no samples that could be drawn again.
        """
        found = self.quality[run]
        if found.metric is None or not found.decisions or not measure_of(found.metric_name).counted:
            return None
        return wilson(round(found.metric * found.decisions), found.decisions)

    @property
    def agreement(self) -> tuple[float, Interval] | None:
        """The share of decisions of the file that equal FP32's, with Wilson's 95 % interval."""
        if not self.decisions:
            return None
        same = self.decisions - self.changed["float shipped"]
        return same / self.decisions, wilson(same, self.decisions)

    @property
    def change(self) -> tuple[float, Interval] | None:
        """What became of the share of right decisions against FP32, with the 95 % interval of pairs."""
        if self.gained is None or self.lost is None or self.interval("shipped") is None:
            return None
        trials = self.quality["shipped"].decisions
        return (self.gained - self.lost) / trials, paired_change(self.gained, self.lost, trials)


@dataclass(frozen=True)
class LayerReport:
    """Where error enters, over `samples` samples. `table` has a row for each layer in the order of execution:
    layer, isolated_db (NaN where the layer stays in float), accumulated_db, codes (elements of its input
    codes), and of these the differences float to simulated and simulated to shipped (NaN where not known):
    differ, beyond_one, largest, shipped_differ, shipped_beyond_one, shipped_largest.
    """

    samples: int
    table: pd.DataFrame

    @cached_property
    def coded(self) -> pd.DataFrame:
        """The layers that read codes."""
        return self.table[self.table["codes"].notna()]


def known_certificate(study: Study, plan: Plan, decoder: str = "cast") -> Certificate | None:
    """The certificate of `plan` if it was made before."""
    record = study.store.get(_about(study, plan, decoder, "certificate"))
    if record is None:
        return None
    quality = {name: Quality.from_record(q) for name, q in record["quality"].items()}
    flips = tuple(Flip(**flip) for flip in record["flips"])
    return Certificate(
        **{**record, "quality": quality, "flips": flips, "outputs": pd.DataFrame(record["outputs"])}
    )


def known_layers(study: Study, plan: Plan, decoder: str = "cast") -> LayerReport | None:
    """Where error enters, if it was measured before."""
    record = study.store.get(_about(study, plan, decoder, "layer errors"))
    return (
        None
        if record is None
        else LayerReport(record["samples"], pd.DataFrame(record["layers"], columns=_COLUMNS))
    )


def certify_plan(
    study: Study,
    plan: Plan,
    decoder: str = "cast",
    parts: Sequence[str] = CERTIFIED,
    tick: Tick = lambda *_, **__: None,
) -> None:
    """Measure and keep those `parts` of a certificate that are not known of the exported file of `plan`.
    Speed is measured again where the machine was busy.

    PlanError where the model cannot take the plan, DataError without data."""
    exported = study.lowered(plan, decoder)
    if "outputs" in parts and known_certificate(study, plan, decoder) is None:
        tick(0, len(study.data), "Running the file as its user will")
        about = _about(study, plan, decoder, "certificate")
        study.store.put(about, _certified(study, plan, exported, decoder, tick))
    if "layers" in parts and known_layers(study, plan, decoder) is None:
        some = draw(study.data, LAYER_SAMPLES)
        tick(0, len(some), "Looking where error enters")
        find, corrections = study.files.constants(plan)
        errors = layer_errors(
            study.cache, plan, exported, find, corrections, some, plan.has_dynamic, progress=tick
        )
        rows = [
            {
                "layer": e.layer,
                "isolated_db": e.isolated_db,
                "accumulated_db": e.accumulated_db,
                **_codes(e.codes, ""),
                **_codes(e.shipped_codes, "shipped_"),
            }
            for e in errors
        ]
        about = _about(study, plan, decoder, "layer errors")
        study.store.put(about, {"samples": len(some), "layers": rows})
    speed = known_speed(study, plan, decoder)
    if "speed" in parts and (speed is None or speed.is_noisy):
        measure_speed(study, plan, exported, decoder, tick)


def _certified(study: Study, plan: Plan, exported: bytes, decoder: str, tick: Tick) -> dict[str, Any]:
    file = study.graph.file
    size = _size(study, plan)
    found = certify(runnable(file), exported, study.data, size, study.task, tick)
    return {
        "bytes": len(exported),
        "opset": lowered_opset(study.graph, plan, decoder),
        "sha256": hashlib.sha256(exported).hexdigest(),
        "samples": len(study.data),
        "quality": {name: asdict(q) for name, q in found.quality.items()},
        "outputs": [_apart(row) for row in found.outputs],
        "decisions": found.decisions,
        "changed": {f"{a} {b}": n for (a, b), n in found.changed.items()},
        "gained": found.gained,
        "lost": found.lost,
        "flips": [asdict(flip) for flip in found.flips],
    }


def _size(study: Study, plan: Plan) -> int:
    """Samples at a time: what the model fixes, 1 where ranges are found per batch, else `_AT_ONCE`."""
    inputs = inputs_of(study.graph.file.model)
    return fixed_batch(inputs) or min(batch_size(inputs, plan.has_dynamic), _AT_ONCE)


def _apart(row: Apart) -> dict[str, Any]:
    d = row.differences
    scale = d.rms or 1.0
    return {
        "a": row.a,
        "b": row.b,
        "output": row.output,
        "elements": d.elements,
        "differ": d.differ,
        "median": d.quantile(0.5) / scale,
        "p99": d.quantile(0.99) / scale,
        "largest": min(d.largest / scale, 1e30),  # a number for JSON
        "sqnr_db": sqnr_from_power(d.signal, d.noise),
    }


def _codes(found: CodeDifferences | None, prefix: str) -> dict[str, Any]:
    about = {} if prefix else {"codes": None if found is None else found.elements}
    return about | {prefix + n: None if found is None else getattr(found, n) for n in _COUNTED}


def _about(study: Study, plan: Plan, decoder: str, what: str) -> dict[str, Any]:
    about: dict[str, Any] = study.keys.plan(plan, "shipped", study.data, decoder)
    about |= {"what": f"{what} {plan.key}", "batch": _size(study, plan)}
    return about | ({"samples": LAYER_SAMPLES} if what == "layer errors" else {})
