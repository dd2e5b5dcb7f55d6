"""Start: what is open and what it loses at each preset; open something else."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from pages.parts import metrics, text
from pages.parts.checking import check
from pages.parts.chooser import gallery, own_model
from pages.parts.header import window
from pages.parts.links import MIXED_PRECISION, SENSITIVITY
from pages.parts.measuring import known_cells, known_presets
from pages.parts.nothing import nothing_to_quantize
from pages.parts.notice import notice
from pages.parts.plans import PRESET_HELP, take_preset
from pages.parts.preview import seen_by_the_network
from pages.parts.state import State
from pages.parts.sweeping import sweep_job
from pages.parts.tables import csv_button
from pages.parts.understood import understood
from pages.parts.workspace import workspace
from quant_core.study import Evaluation, Study, desk_cells, desk_formats, samples

_PRESETS = (
    "int: integers of so many bits. weights: only weights are quantized. wXaY: weights in X bits, "
    "activations in Y bits."
)


def main() -> None:
    with window(start=True) as (state, study):
        st.title("Start", anchor=False)
        st.caption(
            "See what quantization does to a model, choose the precision of each layer, export what you saw."
        )
        notice(state)
        left, right = st.columns([5, 3], gap="large")
        with left:
            _about(study)
            check(state, study)
            if not nothing_to_quantize(study):
                _presets(state, study)
                _fragile(state, study)
            seen_by_the_network(study)
        with right:
            gallery(state)
            own_model(state)
            workspace(state)


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
    columns[0].metric(
        "Layers to quantize", len(study.graph.quantizable), help="Nodes with weights that can take a format."
    )
    columns[1].metric("Parameters", text.count(about["parameters"]), help="Stored floating-point numbers.")
    columns[2].metric(
        "MACs",
        text.count(about["macs"]),
        help="Multiply-accumulates for one sample; unknown lengths count as 1.",
    )
    columns[3].metric("File", text.size(about["bytes"]), help="Bytes as opened, external data included.")
    ports = [f"{p['name']} {_dims(p['shape'])} {p['dtype']}" for p in (*about["inputs"], *about["outputs"])]
    st.caption(text.name(f"Opset {about['opset']}; inputs and outputs: {'; '.join(ports)}"))
    understood(study)


def _dims(shape: tuple[object, ...]) -> str:
    return "x".join("?" if n is None else str(n) for n in shape) or "scalar"


def _presets(state: State, study: Study) -> None:
    st.subheader("What each preset costs and saves", anchor=False)
    if not study.has_data:
        st.info(
            "No data is open: weights can be looked at, numbers of quality need samples. Open the model "
            "again with a data file, under Your own model.",
            icon=":material/info:",
        )
        if study.calibration is None:
            st.button(
                "Calibrate on made-up inputs",
                icon=":material/casino:",
                on_click=state.begin,
                args=(replace(state.source, calibration="generated"),),
                help="Activations and 8-bit export then work too; what rests on it is marked.",
            )
        return
    slot = f"presets-{state.id}"
    found = known_presets(state, study, state.source.is_sample or st.session_state.pop(slot, False))
    if len(found) < 2 and not state.source.is_sample:

        def ask() -> None:
            st.session_state[slot] = True

        st.caption("A preset sets one format for all layers. Measuring one takes a pass over the samples.")
        st.button("Measure the presets", icon=":material/play_arrow:", on_click=ask)
    if not found:
        if state.source.is_sample:
            st.caption("They are being measured; each appears here when it is.")
        return
    table = pd.DataFrame([_row(name, e) for name, e in found.items()])
    quality = next(iter(found.values())).metric_name
    number = st.column_config.NumberColumn
    picked = st.dataframe(
        table.dropna(axis="columns", how="all"),  # no labels, no metric
        hide_index=True,
        height="content",
        on_select="rerun",
        selection_mode="single-row",
        key=f"presets-table-{len(table)}",
        alt="Bytes and quality of every preset",
        column_config={
            "preset": st.column_config.TextColumn("Preset", help=_PRESETS),
            "bytes": number("Bytes", format="localized", help="Of the exported file."),
            "share": st.column_config.ProgressColumn(
                "% of FP32", format="%.1f", min_value=0, max_value=100, help="Of the file that was opened."
            ),
            "metric": number(metrics.column(quality), format=metrics.number_format(quality)),
            "agreement": number(
                "Agreement, %", format="%.2f", help="Share of samples whose top-1 equals that of FP32."
            ),
            "sqnr_db": number(
                "SQNR, dB", format="%.2f", help="Signal-to-quantization-noise ratio of the outputs."
            ),
            "ranges": st.column_config.TextColumn("Ranges", help=metrics.MADE_UP_HELP),
        },
    )
    first = next(iter(found.values()))
    fp32 = "" if first.metric_fp32 is None else f" FP32: {metrics.shown(quality, first.metric_fp32)}."
    st.caption(f"Simulated on {first.samples} samples.{fp32} Tick a row to start from it.")
    rows = [row for row in picked.selection.rows if row < len(table)]
    chosen = list(found)[rows[0]] if rows else _first_choice(found)
    with st.container(horizontal=True):
        if st.button(f"Start from {chosen}", icon=":material/tune:", help=PRESET_HELP[chosen]):
            take_preset(state, study, chosen)
            st.switch_page(str(MIXED_PRECISION))
        csv_button(table, "presets")


def _fragile(state: State, study: Study) -> None:
    """The layers that lose most at 4 bits. A sample's sensitivity is asked for if it was not before."""
    sweep_job(state, study, desk_formats(state.view.more))
    known = known_cells(study, desk_cells(study, "weights") if study.has_data else [])
    worst = sorted(
        (c for c in known.values() if (c.key.format, c.key.part) == ("int4", "weights")),
        key=lambda c: c.quality.sqnr_db,
    )[:3]
    if worst:
        st.subheader("Where it breaks", anchor=False)
        for cell in worst:
            kind = study.graph.layer(cell.key.layer).kind
            left = metrics.left(cell.quality, " and ", few=cell.band is not None)
            line = f"{cell.key.layer} ({kind}) with int4 weights leaves {left}, all other layers in float."
            st.write(text.name(line))
        with st.container(horizontal=True):
            st.page_link(str(SENSITIVITY), label="Every layer at every format", icon=":material/thermostat:")
            st.page_link(str(MIXED_PRECISION), label="Choose formats", icon=":material/grid_on:")


def _first_choice(found: dict[str, Evaluation]) -> str:
    return "int8" if "int8" in found else next(iter(found))


def _row(name: str, e: Evaluation) -> dict[str, object]:
    return {
        "preset": name,
        "bytes": e.bytes,
        "share": 100 * e.share,
        "metric": metrics.scaled(e.metric_name, e.metric),
        "agreement": None if e.agreement is None else 100 * e.agreement,
        "sqnr_db": e.sqnr_db,
        "ranges": metrics.MADE_UP if e.generated_calibration else None,
    }


main()
