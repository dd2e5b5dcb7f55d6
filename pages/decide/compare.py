"""Compare: two to four measured plans side by side, their numbers and the layers that differ."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.parts import text
from pages.parts.charts import chart
from pages.parts.compare_tables import layers_html, layers_table, noise_sentence, numbers_html
from pages.parts.header import window
from pages.parts.links import MIXED_PRECISION
from pages.parts.measuring import known_presets
from pages.parts.nothing import nothing_to_quantize
from pages.parts.opening import theme
from pages.parts.state import COMPARED, Measured, State
from pages.parts.tables import csv_button
from quant_core.figures import shares_figure
from quant_core.study import Evaluation, Study, compared, layer_differences, numbers_table, weight_shares

_FIRST = 3  # plans that are compared before any is chosen
_TALL = 40  # rows of layers before the table scrolls


def main() -> None:
    with window() as (state, study):
        st.title("Compare", anchor=False)
        st.caption(
            "Measured plans side by side: their numbers, and only the layers that they treat differently."
        )
        if nothing_to_quantize(study):
            return
        if study.has_data:
            known_presets(state, study, ask=False)
        if len(state.measured) < 2:
            _too_few(state)
            return
        chosen = _choose(state)
        if len(chosen) < 2:
            st.info("Choose a second plan to compare with.", icon=":material/info:")
            return
        names = _names([state.measured[key] for key in chosen])
        _numbers(state, chosen, names)
        _layers(state, study, chosen, names)


def _too_few(state: State) -> None:
    have = "One plan is" if state.measured else "No plan is"
    st.info(
        f"{have} measured so far, and two are needed. Choose formats or a preset on Mixed precision: each "
        "plan that is measured there can be compared here.",
        icon=":material/info:",
    )
    st.page_link(str(MIXED_PRECISION), label="Mixed precision", icon=":material/grid_on:")


def _choose(state: State) -> list[str]:
    """The keys of the plans compared: those chosen before, else the plan in hand and the last measured."""
    kept = [key for key in state.compared if key in state.measured][:COMPARED]
    if not kept:
        latest = [key for key, m in state.measured.items() if m.plan.quantized][::-1]
        first = [state.plan.key] if state.plan.key in state.measured else []
        kept = list(dict.fromkeys([*first, *latest, *state.measured]))[:_FIRST]
    labels = dict(zip(state.measured, _names(list(state.measured.values())), strict=True))
    st.session_state["compare-plans"] = kept
    st.multiselect(
        "Plans",
        list(state.measured),
        key="compare-plans",
        format_func=lambda key: f"{labels[key]}, {text.size(_evaluation(state.measured[key]).bytes)}",
        max_selections=COMPARED,
        on_change=lambda: _compare(state, st.session_state["compare-plans"]),
        help=f"Two to {COMPARED} plans that were measured.",
    )
    return kept


def _compare(state: State, keys: Sequence[str]) -> None:
    state.compared = list(keys)
    state.save()


def _evaluation(measured: Measured) -> Evaluation:
    return compared(measured.plan, measured.evaluation)


def _names(measured: Sequence[Measured]) -> list[str]:
    """A name for each plan; those that share one are numbered."""
    seen: dict[str, int] = {}
    names = []
    for entry in measured:
        name = entry.plan.name
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


def _numbers(state: State, chosen: list[str], names: list[str]) -> None:
    """What was measured of each plan, with the best of each row, and what can be done with it."""
    evaluations = [_evaluation(state.measured[key]) for key in chosen]
    st.html(numbers_html(names, evaluations))
    noise = noise_sentence(names, evaluations)
    if noise:
        st.caption(text.name(noise))
    with st.container(horizontal=True, vertical_alignment="center"):
        for key, name in zip(chosen, names, strict=True):
            in_hand = key == state.plan.key
            st.button(
                text.name(f"{name} is in hand" if in_hand else f"Load {name}"),
                key=f"load-{key}",
                icon=":material/check:" if in_hand else ":material/input:",
                disabled=in_hand,
                on_click=state.take,
                args=(state.measured[key].plan,),
                help="It is the plan in hand." if in_hand else "Make it the plan in hand.",
            )
        csv_button(numbers_table(names, evaluations), "plans")


def _layers(state: State, study: Study, chosen: list[str], names: list[str]) -> None:
    """The layers that differ, and the bits of all weights."""
    plans = [state.measured[key].plan for key in chosen]
    st.subheader("Bits of the weights", anchor=False)
    shares = weight_shares(study, plans)
    said = f"Share of the weights at each bit width in {', '.join(names)}"
    named = shares.assign(plan=[names[number] for number in shares["plan"]])
    chart(shares_figure(shares, names, theme()), "bits", table=named, alt=said)
    st.subheader("Layers that differ", anchor=False)
    different = layer_differences(study, plans)
    same = len(study.graph.quantizable) - len(different)
    if not different:
        st.caption("No layer differs.")
        return
    rows = f"{len(different)} layer{'s differ' if len(different) > 1 else ' differs'}"
    rest = f", {same} layer{'s are' if same > 1 else ' is'} the same" if same else ", which is every layer"
    st.caption(f"{rows}{rest}. Shown is what differs, in the colour of its bits: W weights, A activations.")
    tall = len(different) > _TALL
    with st.container(height=640 if tall else "content", border=tall):
        st.html(layers_html(names, different, theme()))
    csv_button(layers_table(names, different), "layers-that-differ")


main()
