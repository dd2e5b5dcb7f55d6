"""Lowering: a plan becomes the quantized ONNX graph, and its exact size."""

from quant_core.lower.bias import with_room_for_bias
from quant_core.lower.lean import drop_notes
from quant_core.lower.lower import (
    Corrections,
    FindRange,
    WeightCache,
    apply_plan,
    lower,
    lowered_opset,
)
from quant_core.lower.savings import SAVINGS
from quant_core.lower.savings.single import smaller_tensor
from quant_core.lower.sizes import Sizes
from quant_core.lower.weights import DECODERS
from quant_core.lower.written import size_of, to_bytes, to_bytes_once

__all__ = [
    "DECODERS",
    "SAVINGS",
    "Corrections",
    "FindRange",
    "Sizes",
    "WeightCache",
    "apply_plan",
    "drop_notes",
    "lower",
    "lowered_opset",
    "size_of",
    "smaller_tensor",
    "to_bytes",
    "to_bytes_once",
    "with_room_for_bias",
]
