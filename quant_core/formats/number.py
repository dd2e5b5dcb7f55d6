"""The catalogue of number formats: what one stored number is.

Six kinds:
- `float`: a float that is stored as it is, without a scale;
- `integer`: codes of the affine map, see `affine`;
- `minifloat`: a float of 8 bits or fewer, multiplied by a scale;
- `table`: an index into a fixed table of values, multiplied by a scale;
- `codebook`: an index into a table that is learned from the tensor, see `codebook`.
The block formats are integers and minifloats of which `block` values share a scale of 8 bits, see `blocks`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from quant_core.errors import FormatError


@dataclass(frozen=True)
class Format:
    """How one number is stored.

    `bits` are those of one code. `onnx_type` is the name of the ONNX tensor type that holds codes, and
    `opset` the first opset that can decode them; where `onnx_type` is empty, no type holds them and the file
    stores packed bytes with a few nodes that unpack them. `storage` is the NumPy dtype that holds one code
    in memory. `values` are those of a table, `block` the values that share a scale of the kind `scale`.
    `levels` is how many different values one scale allows. `about` is one sentence with the source.
    """

    name: str
    kind: str
    bits: int
    onnx_type: str
    opset: int
    storage: np.dtype
    about: str
    signed: bool = True
    levels: int = 0
    values: tuple[float, ...] = ()
    block: int = 0
    scale: str = "fp32"  # fp32, e8m0 or nvfp4

    @property
    def qmin(self) -> int:
        """Smallest code of an integer format."""
        return (-(self.levels // 2)) if self.signed else 0

    @property
    def qmax(self) -> int:
        """Largest code of an integer format."""
        return self.qmin + self.levels - 1

    @property
    def is_scaled(self) -> bool:
        """Whether values are multiplied by a scale, which a range decides."""
        return self.kind in ("integer", "minifloat", "table")

    @property
    def has_granularity(self) -> bool:
        """Whether one may choose what shares a scale or a table."""
        return self.kind != "float" and not self.block

    @property
    def has_range(self) -> bool:
        """Whether one may choose the range method."""
        return self.is_scaled and not self.block and self.bits > 1

    @property
    def has_zero_point(self) -> bool:
        """Whether it can be asymmetric."""
        return self.kind == "integer" and not self.block and self.levels != 3

    @property
    def facts(self) -> str:
        """How a file stores it and what ONNX Runtime's CPU makes of it, in plain sentences (measured with
        1.31).
        """
        if self.bits == 32:
            return "Stored as it is."
        parts = "its tables" if self.kind == "codebook" else "its scales"
        stored = f"ONNX type {self.onnx_type}" if self.is_onnx_type else "packed bytes, unpacked by the graph"
        said = (
            f"Stored as {stored} and {parts}, from opset {self.opset}"
            if self.kind != "float"
            else f"Stored as {stored}"
        )
        said += "; decoded when the file is loaded, so it runs at FP32 speed."
        if self.kind == "minifloat" and self.has_dequantize:
            said += " Through DequantizeLinear, for other toolchains, it runs 3 to 6 times slower than FP32."
        elif self.name in ("fp4_e2m1", "mxfp4", "nvfp4"):
            said += " ONNX has a type FLOAT4E2M1, but no CPU kernel reads it: codes are looked up instead."
        elif self.has_dequantize and self.bits == 8:
            said += " Beside 8-bit activations, integer kernels run it."
        return said

    @property
    def stored_bits(self) -> float:
        """Bits of one code in the file. Five ternary codes share a byte."""
        return 1.6 if self.levels == 3 else float(self.bits)

    @property
    def largest(self) -> float:
        """The largest magnitude that a scaled format holds at scale 1."""
        if self.kind == "integer":
            return float(max(-self.qmin, self.qmax))
        return float(np.abs(self.decoded()).max())

    @property
    def is_onnx_type(self) -> bool:
        """Whether ONNX has a type whose tensors hold the codes."""
        return bool(self.onnx_type)

    @property
    def has_dequantize(self) -> bool:
        """Whether ONNX Runtime's CPU runs DequantizeLinear on the codes (measured with 1.31)."""
        plain = self.scale == "fp32" and self.is_onnx_type
        return plain and (self.kind == "integer" or (self.kind == "minifloat" and self.bits == 8))

    def decoded(self) -> NDArray[np.float32]:
        """The value of each code of a minifloat or a table at scale 1, `[2 ** bits]`; codes that stand for no
        number (NaN, infinity) are 0 here and are never written.
        """
        return _decoded(self.name)

    def grid(self) -> NDArray[np.float32]:
        """The representable values at scale 1 and zero point 0, rising; empty for a codebook, whose values
        are learned.
        """
        if self.kind == "codebook":
            return np.zeros(0, np.float32)
        if self.kind == "integer":
            return np.arange(self.qmin, self.qmax + 1, dtype=np.float32)
        if self.bits > 16:
            raise FormatError(
                f"{self.name} has too many values to list", "choose a format of 16 bits or fewer"
            )
        if self.kind == "float":
            every = np.arange(1 << 16, dtype=np.uint16).view(self.storage).astype(np.float32)
            return np.unique(every[np.isfinite(every)])
        return np.unique(self.decoded())

    def __str__(self) -> str:
        return self.name


