"""Model: the graph and the table of layers with one selection, and where the bytes of the file are."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from pages.parts import text
from pages.parts.charts import chart
from pages.parts.header import window
from pages.parts.measuring import known_cells
from pages.parts.model_graph import draw_graph, draw_legend, laid_out
from pages.parts.model_layers import draw_details, draw_table
from pages.parts.nothing import nothing_to_quantize
from pages.parts.notice import notice
from pages.parts.opening import theme
from pages.parts.quantized import quantized_already
from pages.parts.state import State
from pages.parts.stored import stored_section
from quant_core.figures import bytes_figure
from quant_core.plan import Plan
from quant_core.study import COLOURS, Architecture, Study, desk_cells, layer_table, stored_bytes

_CSS = Path(__file__).parents[1] / "parts" / "model.css"
_STYLE = f"<style>{_CSS.read_text(encoding='utf-8')}</style>"
_NAMES = {"bits": "Bits", "error": "Error", "bytes": "Bytes", "macs": "MACs"}
_SAID = {
    "bits": "Bits of one weight in the plan in hand. Of a folded block: of the layer with the fewest.",
    "error": "Output SQNR with only that layer's weights quantized, warmer is worse: at the format that the "
    "plan in hand gives it, and at {at} where that is FP32. Of a folded block: of its worst layer.",
    "bytes": "Bytes of the weights as the file stores them. Of a folded block: of all its layers.",
    "macs": "Multiply-accumulate operations for one sample. Of a folded block: of all its layers.",
}


def main() -> None:
    with window() as (state, study):
        st.html(_STYLE)
        st.title("Model", anchor=False)
        st.caption(
            "The layers of the model and how they connect. Drag to move, scroll to zoom; a click selects a "
            "layer or unfolds a block. An activation or a bias is drawn with the layer it follows."
        )
        notice(state)
        cells = known_cells(study, desk_cells(study, "weights") if study.has_data else [])
        table = layer_table(study, state.plan, cells, state.view.damage_at)
        built, layout = laid_out(state, study)
        _tools(state, built)
        with st.container(key="model-parts"):  # where they stand: model.css
            with st.container(key="model-drawn"):
                draw_legend(state, built, table, theme())
                node = draw_graph(state, study, built, layout, table, theme())
                st.caption(_SAID[state.view.colour].format(at=state.view.damage_at))
            with st.container(border=True, key="model-details"):
                if study.graph.quantizable:
                    draw_details(state, study, table, node)
                else:
                    nothing_to_quantize(study, here=True)
            with st.container(key="model-table"):
                st.subheader("Layers", anchor=False)
                draw_table(state, study, table)
        quantized_already(study)
        _bytes(state, study)
        stored_section(study)


def _tools(state: State, built: Architecture) -> None:
    """Colour, folding, the part in view, and the search."""

    def keep(name: str) -> None:
        if (value := st.session_state[f"model-{name}"]) is not None:
            state.look(**{name: value})

    def fold() -> None:
        state.look(folded=st.session_state["model-folded"], unfolded=())

    chosen = {"colour": state.view.colour, "whole": state.view.whole, "find": state.view.find}
    for name, value in {**chosen, "folded": built.folded, "damage_at": state.view.damage_at}.items():
        st.session_state[f"model-{name}"] = value
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Colour by",
            COLOURS,
            format_func=_NAMES.__getitem__,
            key="model-colour",
            on_change=keep,
            args=("colour",),
            help="Bits of the plan in hand, error of quantizing one layer alone, bytes of the weights, or "
            "multiply-accumulate operations (MACs).",
        )
        if state.view.colour == "error":
            st.segmented_control(
                "Layers in FP32 at",
                ("int8", "int4", "int2"),
                key="model-damage_at",
                on_change=keep,
                args=("damage_at",),
                help="The format that the error of a layer is shown at where the plan leaves it in FP32.",
            )
        st.text_input(
            "Search by name",
            key="model-find",
            on_change=keep,
            args=("find",),
            icon=":material/search:",
            width=220,
        )
        st.toggle(
            "Fold repeated blocks",
            key="model-folded",
            on_change=fold,
            disabled=not built.blocks,
            help="Draw each of a row of blocks of equal structure as one box."
            if built.blocks
            else "No stretch of this graph repeats.",
        )
        st.toggle(
            "Whole graph",
            key="model-whole",
            on_change=keep,
            args=("whole",),
            help="Show everything at once instead of the surroundings of the selected layer.",
        )
        if state.view.unfolded and built.folded:
            st.button(
                "Fold all",
                icon=":material/unfold_less:",
                on_click=state.look,
                kwargs={"unfolded": ()},
                help="Close the blocks that were opened.",
            )


@st.cache_data(max_entries=32, show_spinner=False)
def _stored(model: str, plan: str, _study: Study, _plan: Plan) -> pd.DataFrame:
    """The tensors of the file, kept by the hashes of model and plan."""
    stored = stored_bytes(_study, _plan)
    return stored.assign(size=[text.size(n) for n in stored["bytes"]])


def _bytes(state: State, study: Study) -> None:
    """The treemap of everything that the file stores."""
    st.subheader("Bytes of the file", anchor=False)
    st.caption(
        "Everything the opened file stores, sized by bytes; weights of layers in the colour of their bits in "
        "the plan in hand."
    )
    stored = _stored(study.graph.file.sha256, state.plan.key, study, state.plan)
    title = f"{study.graph.file.name}, {text.size(study.graph.file.bytes)}"
    chart(bytes_figure(stored, title, theme()), "bytes", table=stored.drop(columns="size"))


main()
