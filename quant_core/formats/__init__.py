"""Numbers: formats, the affine map, what shares a scale, ranges, and quantized tensors."""

from quant_core.formats.affine import affine_parameters, dequantize, fake_quantize, quantize
from quant_core.formats.arithmetic import (
    FixedPoint,
    Saturation,
    Sums,
    integer_sums,
    requantize,
    requantize_fixed,
    saturate_pairs,
)
from quant_core.formats.granularity import Layout, from_rows, layout_of, to_rows
from quant_core.formats.number import FORMATS, Format, get_format
from quant_core.formats.ranges import find_range
from quant_core.formats.scheme import CODEBOOKS, RANGES, Scheme
from quant_core.formats.tensor import QuantizedTensor, quantize_tensor, sqnr_db, sqnr_from_power, stored_bits

__all__ = [
    "CODEBOOKS",
    "FORMATS",
    "RANGES",
    "FixedPoint",
    "Format",
    "Layout",
    "QuantizedTensor",
    "Saturation",
    "Scheme",
    "Sums",
    "affine_parameters",
    "dequantize",
    "fake_quantize",
    "find_range",
    "from_rows",
    "get_format",
    "integer_sums",
    "layout_of",
    "quantize",
    "quantize_tensor",
    "requantize",
    "requantize_fixed",
    "saturate_pairs",
    "sqnr_db",
    "sqnr_from_power",
    "stored_bits",
    "to_rows",
]