@cache
def _decoded(name: str) -> NDArray[np.float32]:
    number = FORMATS[name]
    if number.kind == "table":
        return np.array(number.values, np.float32)
    with np.errstate(invalid="ignore"):
        every = np.arange(1 << number.bits, dtype=np.uint8).view(number.storage).astype(np.float32)
    return np.where(np.isfinite(every), every, np.float32(0))


# QLoRA's quantiles of a normal distribution, with an exact zero: Dettmers et al. 2023, "QLoRA: Efficient
# Finetuning of Quantized LLMs", appendix E.
_NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
)  # fmt: skip

_ONNX = "integers of the affine map (ONNX QuantizeLinear)"
_FP8 = "Micikevicius et al. 2022, FP8 Formats for Deep Learning"
_MX = "OCP Microscaling Formats (MX) v1.0, 2023"


def _integer(name: str, bits: int, onnx_type: str, opset: int, storage: object) -> Format:
    signed = not name.startswith("u")
    about = f"{bits}-bit {'signed' if signed else 'unsigned'} {_ONNX}."
    return Format(name, "integer", bits, onnx_type, opset, np.dtype(storage), about, signed, 1 << bits)  # type: ignore[call-overload]


def _minifloat(name: str, onnx_type: str, opset: int, storage: object, about: str) -> Format:
    bits = int(name[2])
    return Format(name, "minifloat", bits, onnx_type, opset, np.dtype(storage), about, levels=1 << bits)  # type: ignore[call-overload]


def _codebook(bits: int) -> Format:
    about = f"{bits}-bit indices into {1 << bits} learned values (Han et al. 2016, Deep Compression)."
    onnx_type, opset = {8: ("UINT8", 13), 4: ("UINT4", 21), 2: ("UINT2", 25)}.get(bits, ("", 18))
    return Format(
        f"codebook{bits}", "codebook", bits, onnx_type, opset, np.dtype(np.uint8), about, False, 1 << bits
    )


