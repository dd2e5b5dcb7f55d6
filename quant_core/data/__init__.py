"""Data: samples, preprocessing, draws, tasks, metrics over outputs, and the bundled samples."""

from quant_core.data.carried import looks_carried, read_sizes, sized
from quant_core.data.dataset import ArrayDataset, Batch, Dataset, Labels, Subset
from quant_core.data.expected import has_classes, log_probabilities
from quant_core.data.fit import fit
from quant_core.data.generated import COUNT, GENERATED, generated_data
from quant_core.data.images import ImageDataset
from quant_core.data.metrics import Outputs, Quality, QualityMeter
from quant_core.data.open import ENDINGS, KINDS, Reading, open_data
from quant_core.data.preprocess import PRESETS, Preprocess, get_preprocess, image_input
from quant_core.data.samples import DEFAULT, PREFIX, Sample, get_sample, samples
from quant_core.data.scores import METRICS, Measure, measure_of
from quant_core.data.split import draw, draw_order, set_aside
from quant_core.data.task import TASKS, Task, guess_task, make_task
from quant_core.data.text import decode_tokens, token_input
from quant_core.data.traces import Traces, joined, margins, trace

__all__ = [
    "COUNT",
    "DEFAULT",
    "ENDINGS",
    "GENERATED",
    "KINDS",
    "METRICS",
    "PREFIX",
    "PRESETS",
    "TASKS",
    "ArrayDataset",
    "Batch",
    "Dataset",
    "ImageDataset",
    "Labels",
    "Measure",
    "Outputs",
    "Preprocess",
    "Quality",
    "QualityMeter",
    "Reading",
    "Sample",
    "Subset",
    "Task",
    "Traces",
    "decode_tokens",
    "draw",
    "draw_order",
    "fit",
    "generated_data",
    "get_preprocess",
    "get_sample",
    "guess_task",
    "has_classes",
    "image_input",
    "joined",
    "log_probabilities",
    "looks_carried",
    "make_task",
    "margins",
    "measure_of",
    "open_data",
    "read_sizes",
    "samples",
    "set_aside",
    "sized",
    "token_input",
    "trace",
]
