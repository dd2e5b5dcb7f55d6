"""Export: the file of the plan in hand, measured as it is, and everything that makes it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from pages.parts import metrics, text
from pages.parts.certificate import activations_line
from pages.parts.header import window
from pages.parts.nothing import nothing_to_write
from pages.parts.state import State
from pages.parts.sweeping import needs_data
from pages.parts.tables import csv_button
from quant_core.study import (
    DECODERS,
    DONE,
    FAILED,
    Job,
    Latency,
    Study,
    export_command,
    export_wish,
    line,
    measure_of,
)

_DECODERS = {
    "cast": "Cast and Mul: runs at FP32 speed in ONNX Runtime",
    "dequantize": "DequantizeLinear: what other toolchains expect",
}
_HELP = (
    "How weights that are stored in few bits become float again. Both hold the same values to the bit. With "
    "8-bit activations beside 8-bit weights both write DequantizeLinear, which integer kernels need."
)


def main() -> None:
    with window() as (state, study):
        st.title("Export", anchor=False)
        st.caption("The ONNX file that the numbers come from, run as its user will run it.")
        if not nothing_to_write(state, study):
            _page(state, study)


def _page(state: State, study: Study) -> None:
    st.session_state["decoder"] = state.view.decoder
    st.radio(
        "Weights are decoded by",
        list(DECODERS),
        format_func=_DECODERS.__getitem__,
        key="decoder",
        on_change=lambda: state.look(decoder=st.session_state["decoder"]),
        help=_HELP,
    )
    wish = export_wish(state.source, state.plan, state.view.decoder)
    job = wish.find(state.id)
    gone = job is not None and job.state == DONE and not Path((job.result or {}).get("path", "")).is_file()
    if job is None or job.state == "cancelled" or gone:
        job = wish.ask(state.id)
    _downloads(state, study, job)
    if job.state == DONE:
        _numbers(state, study, job)
    elif job.state != FAILED:
        st.caption("The file is being written and measured: simulated, shipped, and timed against FP32.")
    st.subheader("The same from the command line", anchor=False)
    st.code(
        export_command(state.source, f"{_stem(study)}-plan.json", _stem(study), state.view.decoder),
        "sh",
        wrap_lines=True,
    )


def _stem(study: Study) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in study.graph.file.name) or "model"


def _downloads(state: State, study: Study, job: Job) -> None:
    path = Path((job.result or {}).get("path", ""))
    with st.container(horizontal=True):
        st.download_button(
            "ONNX file",
            _reader(path) if job.state == DONE else b"",
            f"{_stem(study)}-quantized.onnx",
            "application/octet-stream",
            icon=":material/download:",
            type="primary",
            disabled=job.state != DONE,
            on_click="ignore",
        )
        st.download_button(
            "Plan",
            json.dumps(state.plan.to_json(), indent=1),
            f"{_stem(study)}-plan.json",
            "application/json",
            icon=":material/download:",
            on_click="ignore",
            help="The schemes of every layer; the desk and the command line read it.",
        )


def _reader(path: Path) -> Callable[[], bytes]:
    return path.read_bytes


def _numbers(state: State, study: Study, job: Job) -> None:
    result = job.result or {}
    share = 100 * result["bytes"] / study.graph.file.bytes
    st.caption(
        f"{result['bytes']:,} bytes, {share:.2f} % of FP32; opset {result['opset']}; "
        f"sha256 {result['sha256']}"
    )
    activations_line(state, study)
    if state.plan.needs_calibration and study.calibration_is_generated:
        st.warning(f"**{metrics.MADE_UP.capitalize()}.** {metrics.MADE_UP_HELP}", icon=":material/info:")
    st.subheader("This file, measured", anchor=False)
    if result["simulated"] is None:
        needs_data("what the file computes was not measured")
        return
    runs = [result["simulated"], result["shipped"]]
    quality = runs[0]["metric_name"]
    rows = [
        {
            "execution": run["execution"],
            "quality": metrics.scaled(quality, run["metric"]),
            "fp32": metrics.scaled(quality, run["metric_fp32"]),
            "agreement": None if run["agreement"] is None else 100 * run["agreement"],
            "sqnr_db": run["sqnr_db"],
            "samples": run["samples"],
            **{name: metrics.scaled(name, value) for name, value in run.get("more", {}).items()},
        }
        for run in runs
    ]
    table = pd.DataFrame(rows).dropna(axis="columns", how="all")
    number = st.column_config.NumberColumn
    st.dataframe(
        table,
        hide_index=True,
        placeholder="–",
        column_config={
            "execution": st.column_config.TextColumn(
                "Execution",
                help="Simulated: the plan's arithmetic in float. Shipped: default options, integer kernels.",
            ),
            "quality": number(metrics.column(quality), format=metrics.number_format(quality)),
            "fp32": number(
                "FP32, %" if measure_of(quality).percent else "FP32",
                format=metrics.number_format(quality),
                help="The same measure of the file that was opened.",
            ),
            "agreement": number("Agreement, %", format="%.2f"),
            "sqnr_db": number("SQNR, dB", format="%.2f"),
            "samples": "Samples",
            **{name: _further(name, runs[0]) for name in runs[0].get("more", {})},
        },
    )
    csv_button(table, "export")
    _latency(Latency(**result["latency"]), job)


def _further(name: str, run: dict[str, Any]) -> Any:
    """The column of a further metric."""
    fp32 = run.get("more_fp32", {}).get(name)
    said = "" if fp32 is None else f" FP32: {metrics.shown(name, fp32)}."
    return st.column_config.NumberColumn(
        metrics.column(name),
        format=metrics.number_format(name),
        help=f"A further metric of the same run.{said}",
    )


def _latency(found: Latency, job: Job) -> None:
    """How long the file takes, and a way to time it again where the machine was busy."""
    st.write(
        text.name(
            f"Latency: {found.ratio:.2f} times that of FP32; half of {found.runs} interleaved "
            f"pairs lie between {found.low:.2f} and {found.high:.2f}, batch {found.batch}."
        )
    )
    if found.is_noisy:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("The pairs lie far apart: the machine was busy.", width="content")
            if st.button("Time it again", icon=":material/timer:"):
                line().again(job)
                st.rerun()


main()
