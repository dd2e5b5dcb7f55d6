"""The job panel: what runs, how far it is, a way to stop it; and how it ended."""

from __future__ import annotations

import streamlit as st

from pages.parts import text
from pages.parts.state import State
from pages.parts.ticks import page
from quant_core.errors import QuantscopeError
from quant_core.plan import Plan
from quant_core.study import (
    CALIBRATE,
    CERTIFY,
    CHECK,
    COSTS,
    DONE,
    EVALUATE,
    EXPORT,
    FAILED,
    FETCH,
    FORMATS,
    INTEGERS,
    LATENCY,
    PRESET,
    SEARCH,
    SETTLE,
    SWEEP,
    Job,
    Source,
    line,
)

EVERY = 0.7  # seconds between two looks at what runs
_NAMES = {
    SWEEP: ("Sensitivity", "cells"),
    SEARCH: ("Search", "cells"),
    EXPORT: ("Export", "samples"),
    CERTIFY: ("Verify", "samples"),
    CALIBRATE: ("Calibration", "samples"),
    SETTLE: ("Enough samples?", "samples"),
    FORMATS: ("Every format", "formats"),
    INTEGERS: ("Integer arithmetic", "samples"),
    EVALUATE: ("Measuring the plan", "samples"),
    LATENCY: ("Timing the plan", "runs"),
    COSTS: ("Timing layers", "runs"),
    PRESET: ("Presets", "samples"),
    FETCH: ("Hugging Face", ""),
    CHECK: ("Check of preprocessing", "tries"),
}
_QUIET = (EVALUATE, LATENCY, COSTS, INTEGERS)  # header or page show that these run

Seen = frozenset[tuple[str, str]]


def ended(state: State) -> Seen:
    """What has ended by now. A page takes this before it reads any number, and gives it to `panel`."""
    return _ended(line().jobs(state.id))


def take_results(state: State) -> None:
    """Take the plan of a search that has ended, and have a model opened that was fetched."""
    for job in line().jobs(state.id):
        if job.kind == FETCH and job.state == DONE:
            line().dismiss(job)
            fetched = str((job.result or {})["reference"])
            state.begin(Source(fetched, None, job.spec.get("calibration")))
        if job.kind == SEARCH and job.state == DONE:
            line().dismiss(job)
            try:
                plan = Plan.from_json((job.result or {}).get("plan"), "the plan found")
            except QuantscopeError:
                continue
            state.take(plan)
            state.notice = _found(plan)


def panel(state: State, seen: Seen) -> None:
    """Draw the jobs of this window, and look again while one is alive. The page runs again when one ends."""
    alive = any(job.alive for job in line().jobs(state.id))
    st.fragment(_panel, run_every=EVERY if alive else None)(state, seen, alive, page())


def _panel(state: State, seen: Seen, watched: bool, on: str) -> None:
    """Buttons in here carry out callbacks: what a click returns would be lost where the page runs again
    first. Nothing is done for a look that comes late, from another page than the one it is drawn `on`.
    """
    if on != page():
        return
    jobs = line().jobs(state.id)
    if _ended(jobs) - seen or (not watched and any(job.alive for job in jobs)):
        st.rerun()
    running = [job for job in jobs if job.alive and job.kind not in (*_QUIET, PRESET)]
    presets = [job for job in jobs if job.kind == PRESET and job.alive]
    if running or presets:
        with st.container(horizontal=True, vertical_alignment="center", key="dock"):
            sweeps = [job for job in running if job.kind == SWEEP]
            first = next((job for job in sweeps if job.started is not None), sweeps[0] if sweeps else None)
            for job in running:
                if job.kind != SWEEP or job is first:
                    _running(job, len(sweeps) - 1 if job is first else 0)
            if presets:
                _presets(presets, jobs)
    for job in jobs:
        if job.state == FAILED:
            _failed(job)
        elif job.kind == SWEEP and job.state == DONE and (job.result or {}).get("failed"):
            _partly(job)


