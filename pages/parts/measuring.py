"""Measure what a page still lacks, a few seconds at a time, so that results appear as they come.

Every measurement is in the store before the next begins: a click, a reload or another page loses at most the
one in flight."""

from __future__ import annotations

import time

import streamlit as st

from pages.parts.opening import calm
from pages.parts.state import State
from quant_core.errors import QuantscopeError
from quant_core.plan import PRESETS, Plan, preset_plan
from quant_core.study import Cell, CellKey, Evaluation, Study

_CHUNK = 3.0  # seconds of sweeping between two repaints
_CHUNK_CELLS = (
    8  # but no fewer cells than this: each start runs what comes before the first missing cell again
)


def measure_plan(state: State, study: Study) -> Evaluation | None:
    """The evaluation of the plan in hand: known, or measured now under a progress bar. None without data."""
    if not study.has_data:
        return None
    try:
        found = study.known(state.plan)
        if found is None:
            with st.spinner("Measuring the plan"):
                found = study.evaluate(state.plan)
    except QuantscopeError:
        return None  # the header says why the plan cannot be written
    state.keep(state.plan, found)
    return found


def known_plan(state: State, study: Study) -> Evaluation | None:
    """The evaluation of the plan in hand if it was measured before."""
    try:
        return study.known(state.plan) if study.has_data else None
    except QuantscopeError:
        return None


def known_cells(study: Study, keys: list[CellKey]) -> dict[CellKey, Cell]:
    """The cells measured so far."""
    return study.known_cells(keys) if keys and study.has_data else {}


def sweep_missing(study: Study, keys: list[CellKey], known: dict[CellKey, Cell]) -> None:
    """Measure missing cells for a few seconds, then repaint the page; returns when none is missing."""
    missing = [key for key in keys if key not in known]
    if not missing:
        return
    start, done = time.monotonic(), len(known)
    bar = st.progress(done / len(keys), f"Sensitivity: {done} of {len(keys)} cells measured")
    try:
        for number, _ in enumerate(study.sweep(missing), start=1):
            elapsed = time.monotonic() - start
            left = elapsed / number * (len(missing) - number)
            bar.progress(
                (done + number) / len(keys),
                f"Sensitivity: {done + number} of {len(keys)} cells, {left:.0f} s left",
            )
            if elapsed > _CHUNK and number >= _CHUNK_CELLS:
                break
    except QuantscopeError as error:
        calm(error)
        return
    st.rerun()


def measure_presets(state: State, study: Study, measure: bool) -> dict[str, Evaluation]:
    """The evaluations of all presets; those not known are measured where `measure` is set."""
    found: dict[str, Evaluation] = {}
    bar = st.empty()
    for number, name in enumerate(PRESETS):
        try:
            plan: Plan = preset_plan(study.graph, name)
            evaluation = study.known(plan)
            if evaluation is None and measure:
                bar.progress(number / len(PRESETS), f"Measuring the preset {name}")
                evaluation = study.evaluate(plan)
        except QuantscopeError:
            continue  # a preset that needs calibration where there is none
        if evaluation is not None:
            found[name] = evaluation
            state.keep(plan, evaluation)
    bar.empty()
    return found
