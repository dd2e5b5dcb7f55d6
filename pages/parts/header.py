"""The header of every page: model, data, plan, undo and redo, four numbers against FP32, and what runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pages.parts import live, metrics, text
from pages.parts.measuring import known_cells, known_plan, plan_latency, sweeping
from pages.parts.opening import calm, carry_on, opened
from pages.parts.state import State
from quant_core.errors import QuantscopeError
from quant_core.plan import Plan
from quant_core.study import (
    Evaluation,
    Latency,
    Study,
    forecast_sqnr,
    line,
    plan_cells,
    predicted_latency,
)

_STYLE = f"<style>{Path(__file__).with_name('header.css').read_text(encoding='utf-8')}</style>"
_HELP = {
    "Size": "Bytes of the exported file, exact, as a share of the file that was opened.",
    "Quality": "The metric on the labels, and its change against FP32 with a 95 % interval: in points of a "
    "share, in per cent of an error.",
    "Agreement": "Share of samples whose top-1 equals that of the FP32 model. "
    "Below it the SQNR, signal-to-quantization-noise ratio of the outputs, in dB: more is better. "
    "Simulated: the plan's arithmetic in float.",
    "Latency": "Time of the exported file over that of the FP32 file, both run with default options on this "
    "machine, in turns: the median of the pairs; half of them lie in the range given. "
    "≈: they lie far apart, the machine was busy. Predicted: from the times of single layers.",
}


@dataclass(frozen=True)
class Number:
    """One of the four numbers: what it is, its value, and how it was had."""

    label: str
    value: str
    note: str


@contextmanager
def window(start: bool = False) -> Iterator[tuple[State, Study]]:
    """State and study of this window, with the header above the page and what runs below the header.

    What is not known of the plan in hand is hollow and asked for; the page runs again when it is measured.
    The jobs are drawn when the page is complete, so that they include what the page asked for."""
    st.html(_STYLE)
    line().warm_up()
    state, study = opened()
    if not start:  # Start opens beside its fields
        carry_on(state)
    seen = live.ended(state)
    _header(state, study)
    jobs = st.container()
    yield state, study
    with jobs:
        live.panel(state, seen)


def _header(state: State, study: Study) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="header"):
        st.html(_chips(state, study), width="content")
        st.button(
            "Undo",
            icon=":material/undo:",
            disabled=not state.can_undo,
            on_click=state.undo,
            help="Back to the plan before.",
        )
        st.button(
            "Redo",
            icon=":material/redo:",
            disabled=not state.can_redo,
            on_click=state.redo,
            help="Forward to the plan undone last.",
        )
        size, problem = _size(state, study)
        evaluation = None if problem else known_plan(state, study)
        numbers = [size, *_quality(evaluation, state, study), _latency(evaluation, state, study)]
        st.html(_numbers(numbers), width="content")
    if problem is not None:
        calm(problem)


def _chips(state: State, study: Study) -> str:
    plan = state.plan
    chips = {
        "model": (study.graph.file.name, f"{len(study.graph.quantizable)} layers"),
        "data": _data(study),
        "plan": (plan.name, _count(plan) if plan.quantized else "as opened")
        if study.graph.quantizable
        else ("As opened", "nothing to quantize"),
    }
    parts = [
        f'<span class="qs-chip" data-chip="{kind}" title="{text.escape(name)}">'
        f"<b>{text.escape(name)}</b><small>{text.escape(note)}</small></span>"
        for kind, (name, note) in chips.items()
    ]
    return f'<div class="qs-chips">{"".join(parts)}</div>'


def _data(study: Study) -> tuple[str, str]:
    made_up = metrics.MADE_UP if study.calibration_is_generated else ""
    if not study.has_data:
        return "No data", made_up
    return study.data.name, ", ".join([f"{len(study.data)} samples", *([made_up] if made_up else [])])


def _count(plan: Plan) -> str:
    return f"{len(plan.quantized)} layer{'s' if len(plan.quantized) != 1 else ''} quantized"


def _size(state: State, study: Study) -> tuple[Number, QuantscopeError | None]:
    whole = study.graph.file.bytes
    try:
        size, exact = (whole, True) if not state.plan.quantized else study.bytes_at_once(state.plan)
    except QuantscopeError as error:
        return Number("Size", "–", "not possible"), error
    share = f"{100 * size / whole:.1f} % of FP32"
    if exact:
        return Number("Size", text.size(size), share), None
    return Number("Size", f"{text.HOLLOW} {text.size(size)}", f"{share}, predicted"), None


def _quality(evaluation: Evaluation | None, state: State, study: Study) -> list[Number]:
    if evaluation is None:
        return _waiting(state, study)
    how = evaluation.execution if state.plan.quantized else "prepared"
    note = f"{text.decibel(evaluation.sqnr_db)}, {how}"
    if evaluation.generated_calibration:
        note += f", {metrics.MADE_UP}"
    quality = Number("Quality", "–", f"no labels, {evaluation.samples} samples")
    if evaluation.metric is not None and evaluation.metric_fp32 is not None:
        name, error = evaluation.metric_name, evaluation.standard_error
        change = metrics.change(evaluation).removesuffix(" points")
        interval = "" if error is None else f" ± {196 * error:.1f}"
        said = f"{change}{interval}, {evaluation.samples} samples"
        quality = Number(metrics.title(name), metrics.shown(name, evaluation.metric), said)
    return [quality, Number("Agreement", text.percent(evaluation.agreement), note)]


def _waiting(state: State, study: Study) -> list[Number]:
    """Hollow numbers; the SQNR is predicted from the single layers where all of them are measured."""
    if not study.has_data:
        return [Number(label, text.HOLLOW, "needs data") for label in ("Quality", "Agreement")]
    name = next((m.evaluation.metric_name for m in state.measured.values()), None)
    cells = known_cells(study, plan_cells(state.plan))
    forecast = forecast_sqnr(state.plan, cells)
    said = "measuring" if forecast is None else f"{text.decibel(forecast)}, predicted"
    return [
        Number(metrics.title(name), text.HOLLOW, "measuring"),
        Number("Agreement", text.HOLLOW, said),
    ]


def _latency(evaluation: Evaluation | None, state: State, study: Study) -> Number:
    if not study.has_data:
        return Number("Latency", text.HOLLOW, "needs data")
    if not state.plan.quantized:
        return Number("Latency", "1 x", "as opened")
    found: Latency | None = None if evaluation is None else plan_latency(state, study)
    if found is None:
        predicted = predicted_latency(study, state.plan)
        if predicted is not None:
            return Number("Latency", text.HOLLOW, f"{predicted:.2f} x, predicted")
        waiting = "after the sweep" if sweeping(state) else "measuring"
        return Number("Latency", text.HOLLOW, "after the quality" if evaluation is None else waiting)
    spread = f"{found.low:.2f}–{found.high:.2f}, batch {found.batch}"
    about = "≈ " if found.is_noisy else ""
    return Number("Latency", f"{about}{found.ratio:.2f} x", spread)


def _numbers(numbers: list[Number]) -> str:
    parts = [
        f'<span class="qs-number" data-number="{text.escape(n.label)}" '
        f'title="{text.escape(_HELP.get(n.label, _HELP["Quality"]))}">'
        f"<small>{text.escape(n.label)}</small>"
        f"<b>{text.escape(n.value)}</b><small>{text.escape(n.note)}</small></span>"
        for n in numbers
    ]
    return f'<div class="qs-numbers">{"".join(parts)}</div>'
