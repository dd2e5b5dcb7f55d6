"""How fast the exported file runs beside FP32, and how much memory that takes."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.parts import text
from pages.parts.charts import chart
from pages.parts.opening import theme
from pages.parts.state import State
from pages.parts.tables import csv_button
from quant_core.figures import times_figure
from quant_core.study import Speed, Study, certify_wish, predicted_latency

_OTHERS = 6  # operators beside the layers in the figure


def speed_and_memory(state: State, study: Study, speed: Speed) -> None:
    """Times at each batch size, memory of a fresh process, and the kernels of each layer."""
    _times(speed)
    predicted, measured = predicted_latency(study, state.plan), speed.timings[0].ratio[1]
    if predicted is not None:
        off = 100 * (predicted / measured - 1)
        st.caption(
            f"The times of single layers on this machine predict {predicted:.2f} x at batch "
            f"{speed.timings[0].batch}, which is {off:+.0f} % off."
        )
    if speed.is_noisy:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("The pairs lie far apart: the machine was busy.", width="content")
            if st.button("Time it again", icon=":material/timer:"):
                certify_wish(state.source, state.plan, state.view.decoder, "speed").ask(state.id)
                st.rerun()
    fp32, own = speed.memory_fp32, speed.memory
    st.caption(
        f"Peak memory of a fresh process, batch {speed.timings[0].batch}: {text.size(own.peak)} with the "
        f"file, {text.size(fp32.peak)} with FP32. Of that the model takes {text.size(own.model)} and "
        f"{text.size(fp32.model)}; the rest is Python and ONNX Runtime."
    )
    _layers(speed)


def _times(speed: Speed) -> None:
    table = pd.DataFrame(
        {
            "batch": t.batch,
            "fp32": t.fp32_ms[1],
            "file": t.ms[1],
            "ratio": t.ratio[1],
            "low": t.ratio[0],
            "high": t.ratio[2],
            "runs": t.runs,
        }
        for t in speed.timings
    )
    number = st.column_config.NumberColumn
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "batch": "Batch",
            "fp32": number("FP32, ms", format="%.3g", help="Median."),
            "file": number("File, ms", format="%.3g", help="Median."),
            "ratio": number(
                "Ratio", format="%.2f x", help="Median over pairs of the file's time over FP32's."
            ),
            "low": number("Lower quartile", format="%.2f"),
            "high": number("Upper quartile", format="%.2f"),
            "runs": number("Pairs", help="Runs of both in turns, after a warm-up."),
        },
    )
    csv_button(table, "latency")
    st.caption(
        text.name(
            f"Default options, {speed.threads} thread{'s' if speed.threads > 1 else ''}, {speed.runtime}. "
            "FP32 and the file run in turns, warm. Below 1 the file is faster."
        )
    )


def _layers(speed: Speed) -> None:
    joined = speed.layers[speed.layers["layer"] != ""]
    others = speed.layers[speed.layers["layer"] == ""].sort_values("ms", ascending=False)
    rest = others.iloc[_OTHERS:]
    drawn = [joined, others.iloc[:_OTHERS]]
    if len(rest):
        drawn.append(
            pd.DataFrame(
                [{"layer": "", "what": "others", "fp32_ms": rest["fp32_ms"].sum(), "ms": rest["ms"].sum()}]
            )
        )
    said = f"Milliseconds in the kernels of {len(joined)} layers, FP32 and exported file"
    figure = times_figure(pd.concat(drawn, ignore_index=True), theme())
    chart(figure, "layer-times", table=speed.layers, alt=said)
    ours, all_of_it = joined["ms"].sum(), speed.layers["ms"].sum()
    share = ours / all_of_it if all_of_it else 1.0
    st.caption(
        f"ONNX Runtime's profiler at batch {speed.timings[0].batch}, medians. {text.percent(share)} of the "
        "file's time in kernels belongs to a layer; the rest stands on the right by its operator. FP32 is "
        "the prepared graph."
    )
