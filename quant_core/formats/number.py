"""The catalogue of number formats: what one stored number is."""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np

from quant_core.errors import FormatError


@dataclass(frozen=True)
class Format:
    """How one number is stored.

    `onnx_type` is the name of the ONNX tensor type that stores it and `opset` the first opset whose Cast and
    DequantizeLinear read that type. `storage` is the NumPy dtype that holds one code in memory.
    """

    name: str
    kind: str  # "float" or "integer"
    bits: int
    onnx_type: str
    opset: int
    storage: np.dtype
    signed: bool = True

    @property
    def qmin(self) -> int:
        """Smallest code of an integer format."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def qmax(self) -> int:
        """Largest code of an integer format."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def levels(self) -> int:
        """How many different values the format can hold under one scale."""
        return 1 << self.bits

    def __str__(self) -> str:
        return self.name


def _integer(name: str, bits: int, opset: int, storage: object) -> Format:
    return Format(name, "integer", bits, name.upper(), opset, np.dtype(storage), not name.startswith("u"))  # type: ignore[call-overload]


# Opsets: QuantizeLinear-13 stores 8 bits; 16 and 4 bits came with opset 21, 2 bits with opset 25.
FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format("fp32", "float", 32, "FLOAT", 1, np.dtype(np.float32)),
        Format("fp16", "float", 16, "FLOAT16", 1, np.dtype(np.float16)),
        Format("bf16", "float", 16, "BFLOAT16", 13, np.dtype(ml_dtypes.bfloat16)),
        _integer("int16", 16, 21, np.int16),
        _integer("uint16", 16, 21, np.uint16),
        _integer("int8", 8, 13, np.int8),
        _integer("uint8", 8, 13, np.uint8),
        _integer("int4", 4, 21, ml_dtypes.int4),
        _integer("uint4", 4, 21, ml_dtypes.uint4),
        _integer("int2", 2, 25, ml_dtypes.int2),
        _integer("uint2", 2, 25, ml_dtypes.uint2),
    )
}


def get_format(name: str) -> Format:
    """The format called `name`; FormatError names the known ones."""
    if name not in FORMATS:
        raise FormatError(f"'{name}' is not a known format", f"choose one of {', '.join(FORMATS)}")
    return FORMATS[name]
