"""Integer arithmetic: one layer computed in 8-bit codes and 32-bit sums, held against ONNX Runtime, against
fixed-point multipliers and against 16-bit sums of pairs."""

from __future__ import annotations

import streamlit as st

from pages.parts import text
from pages.parts.charts import chart
from pages.parts.followed import followed
from pages.parts.header import window
from pages.parts.layers import layer_picker
from pages.parts.links import START
from pages.parts.measuring import known_arithmetic
from pages.parts.nothing import nothing_to_quantize
from pages.parts.opening import theme
from pages.parts.scheme_table import SQNR_HELP
from pages.parts.state import State
from quant_core.figures import accumulator_figure
from quant_core.study import INTEGER_WEIGHTS, Integers, why_no_integers

_LABELS = ("int8 per channel", "int8 per tensor", "int8 per tensor, asymmetric")


def main() -> None:
    with window() as (state, study):
        st.title("Integer arithmetic", anchor=False)
        st.caption(
            "One layer as a machine without floats computes it: 8-bit codes in, 32-bit sums, 8-bit codes out."
        )
        if nothing_to_quantize(study):
            return
        if study.calibration is None:
            st.info(
                "The integers come from calibration samples, and none are open. Open data, with some of it "
                "set aside for calibration.",
                icon=":material/info:",
            )
            st.page_link(str(START), label="Open data", icon=":material/home:")
            return
        layer_picker(state, study)
        refused = why_no_integers(study, study.graph.layer(state.layer))
        if refused is not None:
            st.info(text.name(f"{refused}."), icon=":material/info:")
            return
        _weights(state)
        known = known_arithmetic(state, study, INTEGER_WEIGHTS[state.view.integers])
        if known is None:
            st.info(
                "Computing the layer on calibration samples. What is found is kept.",
                icon=":material/hourglass_empty:",
            )
            return
        _numbers(known)
        _accumulators(state, known)
        followed(state, study, known)
        _narrow(known)


def _weights(state: State) -> None:
    """How the weights are quantized."""
    key = "integers-weights"
    st.session_state[key] = state.view.integers

    def choose() -> None:
        chosen = st.session_state[key]
        if chosen is not None:
            state.look(integers=chosen)

    st.segmented_control(
        "Weights",
        range(len(_LABELS)),
        format_func=_LABELS.__getitem__,
        key=key,
        on_change=choose,
        help="What enters is uint8 with the calibrated range. Asymmetric weights have a zero point too.",
    )


def _numbers(known: Integers) -> None:
    found = known.found
    same = found.outputs - found.differ
    numbers = [
        ("Products in each sum", f"{found.products:,}", "Multiply-accumulates behind one output."),
        (
            "Bits of the sums",
            f"{known.bits} of 32",
            f"Accumulators from {found.low:,} to {found.high:,}, bias included.",
        ),
        (
            "As ONNX Runtime",
            text.percent(same / found.outputs),
            f"{same:,} of {found.outputs:,} output codes equal those of ONNX Runtime's integer operator "
            "(QLinearConv, QLinearMatMul or QGemm), run on this machine.",
        ),
        ("SQNR of the layer", text.decibel(known.sqnr_db), SQNR_HELP),
        (
            "Fixed point differs",
            f"{found.fixed_differ:,}",
            f"Of {found.outputs:,} codes, where an integer multiplier takes the place of the float one; by "
            f"{found.fixed_most} at most.",
        ),
    ]
    with st.container(horizontal=True):
        for label, value, said in numbers:
            st.metric(label, value, help=said, width=170)


def _accumulators(state: State, known: Integers) -> None:
    found = known.found
    figure = accumulator_figure(known.edges, known.counts, theme())
    chart(figure, "accumulators", alt=f"Histogram of the accumulators of {state.layer}")
    said = (
        f"The 32-bit sums of {found.outputs:,} outputs on {found.samples} calibration samples. Beyond 16 "
        "bits, shaded, narrower accumulators would overflow."
    )
    if found.raised:
        said += (
            f" In {found.raised} channels the weights are so small beside the bias that it would not fit in "
            "32 bits: their scale is raised until it does, as ONNX Runtime's quantizer does."
        )
    st.caption(said)


def _narrow(known: Integers) -> None:
    """What 16-bit sums of two products would lose."""
    found = known.found
    st.subheader("On 8-bit x86 without VNNI", anchor=False)
    st.write(
        "The instruction vpmaddubsw multiplies unsigned inputs by signed weights and adds each two products "
        f"in 16 bits. On these samples {found.saturated:,} of {found.pairs:,} pairs do not fit: "
        f"{found.saturated_differ:,} of {found.outputs:,} output codes change"
        + (f", by up to {found.saturated_most}." if found.saturated_differ else ".")
    )
    if found.signed_differ:
        st.caption(
            f"On this machine ONNX Runtime's kernel for signed weights does change {found.signed_differ:,} "
            "codes. Export stores such weights as uint8, 128 higher, zero point and all: that kernel adds in "
            "32 bits."
        )
    else:
        st.caption(
            "On this machine ONNX Runtime's kernel for signed weights gives every code as the 32-bit sums "
            "do. Export stores such weights as uint8, 128 higher, so that no machine saturates."
        )


main()
