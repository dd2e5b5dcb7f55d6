"""The certificate of a file in numbers, and the ledger of its three runs."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.parts import metrics, text
from pages.parts.flips import intervals
from pages.parts.state import State
from pages.parts.tables import csv_button
from quant_core.study import Certificate, LayerReport, Study, measure_of

_RUNS = {"float": "FP32", "simulated": "simulated", "shipped": "shipped"}
_LEDGER_HELP = (
    "Float to simulated is the plan itself; simulated to shipped is what integer kernels add. Differences "
    "are shares of the root mean square of the output."
)
_ARENA_HELP = (
    "The activations of one sample that are alive at a time at most, each at the width that its readers in "
    "the plan need: the arena of a runtime without other overhead. Weights and scratch memory are not in it."
)


def certificate_numbers(state: State, study: Study, certificate: Certificate) -> None:
    """What the file is, and its metric, change and agreement with their intervals."""
    share = 100 * certificate.bytes / study.graph.file.bytes
    decoder = "" if state.view.decoder == "cast" else ", DequantizeLinear"
    st.caption(
        f"{certificate.bytes:,} bytes, {share:.2f} % of FP32; opset {certificate.opset}{decoder}; "
        f"sha256 {certificate.sha256}"
    )
    numbers = [
        *_metric(certificate),
        *_decided(certificate),
        (
            "SQNR",
            text.decibel(certificate.quality["shipped"].sqnr_db),
            f"{text.decibel(certificate.quality['simulated'].sqnr_db)} simulated",
            "Signal-to-quantization-noise ratio of the outputs against FP32's; more is better.",
        ),
    ]
    with st.container(horizontal=True, key="certificate"):
        for label, value, note, said in numbers:
            st.metric(label, value, note, delta_color="off", delta_arrow="off", help=said, width=190)
    source = intervals(certificate)
    st.caption(f"Shipped, on {certificate.samples:,} samples. {source}".strip())


def _metric(certificate: Certificate) -> list[tuple[str, str, str, str]]:
    name = certificate.metric_name
    found = []
    for run, whose in (("shipped", "of the file"), ("float", "of FP32")):
        value, ends = certificate.quality[run].metric, certificate.interval(run)
        if value is None:
            return []
        note = "no interval" if ends is None else _ends(ends)
        said = "95 % interval." if ends else "The metric does not count right and wrong decisions."
        found.append((f"{metrics.title(name)} {whose}", metrics.shown(name, value), note, said))
    return found


def _decided(certificate: Certificate) -> list[tuple[str, str, str, str]]:
    found = []
    if certificate.change is not None and measure_of(certificate.metric_name).share:
        change, (low, high) = certificate.change
        found.append(
            (
                "Change",
                f"{100 * change:+.2f} points",
                f"{100 * low:+.2f} to {100 * high:+.2f}",
                "Both decide on the same samples, so the interval of the change is narrower than those of "
                "the two metrics.",
            )
        )
    if certificate.agreement is not None:
        share, ends = certificate.agreement
        said = "Share of decisions that equal those of the FP32 model."
        found.append(("Agreement", text.percent(share), _ends(ends), said))
    return found


def _ends(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f} %"


def activations_line(state: State, study: Study) -> None:
    """The arena that the activations of the plan in hand need."""
    found = study.arena(state.plan)
    if found is None:
        said = "Peak of the activations: not counted, some shapes are only known when the model runs."
    else:
        said = (
            f"Peak of the activations, batch 1: {text.size(found.bytes)}, at {found.step}; in FP32 "
            f"{text.size(found.bytes_fp32)}, at {found.step_fp32}."
        )
    st.caption(text.name(said), help=_ARENA_HELP)


def ledger(certificate: Certificate, layers: LayerReport | None) -> None:
    """How far the three runs lie apart: outputs, decisions, and the codes inside."""
    table = certificate.outputs
    if table.empty:
        st.caption("No output of this model is in floats.")
    else:
        _outputs(certificate, table)
    if layers is not None and not layers.coded.empty:
        _codes(layers)


def _outputs(certificate: Certificate, table: pd.DataFrame) -> None:
    shown = pd.DataFrame(
        {
            "pair": [f"{_RUNS[a]} → {_RUNS[b]}" for a, b in zip(table["a"], table["b"], strict=True)],
            "output": table["output"],
            "differ": 100 * table["differ"] / table["elements"],
            "median": 100 * table["median"],
            "p99": 100 * table["p99"],
            "largest": 100 * table["largest"],
            "sqnr_db": table["sqnr_db"],
            "decisions": [
                certificate.changed.get(f"{a} {b}") for a, b in zip(table["a"], table["b"], strict=True)
            ],
        }
    )
    if shown["output"].nunique() == 1:
        shown = shown.drop(columns="output")
    shown = shown.dropna(axis="columns", how="all")
    number = st.column_config.NumberColumn
    st.dataframe(
        shown,
        hide_index=True,
        column_config={
            "pair": st.column_config.TextColumn("From → to", help=_LEDGER_HELP),
            "output": "Output",
            "differ": number(
                "Differ, %", format="%.2f", help="Elements of the output that are not equal to the bit."
            ),
            "median": number("Median, % RMS", format="%.3g"),
            "p99": number("99th, % RMS", format="%.3g"),
            "largest": number("Largest, % RMS", format="%.3g"),
            "sqnr_db": number("SQNR, dB", format="%.1f", help="200 dB stands for equal."),
            "decisions": number("Decisions", help=f"That change, of {certificate.decisions:,}."),
        },
    )
    csv_button(shown, "ledger")


def _codes(layers: LayerReport) -> None:
    table = layers.coded
    total = table["codes"].sum()
    parts = [
        f"Float to simulated, {100 * table['differ'].sum() / total:.3g} % of the codes that enter layers "
        f"differ, {100 * table['beyond_one'].sum() / total:.3g} % by more than one step, at most by "
        f"{table['largest'].max():.0f}."
    ]
    known = table.dropna(subset=["shipped_differ"])
    if known.empty:
        parts.append(
            "Those inside the shipped file are not known: making them outputs would change its kernels."
        )
    else:
        total = known["codes"].sum()
        worst = known.loc[known["shipped_largest"].idxmax()]
        parts.append(
            f"Simulated to shipped {100 * known['shipped_differ'].sum() / total:.3g} % differ, "
            f"{100 * known['shipped_beyond_one'].sum() / total:.3g} % by more than one step, at most by "
            f"{worst['shipped_largest']:.0f}, at the input of {worst['layer']}."
        )
    parts.append(f"A step is the scale of the layer's input; on {layers.samples} samples.")
    st.caption(text.name(" ".join(parts)))
    with st.expander("Codes, layer by layer"):
        shown = pd.DataFrame(
            {
                "layer": table["layer"],
                "codes": table["codes"],
                **{
                    prefix + name: 100 * table[prefix + name] / table["codes"]
                    if name != "largest"
                    else table[prefix + name]
                    for prefix in ("", "shipped_")
                    for name in ("differ", "beyond_one", "largest")
                },
            }
        )
        number = st.column_config.NumberColumn
        labels = {"differ": "differ, %", "beyond_one": "beyond one step, %", "largest": "largest, steps"}
        st.dataframe(
            shown,
            hide_index=True,
            column_config={
                "layer": "Layer",
                "codes": number("Codes", format="localized"),
                **{
                    prefix + name: number(f"{whose}: {label}", format="%.3g")
                    for prefix, whose in (("", "Simulated"), ("shipped_", "Shipped"))
                    for name, label in labels.items()
                },
            },
        )
        csv_button(shown, "codes-by-layer")
