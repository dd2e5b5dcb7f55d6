"""What a page wants measured: it gets what is known at once, and the workers are asked for the rest.

Nothing is measured in the page itself. A measurement is in the store as soon as it exists; the job panel
runs the page again when one is done."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import accumulate

import pandas as pd

from pages.parts.state import State
from quant_core.errors import QuantscopeError
from quant_core.formats import Scheme
from quant_core.plan import PRESETS, Plan, preset_plan
from quant_core.study import (
    CANCELLED,
    CERTIFIED,
    DONE,
    FAILED,
    SWEEP,
    Cell,
    CellKey,
    Certificate,
    DataCheck,
    Evaluation,
    Integers,
    Job,
    Latency,
    LayerReport,
    Ranges,
    Speed,
    Study,
    Wish,
    can_check,
    certify_wish,
    check_wish,
    costs_wish,
    evaluation_wish,
    format_errors,
    formats_wish,
    integers_wish,
    known_certificate,
    known_check,
    known_integers,
    known_latency,
    known_layers,
    known_speed,
    latency_wish,
    line,
    measure_formats,
    preset_wish,
    ranges_wish,
    seconds,
    unmeasured_formats,
    unmeasured_kernels,
)

_AT_ONCE = 0.4  # seconds of work that a page does itself
_SETTLED = 10.0  # seconds after which a job that left nothing behind is asked again


def known_plan(state: State, study: Study) -> Evaluation | None:
    """The evaluation of the plan in hand if it was measured; otherwise it is asked for."""
    if not study.has_data:
        return None
    wish = evaluation_wish(state.source, state.plan)
    job = wish.find(state.id)  # before looking: what ends in between is seen then
    try:
        found = study.known(state.plan)
        if found is None:
            study.files.check(state.plan)
            _ask(wish, state, job)
        else:
            state.keep(state.plan, found)
        return found
    except QuantscopeError:
        return None  # the header says why the plan cannot be written


def plan_latency(state: State, study: Study) -> Latency | None:
    """The latency of the plan in hand if it was measured; otherwise it is asked for, unless a sweep keeps the
    machine busy. Once it is known, its layers are timed, so that other plans can be predicted.
    """
    wish = latency_wish(state.source, state.plan)
    job = wish.find(state.id)
    found = known_latency(study, state.plan)
    if sweeping(state):
        return found
    if found is None:
        _ask(wish, state, job)
    elif unmeasured_kernels(study, state.plan):
        costs = costs_wish(state.source, state.plan)
        _ask(costs, state, costs.find(state.id))
    return found


@dataclass(frozen=True)
class Verification:
    """What certifying a plan has found so far. `stopped`: its next part failed; the job panel says why."""

    certificate: Certificate | None
    layers: LayerReport | None
    speed: Speed | None
    stopped: bool = False


def known_verification(state: State, study: Study) -> Verification:
    """What certifying the plan in hand has found so far; the next part is asked for."""
    given = study, state.plan, state.view.decoder
    wishes = [certify_wish(state.source, state.plan, state.view.decoder, part) for part in CERTIFIED]
    jobs = [wish.find(state.id) for wish in wishes]
    found = known_certificate(*given), known_layers(*given), known_speed(*given)
    for wish, job, part in zip(wishes, jobs, found, strict=True):
        if part is None:
            _ask(wish, state, job)
            return Verification(*found, stopped=job is not None and job.state == FAILED)
    return Verification(*found)


def sweeping(state: State) -> Job | None:
    """The sweep of this window that waits or runs."""
    return next((job for job in line().jobs(state.id) if job.kind == SWEEP and job.alive), None)


def known_cells(study: Study, keys: list[CellKey]) -> dict[CellKey, Cell]:
    """The cells measured so far, on all samples or on few."""
    return study.known_cells(keys, few=True) if keys and study.has_data else {}


def known_ranges(state: State, study: Study) -> Ranges | None:
    """The activation ranges if they were measured; otherwise they are asked for."""
    if study.calibration is None:
        return None
    wish = ranges_wish(state.source)
    job = wish.find(state.id)
    if study.has_ranges:
        return study.ranges
    _ask(wish, state, job)
    return None


def known_formats(state: State, study: Study) -> tuple[pd.DataFrame, int]:
    """The weights of the selected layer in every format, and how many formats are still to be measured. What
    is quick is measured here; what would hold up the page is asked for.
    """
    layer = study.graph.layer(state.layer)
    wish = formats_wish(state.source, state.layer)
    job = wish.find(state.id)
    missing = unmeasured_formats(study, layer)
    spent = accumulate(seconds(layer, scheme) for scheme in missing)
    quick = tuple(scheme for scheme, total in zip(missing, spent, strict=True) if total < _AT_ONCE)
    measure_formats(study, layer, quick)
    if len(quick) < len(missing):
        _ask(wish, state, job)
    return format_errors(study, layer), len(missing) - len(quick)


def known_arithmetic(state: State, study: Study, weights: Scheme) -> Integers | None:
    """The selected layer in integers if it was computed; otherwise it is asked for."""
    wish = integers_wish(state.source, state.layer, weights)
    job = wish.find(state.id)
    found = known_integers(study, study.graph.layer(state.layer), weights)
    if found is None:
        _ask(wish, state, job)
    return found


def known_preprocessing(state: State, study: Study) -> DataCheck | None:
    """What trying other preprocessing has shown; images of the user's own are checked without a word."""
    if not study.has_data or not can_check(state.source):
        return None
    wish = check_wish(state.source)
    job = wish.find(state.id)
    found = known_check(state.source)
    if found is None:
        _ask(wish, state, job)
    return found


def known_presets(state: State, study: Study, ask: bool) -> dict[str, Evaluation]:
    """The evaluations of the presets that were measured; the others are asked for where `ask` is set."""
    found: dict[str, Evaluation] = {}
    for name in PRESETS:
        plan: Plan = preset_plan(study.graph, name)
        wish = preset_wish(state.source, plan)
        job = wish.find(state.id)
        try:
            evaluation = study.known(plan)
            study.files.check(plan)
        except QuantscopeError:
            continue  # a preset that needs calibration where there is none
        if evaluation is not None:
            found[name] = evaluation
            state.keep(plan, evaluation)
        elif ask or job is not None:
            _ask(wish, state, job)
    return found


def _ask(wish: Wish, state: State, job: Job | None) -> None:
    """Ask, unless it was asked before and waits, runs or failed: what failed is asked again by the user
    only.
    """
    left_nothing = job is not None and job.state == DONE and time.time() - job.updated > _SETTLED
    if job is None or job.state == CANCELLED or left_nothing:
        wish.ask(state.id)
