"""The one typed place for everything a window keeps between reruns. The store has its content, the URL its
id, the selected layer and the overlay.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import streamlit as st

from quant_core.errors import QuantscopeError
from quant_core.formats import CODEBOOKS, FORMATS, Scheme, get_format
from quant_core.plan import Plan
from quant_core.study import (
    Evaluation,
    Source,
    keep_plan,
    load_plans,
    load_session,
    new_session_id,
    save_session,
)

_SLOT = "quantscope"
_SHOWN = "quantscope-url"
_HISTORY = 200  # plans that undo reaches back
COMPARED = 4  # plans side by side at most


@dataclass(frozen=True)
class Measured:
    """A plan and what was measured of it."""

    plan: Plan
    evaluation: Evaluation


@dataclass(frozen=True)
class View:
    """How pages show things: the part of a layer, the colour of the graph, the grid over histograms, and the
    order of the sensitivity table.
    """

    part: str = "weights"
    colour: str = "bits"
    overlay: str = ""  # the format whose grid is drawn; empty: what the plan in hand has
    granularity: str = "channel"
    symmetric: bool = True
    range: str = "minmax"
    channel: int | None = None
    position: int = 0  # the weight of the channel whose journey is shown
    row: int | None = None  # the output whose integer sum is shown; None: the largest
    integers: int = 0  # how weights are quantized there, of INTEGER_WEIGHTS
    measure: str = "sqnr_db"
    order: str = "model"
    folded: bool | None = None  # repeated blocks; None: where the graph is large
    unfolded: tuple[str, ...] = ()  # first nodes of the blocks that stay open
    whole: bool = False
    find: str = ""
    damage_at: str = "int4"  # the format that the error of a layer in FP32 is shown at
    decoder: str = "cast"
    swept: tuple[str, ...] = ("weights", "activations")
    more: tuple[str, ...] = ()  # further columns of the matrix, as part:format

    def scheme(self) -> Scheme:
        """The scheme of the overlay. What is chosen and does not apply to its format is replaced."""
        number = get_format(self.overlay or "int8")
        shared, method = self.granularity, self.range
        if number.kind == "codebook":
            shared = "tensor" if shared.startswith("group:") else shared
        else:
            shared = "channel" if shared.startswith("channels:") else shared
            method = "minmax" if method in CODEBOOKS or method == "mean" else method
        return Scheme(number.name, shared, self.symmetric, method)


@dataclass
class State:
    """What one window shows. Plans are never changed, so history is a list of them and a position."""

    id: str
    source: Source = field(default_factory=Source)
    history: list[Plan] = field(default_factory=lambda: [Plan()])
    position: int = 0
    layer: str = ""
    view: View = field(default_factory=View)
    budget: float = 20.0
    correct: bool = False
    measured: dict[str, Measured] = field(default_factory=dict)
    compared: list[str] = field(default_factory=list)  # keys of measured plans, side by side on Compare
    notice: str = ""
    opening: Source | None = None  # what is being opened; a reload goes on with it
    problem: str = ""  # why the last thing could not be opened
    kept: set[str] = field(default_factory=set, repr=False)  # names of the plans that the store has

    @property
    def plan(self) -> Plan:
        """The plan in hand."""
        return self.history[self.position]

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier plan."""
        return self.position > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is a later plan."""
        return self.position < len(self.history) - 1

    def take(self, plan: Plan, layer: str = "") -> None:
        """Make `plan` the one in hand, and select `layer`; what was undone before is forgotten."""
        if plan == self.plan:
            self.select(layer or self.layer)
            return
        self._show(layer or self.layer)
        self.history = [*self.history[: self.position + 1], plan][-_HISTORY:]
        self._go(len(self.history) - 1)

    def undo(self) -> None:
        """Go back one plan."""
        self._go(max(0, self.position - 1))

    def redo(self) -> None:
        """Go forward one plan."""
        self._go(min(len(self.history) - 1, self.position + 1))

    def _go(self, position: int) -> None:
        self.position, self.notice = position, ""
        if self.plan.quantized:
            self.correct = any(p.bias_correction for p in self.plan.layers.values())
        self.save()

    def select(self, layer: str) -> None:
        """Make `layer` the selected one, on every page."""
        if layer != self.layer:
            self._show(layer)
            self.save()

    def _show(self, layer: str) -> None:
        if layer != self.layer:
            self.layer, self.notice = layer, ""
            self.view = replace(self.view, channel=None, position=0, row=None)

    def look(self, **changes: Any) -> None:
        """Change how pages show things."""
        view = replace(self.view, **changes)
        if view != self.view:
            self.view = view
            self.save()

    def keep(self, plan: Plan, evaluation: Evaluation) -> None:
        """Remember a measured plan for the trade-off plot."""
        if plan.key not in self.measured:
            self.measured[plan.key] = Measured(plan, evaluation)
            self.save()

    def begin(self, source: Source) -> None:
        """Have `source` opened, see `opening.carry_on`. What was still being opened is given up."""
        if self.opening is not None and self.opening != source:
            names = [f"'{Path(s.model).name}'" for s in (self.opening, source)]
            self.notice = f"{names[0]} was still being opened and was given up for {names[1]}."
        self.opening, self.problem = source, ""
        self.save()

    def refuse(self, problem: str) -> None:
        """What was asked for cannot be opened: what is open stays, and `problem` says why."""
        self.opening, self.problem = None, problem
        self.save()

    def open(self, source: Source) -> None:
        """Open something else, with a history of its own, in a session of its own."""
        fresh = State(new_session_id(), source)
        self.opening = None
        self.save()  # the link left behind must not open this again
        self.__dict__.update(fresh.__dict__)
        self.save()
        st.query_params["study"] = self.id

    def save(self) -> None:
        """Keep the content under the id, so that the link brings it back."""
        for plan in (*self.history, *(m.plan for m in self.measured.values())):
            if plan.digest not in self.kept:
                self.kept.add(keep_plan(plan))
        save_session(self.id, _record(self))

    def show_in_url(self) -> None:
        """Let the address bar say what is open."""
        wanted = {"study": self.id, "layer": self.layer, "overlay": self.view.overlay}
        wanted = {name: value for name, value in wanted.items() if value}
        if st.query_params.to_dict() != wanted:
            st.query_params.from_dict(wanted)
        st.session_state[_SHOWN] = wanted


def current() -> State:
    """The state of this window: the one it has, else the one its link names, else a fresh one.

    Where the address bar names a layer or an overlay that this window did not write there itself, it wins."""
    asked = st.query_params.to_dict()
    wanted = asked.get("study", "")
    state: State | None = st.session_state.get(_SLOT)
    if state is None or (wanted and wanted != state.id):
        record = load_session(wanted) if wanted else None
        state = _restored(wanted, record) if record else state or State(new_session_id())
        st.session_state[_SLOT] = state
        if record is None:
            state.save()
    shown = st.session_state.get(_SHOWN, {})
    if asked.get("layer") and asked["layer"] != shown.get("layer"):
        state.select(asked["layer"])
    if asked.get("overlay") in FORMATS and asked["overlay"] != shown.get("overlay"):
        state.look(overlay=asked["overlay"])
    return state


def _record(state: State) -> dict[str, Any]:
    return {
        "source": asdict(state.source),
        "history": [plan.digest for plan in state.history],
        "position": state.position,
        "layer": state.layer,
        "view": asdict(state.view),
        "budget": state.budget,
        "correct": state.correct,
        "compared": state.compared,
        "opening": None if state.opening is None else asdict(state.opening),
        "measured": [
            {"plan": m.plan.digest, "evaluation": asdict(m.evaluation)} for m in state.measured.values()
        ],
    }


def _restored(identity: str, record: dict[str, Any]) -> State:
    state = State(identity)
    try:
        names = [*record["history"], *(entry["plan"] for entry in record["measured"])]
        plans = load_plans(list(dict.fromkeys(names)))
        state = replace(
            state,
            source=Source.from_record(record["source"]),
            history=[plans[name] for name in record["history"]] or [Plan()],
            layer=str(record["layer"]),
            view=View(**{k: tuple(v) if isinstance(v, list) else v for k, v in record["view"].items()}),
            budget=float(record["budget"]),
            correct=bool(record["correct"]),
            compared=[str(key) for key in record["compared"]],
            opening=Source.from_record(record["opening"]) if record.get("opening") else None,
            kept=set(plans),
        )
        state.position = min(max(int(record["position"]), 0), len(state.history) - 1)
        for entry in record["measured"]:
            plan = plans[entry["plan"]]
            state.measured[plan.key] = Measured(plan, Evaluation.from_record(entry["evaluation"]))
    except (KeyError, TypeError, ValueError, QuantscopeError):
        return State(identity)  # written by another version: the store still has every measurement
    return state
