"""Start: what is open and what it loses at each preset; open something else."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.parts import text
from pages.parts.chooser import gallery, own_model
from pages.parts.header import Header
from pages.parts.links import MIXED_PRECISION
from pages.parts.measuring import known_cells, known_plan, measure_plan, measure_presets, sweep_missing
from pages.parts.opening import opened
from pages.parts.state import State
from pages.parts.tables import csv_button
from quant_core.plan import preset_plan
from quant_core.study import Evaluation, Study, desk_cells, samples


def main() -> None:
    state, study = opened()
    header = Header(state, study)
    header.show(known_plan(state, study))
    st.title("Start", anchor=False)
    st.caption(
        "See what quantization does to a model, choose the precision of each layer, export what you saw."
    )
    left, right = st.columns([5, 3], gap="large")
    with left:
        _about(study)
        presets = st.container()
    with right:
        gallery(state)
        own_model(state)
    with presets:
        _presets(state, study)
    header.show(measure_plan(state, study))
    with presets:
        _fragile(state, study)


def _about(study: Study) -> None:
    """What was understood of the model, and what was not."""
    about = study.inspect()
    st.subheader(text.name(about["name"]), anchor=False)
    card = next((s.card for s in samples() if s.model == study.graph.file.path), None)
    if card is not None:
        st.write(text.name(card["description"]))
        if card.get("constructed"):
            st.caption(f"Constructed: {text.name(card['constructed'])}")
    columns = st.columns(4)
    columns[0].metric("Layers to quantize", len(study.graph.quantizable))
    columns[1].metric("Parameters", text.count(about["parameters"]))
    columns[2].metric(
        "MACs",
        text.count(about["macs"]),
        help="Multiply-accumulates for one sample; unknown lengths count as 1.",
    )
    columns[3].metric("File", text.size(about["bytes"]))
    for step in study.steps:
        proof = "" if step.proof_db is None else f"; outputs agree to {step.proof_db:.0f} dB"
        st.caption(f":material/{'check' if step.kept else 'undo'}: {text.name(step.done + proof)}")
    refused = [layer for layer in study.graph.layers if layer.reason is not None]
    if refused:
        with st.expander(f"{len(refused)} layers are not quantized, and why"):
            rows = [{"Layer": x.name, "Operator": x.op, "Why": str(x.reason)} for x in refused]
            st.dataframe(pd.DataFrame(rows), hide_index=True)


def _presets(state: State, study: Study) -> None:
    st.subheader("What each preset costs and saves", anchor=False)
    if not study.has_data:
        st.info(
            "No data is open: weights can be looked at, numbers of quality need samples.",
            icon=":material/info:",
        )
        return
    asked = state.source.is_sample or st.session_state.get(f"presets-{state.id}", False)
    found = measure_presets(state, study, asked)
    if not asked and len(found) < 2:
        st.caption("No preset is measured yet; each takes a pass over the samples and is kept.")
        if st.button("Measure the presets", icon=":material/play_arrow:", type="primary"):
            st.session_state[f"presets-{state.id}"] = True
            st.rerun()
    if not found:
        return
    table = pd.DataFrame([_row(name, e) for name, e in found.items()])
    quality = next(iter(found.values())).metric_name or "Quality"
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "preset": "Preset",
            "bytes": st.column_config.NumberColumn("Bytes", format="localized"),
            "share": st.column_config.ProgressColumn("% of FP32", format="%.1f", min_value=0, max_value=100),
            "metric": st.column_config.NumberColumn(f"{quality.capitalize()}, %", format="%.2f"),
            "agreement": st.column_config.NumberColumn("Agreement, %", format="%.2f"),
            "sqnr_db": st.column_config.NumberColumn("SQNR, dB", format="%.2f"),
        },
    )
    first = next(iter(found.values()))
    fp32 = "" if first.metric_fp32 is None else f" FP32 {quality}: {100 * first.metric_fp32:.2f} %."
    st.caption(f"Simulated on {first.samples} samples.{fp32}")
    with st.container(horizontal=True):
        csv_button(table, "presets")
        chosen = st.selectbox(
            "Start from a preset", list(found), _int8(found), label_visibility="collapsed", width=180
        )
        if st.button("Use this preset", icon=":material/tune:"):
            state.take(preset_plan(study.graph, chosen))
            st.switch_page(str(MIXED_PRECISION))


def _fragile(state: State, study: Study) -> None:
    """The layers that lose most at 4 bits. A sample's sensitivity is measured here if it was not before."""
    if not study.has_data:
        return
    keys = [*desk_cells(study, "weights"), *desk_cells(study, "activations")]
    known = known_cells(study, keys)
    worst = sorted(
        (c for c in known.values() if (c.key.format, c.key.part) == ("int4", "weights")),
        key=lambda c: c.quality.sqnr_db,
    )[:3]
    if worst:
        st.subheader("Where it breaks", anchor=False)
        for cell in worst:
            kind = study.graph.layer(cell.key.layer).kind
            line = f"{cell.key.layer} ({kind}) with int4 weights leaves {text.decibel(cell.quality.sqnr_db)}"
            if cell.quality.agreement is not None:
                line += f" and {text.percent(cell.quality.agreement)} agreement"
            st.write(text.name(line + ", all other layers in float."))
        st.page_link(str(MIXED_PRECISION), label="Every layer at every format", icon=":material/grid_on:")
    if state.source.is_sample:
        sweep_missing(study, keys, known)


def _int8(found: dict[str, Evaluation]) -> int:
    return list(found).index("int8") if "int8" in found else 0


def _row(name: str, e: Evaluation) -> dict[str, object]:
    return {
        "preset": name,
        "bytes": e.bytes,
        "share": 100 * e.share,
        "metric": None if e.metric is None else 100 * e.metric,
        "agreement": None if e.agreement is None else 100 * e.agreement,
        "sqnr_db": e.sqnr_db,
    }


main()
