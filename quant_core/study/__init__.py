"""The study: one model, one data set, and everything that is measured on them."""

from quant_core.data import DEFAULT, Sample, get_sample, samples
from quant_core.engine import EXECUTIONS, Cell, CellKey
from quant_core.lower import DECODERS
from quant_core.study.budget import BudgetSearch, Found
from quant_core.study.compare import compare_files
from quant_core.study.desk import (
    alternatives,
    check_layer,
    choose,
    chosen_column,
    column_label,
    desk_cells,
    forecast_sqnr,
    formats_of,
    toggle_lock,
    tradeoff,
)
from quant_core.study.open import open_model, open_samples
from quant_core.study.records import Evaluation, cell_json
from quant_core.study.sessions import load_session, new_session_id, save_session
from quant_core.study.source import Source
from quant_core.study.study import Study
from quant_core.study.weights import (
    channel_ranges,
    format_errors,
    weight_histogram,
    weight_summary,
    widest_channel,
)

__all__ = [
    "DECODERS",
    "DEFAULT",
    "EXECUTIONS",
    "BudgetSearch",
    "Cell",
    "CellKey",
    "Evaluation",
    "Found",
    "Sample",
    "Source",
    "Study",
    "alternatives",
    "cell_json",
    "channel_ranges",
    "check_layer",
    "choose",
    "chosen_column",
    "column_label",
    "compare_files",
    "desk_cells",
    "forecast_sqnr",
    "format_errors",
    "formats_of",
    "get_sample",
    "load_session",
    "new_session_id",
    "open_model",
    "open_samples",
    "samples",
    "save_session",
    "toggle_lock",
    "tradeoff",
    "weight_histogram",
    "weight_summary",
    "widest_channel",
]