# Opsets: QuantizeLinear-13 stores 8 bits; Cast reads fp8 from 19, 16 and 4 bits from 21, 2 bits from 25.
# ONNX has 4-bit floats from 23, but ONNX Runtime 1.31 has no CPU kernel that reads them: their codes are
# stored as UINT4 and looked up. Packed bits are taken apart by BitwiseAnd, which came with 18.
_PLAIN = (
    Format("fp32", "float", 32, "FLOAT", 1, np.dtype(np.float32), "32-bit float, as opened (IEEE 754)."),
    Format(
        "fp16", "float", 16, "FLOAT16", 1, np.dtype(np.float16),
        "16-bit float, 11 bits of precision (IEEE 754).",
    ),
    Format(
        "bf16", "float", 16, "BFLOAT16", 13, np.dtype(ml_dtypes.bfloat16),
        "16-bit float with the exponents of FP32, 8 bits of precision (Google Brain).",
    ),
    _minifloat(
        "fp8_e4m3", "FLOAT8E4M3FN", 19, ml_dtypes.float8_e4m3fn,
        f"8-bit float, 4 bits of exponent, up to 448 ({_FP8}).",
    ),
    _minifloat(
        "fp8_e5m2", "FLOAT8E5M2", 19, ml_dtypes.float8_e5m2,
        f"8-bit float, 5 bits of exponent, up to 57344 ({_FP8}).",
    ),
    _minifloat(
        "fp6_e2m3", "", 18, ml_dtypes.float6_e2m3fn,
        f"6-bit float, 2 bits of exponent, up to 7.5 ({_MX}).",
    ),
    _minifloat(
        "fp6_e3m2", "", 18, ml_dtypes.float6_e3m2fn,
        f"6-bit float, 3 bits of exponent, up to 28 ({_MX}).",
    ),
    _minifloat(
        "fp4_e2m1", "UINT4", 21, ml_dtypes.float4_e2m1fn,
        f"4-bit float, 2 bits of exponent, up to 6 ({_MX}).",
    ),
    _integer("int16", 16, "INT16", 21, np.int16),
    _integer("uint16", 16, "UINT16", 21, np.uint16),
    _integer("int8", 8, "INT8", 13, np.int8),
    _integer("uint8", 8, "UINT8", 13, np.uint8),
    _integer("int6", 6, "", 18, np.int8),
    _integer("uint6", 6, "", 18, np.uint8),
    _integer("int4", 4, "INT4", 21, ml_dtypes.int4),
    _integer("uint4", 4, "UINT4", 21, ml_dtypes.uint4),
    _integer("int3", 3, "", 18, np.int8),
    _integer("uint3", 3, "", 18, np.uint8),
    _integer("int2", 2, "INT2", 25, ml_dtypes.int2),
    _integer("uint2", 2, "UINT2", 25, ml_dtypes.uint2),
    Format(
        "ternary", "integer", 2, "", 13, np.dtype(np.int8),
        "-1, 0 and 1 times a scale, five to a byte (Li et al. 2016, Ternary Weight Networks).", levels=3,
    ),
    Format(
        "binary", "table", 1, "", 18, np.dtype(np.uint8),
        "Signs times the mean magnitude (Rastegari et al. 2016, XNOR-Net).", levels=2, values=(-1.0, 1.0),
    ),
    Format(
        "nf4", "table", 4, "UINT4", 21, np.dtype(np.uint8),
        "16 quantiles of a normal distribution times a scale (Dettmers et al. 2023, QLoRA).",
        levels=16, values=_NF4,
    ),
)  # fmt: skip
_NAMED = {f.name: f for f in _PLAIN}


def _block(name: str, of: str, block: int, scale: str, about: str, opset: int) -> Format:
    whole = _NAMED[of]
    # Symmetric, as the specification allows for MXINT8: -128 times the largest scale would be infinite.
    levels = whole.levels - 1 if whole.kind == "integer" else whole.levels
    return replace(whole, name=name, block=block, scale=scale, about=about, opset=opset, levels=levels)


_BLOCKS = (
    _block("mxfp8", "fp8_e4m3", 32, "e8m0", f"fp8_e4m3, 32 values share a power of two ({_MX}).", 19),
    _block("mxfp4", "fp4_e2m1", 32, "e8m0", f"fp4_e2m1, 32 values share a power of two ({_MX}).", 21),
    _block("mxint8", "int8", 32, "e8m0", f"8-bit integers, 32 values share a power of two ({_MX}).", 13),
    _block(
        "nvfp4", "fp4_e2m1", 16, "nvfp4",
        "fp4_e2m1, 16 values share an fp8_e4m3 scale, the tensor one more (NVIDIA 2025, NVFP4).", 21,
    ),
)  # fmt: skip

FORMATS: dict[str, Format] = {
    f.name: f for f in (*_PLAIN, *_BLOCKS, *(_codebook(bits) for bits in range(8, 1, -1)))
}


def get_format(name: str) -> Format:
    """The format called `name`; FormatError names the known ones."""
    if name not in FORMATS:
        raise FormatError(f"'{name}' is not a known format", f"choose one of {', '.join(FORMATS)}")
    return FORMATS[name]
