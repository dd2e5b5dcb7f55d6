"""Data: samples, preprocessing, draws, metrics over outputs, and the bundled samples."""

from quant_core.data.dataset import ArrayDataset, Batch, Dataset, Subset
from quant_core.data.metrics import Outputs, Quality, QualityMeter, has_classes
from quant_core.data.open import fit, open_data
from quant_core.data.preprocess import PRESETS, Preprocess, get_preprocess
from quant_core.data.samples import DEFAULT, PREFIX, Sample, get_sample, samples
from quant_core.data.split import draw, draw_order, set_aside

__all__ = [
    "DEFAULT",
    "PREFIX",
    "PRESETS",
    "ArrayDataset",
    "Batch",
    "Dataset",
    "Outputs",
    "Preprocess",
    "Quality",
    "QualityMeter",
    "Sample",
    "Subset",
    "draw",
    "draw_order",
    "fit",
    "get_preprocess",
    "get_sample",
    "has_classes",
    "open_data",
    "samples",
    "set_aside",
]
