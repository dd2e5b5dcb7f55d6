"""The header of every page: model, data, plan, undo and redo, and four numbers against FP32."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pages.parts import text
from pages.parts.opening import calm
from pages.parts.state import State
from quant_core.errors import QuantscopeError
from quant_core.plan import Plan
from quant_core.study import Evaluation, Study

_STYLE = f"<style>{Path(__file__).with_name('header.css').read_text(encoding='utf-8')}</style>"


@dataclass(frozen=True)
class Number:
    """One of the four numbers: what it is, its value, and how it was had."""

    label: str
    value: str
    note: str


class Header:
    """Draws the header at once with what is known, and again when the plan in hand was measured."""

    def __init__(self, state: State, study: Study) -> None:
        self.state, self.study = state, study
        st.html(_STYLE)
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
            self._numbers = st.empty()
        self._notes = st.empty()

    def show(self, evaluation: Evaluation | None, forecast: float | None = None) -> None:
        """The four numbers: size always exact, the others measured (solid) or hollow."""
        whole = self.study.graph.file.bytes
        try:
            size = self.study.bytes_of(self.state.plan) if self.state.plan.quantized else whole
            exact = Number("Size", text.size(size), f"{100 * size / whole:.1f} % of FP32, exact")
        except QuantscopeError as error:
            exact = Number("Size", "–", "not possible")
            with self._notes:
                calm(error)
        numbers = [exact, *_quality(evaluation, forecast, self.state, self.study)]
        self._numbers.html(_numbers(numbers), width="content")


def _chips(state: State, study: Study) -> str:
    plan = state.plan
    chips = {
        "model": (study.graph.file.name, f"{len(study.graph.quantizable)} layers"),
        "data": (study.data.name, f"{len(study.data)} samples") if study.has_data else ("No data", ""),
        "plan": (plan.name, _count(plan) if plan.quantized else "as opened"),
    }
    parts = [
        f'<span class="qs-chip" data-chip="{kind}" title="{text.escape(name)}">'
        f"<b>{text.escape(name)}</b><small>{text.escape(note)}</small></span>"
        for kind, (name, note) in chips.items()
    ]
    return f'<div class="qs-chips">{"".join(parts)}</div>'


def _count(plan: Plan) -> str:
    return f"{len(plan.quantized)} layer{'s' if len(plan.quantized) != 1 else ''} quantized"


def _quality(
    evaluation: Evaluation | None, forecast: float | None, state: State, study: Study
) -> list[Number]:
    if evaluation is None:
        note = "measuring" if study.has_data else "needs data"
        waiting = [Number(label, text.HOLLOW, note) for label in (_quality_label(state), "Agreement")]
        if forecast is None:
            return [*waiting, Number("SQNR", text.HOLLOW, note)]
        return [*waiting, Number("SQNR", f"{text.HOLLOW} {text.decibel(forecast)}", "predicted")]
    how = evaluation.execution if state.plan.quantized else "prepared graph"
    quality = Number("Quality", "–", "no labels")
    if evaluation.metric is not None and evaluation.metric_fp32 is not None:
        change = 100 * (evaluation.metric - evaluation.metric_fp32)
        interval = 196 * (evaluation.standard_error or 0.0)
        label = (evaluation.metric_name or "quality").capitalize()
        quality = Number(label, text.percent(evaluation.metric), f"{change:+.2f} ± {interval:.1f} points")
    return [
        quality,
        Number("Agreement", text.percent(evaluation.agreement), "with FP32"),
        Number("SQNR", text.decibel(evaluation.sqnr_db), f"{how}, {evaluation.samples} samples"),
    ]


def _quality_label(state: State) -> str:
    """What quality is called for this study; the same before and after a plan is measured."""
    name = next((m.evaluation.metric_name for m in state.measured.values()), None)
    return (name or "quality").capitalize()


def _numbers(numbers: list[Number]) -> str:
    parts = [
        f'<span class="qs-number" data-number="{text.escape(n.label)}"><small>{text.escape(n.label)}</small>'
        f"<b>{text.escape(n.value)}</b><small>{text.escape(n.note)}</small></span>"
        for n in numbers
    ]
    return f'<div class="qs-numbers">{"".join(parts)}</div>'