def _running(job: Job, waiting: int = 0) -> None:
    """A bar; `waiting` more of its kind come after it."""
    name, unit = _NAMES[job.kind]
    waits = job.note or "waits for a free worker"
    parts = [f"{name}: {waits}" if job.started is None else name]
    if job.started is not None and job.total:
        parts = [f"{name}: {job.done} of {job.total} {unit}"]
        if job.kind == FETCH:  # counts in KiB
            parts = [f"{name}: {text.size(job.done << 10)} of {text.size(job.total << 10)}"]
    if job.note and job.started is not None and job.kind != CALIBRATE:
        parts.append(job.note)
    if job.started is not None:
        parts.append(f"{text.span(job.elapsed)} elapsed")
        if job.kind == SWEEP and job.done:
            left = job.elapsed / job.done * (job.total - job.done)
            parts.append(f"about {text.span(left)} left")
    if waiting:
        parts.append(f"{waiting} more after it")
    with st.container(horizontal=True, vertical_alignment="center", key=f"job-{job.id[:8]}"):
        st.progress(min(1.0, job.done / job.total) if job.total else 0.0, text.name(", ".join(parts)))
        st.button(
            "Cancel",
            icon=":material/stop:",
            key=f"cancel-{job.id}",
            help="Stop this. What is measured stays.",
            on_click=line().cancel,
            args=(job,),
        )


def _presets(waiting: list[Job], jobs: list[Job]) -> None:
    total = sum(job.kind == PRESET for job in jobs)
    with st.container(horizontal=True, vertical_alignment="center", key="job-presets"):
        st.progress(1 - len(waiting) / total, f"Presets: {total - len(waiting)} of {total} measured")
        st.button(
            "Cancel",
            icon=":material/stop:",
            key="cancel-presets",
            help="Stop measuring presets.",
            on_click=lambda: [line().cancel(job) for job in waiting],
        )


def _failed(job: Job) -> None:
    name = _NAMES[job.kind][0]
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"failed-{job.id[:8]}"):
        st.markdown(f":material/info: {text.name(f'{name} stopped. {job.note}')}", width="stretch")
        _try_again(job)


def _partly(job: Job) -> None:
    """A sweep of which some cells could not be measured."""
    failed = (job.result or {})["failed"]
    with st.container(border=True, key=f"failed-{job.id[:8]}"):
        count = f"{len(failed)} cell{'s' if len(failed) != 1 else ''}"
        st.markdown(f":material/info: Sensitivity: {count} could not be measured, the others are.")
        for layer, column, part, why in failed[:3]:
            st.caption(text.name(f"{layer}, {column} {part}: {why}"))
        with st.container(horizontal=True):
            _try_again(job)


def _try_again(job: Job) -> None:
    again, dismiss = line().again, line().dismiss
    st.button("Try again", icon=":material/refresh:", key=f"again-{job.id}", on_click=again, args=(job,))
    st.button(
        "Dismiss",
        icon=":material/close:",
        key=f"dismiss-{job.id}",
        type="tertiary",
        on_click=dismiss,
        args=(job,),
    )


def _ended(jobs: list[Job]) -> Seen:
    return frozenset((job.id, job.attempt) for job in jobs if not job.alive)


def _found(plan: Plan) -> str:
    """What a search chose, in a sentence."""
    counts: dict[str, int] = {}
    for precision in plan.quantized.values():
        if precision.weights is not None:
            counts[precision.weights.format] = counts.get(precision.weights.format, 0) + 1
    chosen = ", ".join(f"{n} layers {name}" for name, n in sorted(counts.items(), key=lambda c: -c[1]))
    corrected = any(p.bias_correction for p in plan.layers.values())
    tail = "bias correction helped and is on" if corrected else "bias correction did not help and is off"
    return f"Search chose {chosen}; {tail}."
