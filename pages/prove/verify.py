"""Verify: the exported file of the plan in hand in a session of its own, against FP32, on all samples."""

from __future__ import annotations

import streamlit as st

from pages.parts import metrics, text
from pages.parts.certificate import activations_line, certificate_numbers, ledger
from pages.parts.charts import chart
from pages.parts.flips import flips
from pages.parts.header import window
from pages.parts.measuring import known_verification
from pages.parts.nothing import nothing_to_write
from pages.parts.opening import theme
from pages.parts.speed import speed_and_memory
from pages.parts.state import State
from pages.parts.sweeping import needs_data
from quant_core.figures import depth_figure
from quant_core.study import LayerReport, Study


def main() -> None:
    with window() as (state, study):
        st.title("Verify", anchor=False)
        st.caption("The exported file in a session of its own, run as its user will run it, against FP32.")
        if nothing_to_write(state, study):
            return
        if not study.has_data:
            needs_data("what the exported file computes needs samples")
            activations_line(state, study)
            return
        _page(state, study)


def _page(state: State, study: Study) -> None:
    known = known_verification(state, study)
    certificate, layers, speed = known.certificate, known.layers, known.speed
    if state.plan.needs_calibration and study.calibration_is_generated:
        st.warning(f"**{metrics.MADE_UP.capitalize()}.** {metrics.MADE_UP_HELP}", icon=":material/info:")
    if certificate is None:
        if not known.stopped:
            st.info(
                f"The file is being run on all {len(study.data):,} samples. What is found is kept.",
                icon=":material/hourglass_empty:",
            )
        activations_line(state, study)
        return
    certificate_numbers(state, study, certificate)
    activations_line(state, study)
    if certificate.decisions:
        st.subheader("Decisions that changed", anchor=False)
        flips(study, certificate)
    st.subheader("Where error enters", anchor=False)
    if layers is None:
        _waits("The layers are being looked at.", known.stopped)
    else:
        _depth(layers)
    st.subheader("Float, simulated, shipped", anchor=False)
    ledger(certificate, layers)
    st.subheader("Speed and memory", anchor=False)
    if speed is None:
        _waits("Times and memory are measured last.", known.stopped)
    else:
        speed_and_memory(state, study, speed)


def _waits(said: str, stopped: bool) -> None:
    st.caption("Not measured." if stopped else f":material/hourglass_empty: {said}")


def _depth(layers: LayerReport) -> None:
    """The SQNR of each layer alone and in company, over depth."""
    table = layers.table
    if table.empty:
        st.caption("No layer of this model has an output that can be watched.")
        return
    said = f"SQNR of {len(table)} layers alone and with all before them quantized"
    chart(depth_figure(table, theme()), "where-error-enters", table=table, alt=said)
    alone = table.dropna(subset=["isolated_db"])
    words = (
        "Dots: only this layer quantized, fed what FP32 feeds it. Line: all layers before it quantized too. "
        f"More is better. Simulated, on {layers.samples} samples."
    )
    if not alone.empty:
        worst = alone.loc[alone["isolated_db"].idxmin()]
        words += f" Most error enters at {worst['layer']}: alone it leaves {worst['isolated_db']:.1f} dB."
    st.caption(text.name(words))


main()
