"""The study: one model, one data set, and everything that is measured on them."""

from quant_core.data import DEFAULT, Sample, get_sample, samples
from quant_core.engine import Cell, CellKey
from quant_core.study.budget import BudgetSearch, Found
from quant_core.study.open import open_model, open_samples
from quant_core.study.records import Evaluation, cell_json
from quant_core.study.study import Study

__all__ = [
    "DEFAULT",
    "BudgetSearch",
    "Cell",
    "CellKey",
    "Evaluation",
    "Found",
    "Sample",
    "Study",
    "cell_json",
    "get_sample",
    "open_model",
    "open_samples",
    "samples",
]
