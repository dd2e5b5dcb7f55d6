"""A layer's weights as the integers that the file stores: codes, their histogram, entropy and bits."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quant_core.formats import Format, QuantizedTensor, Scheme
from quant_core.graph import Layer
from quant_core.study.study import Study

_LISTED = 512  # codes in the table


@dataclass(frozen=True)
class Codes:
    """What the codes of a tensor look like. `codes` and `counts` `[levels]` say how often each occurs,
    `entropy` is that of one code in bits, `coded_bytes` what a Huffman code of their frequencies would need,
    with its code lengths, and `plain_bytes` what they need as they are, both without scales and tables.
    """

    codes: NDArray[np.int64]
    counts: NDArray[np.int64]
    used: int
    levels: int
    entropy: float
    coded_bytes: int
    plain_bytes: int


def weight_codes(study: Study, layer: Layer, scheme: Scheme) -> Codes:
    """The codes of `layer` under `scheme`."""
    tensor = study.quantized(layer, scheme)
    number = scheme.number
    found, times = np.unique(_integers(tensor), return_counts=True)
    levels = number.levels or 1 << number.bits
    low = number.qmin if number.kind == "integer" else 0
    codes, counts = found.astype(np.int64), times.astype(np.int64)
    if levels <= 1 << 8:
        codes = np.arange(low, low + levels, dtype=np.int64)
        counts = np.zeros(levels, np.int64)
        counts[found - low] = times
    total = max(1, int(times.sum()))
    share = times / total
    entropy = float(-(share * np.log2(share)).sum()) if times.size else 0.0
    lengths = _huffman(times)
    # The lengths of all codes, four bits each for the usual 16 bits at most, stand before the coded stream.
    coded = int((lengths * times).sum()) + 4 * min(levels, int(times.size))
    return Codes(
        codes,
        counts,
        int(times.size),
        levels,
        entropy,
        -(-coded // 8),
        int(-(-total * number.stored_bits // 8)),
    )


def codes_table(study: Study, layer: Layer, scheme: Scheme, channel: int) -> pd.DataFrame:
    """The first weights of an output channel as stored.

    Columns: position (in the channel, in the order of the file), weight, code, bits (as text), quantized,
    error (quantized less weight)."""
    tensor = study.quantized(layer, scheme)
    exact, codes, decoded = (
        channel_of(x, layer, channel)[:_LISTED]
        for x in (study.graph.weights(layer), _shaped(tensor), tensor.decode())
    )
    return pd.DataFrame(
        {
            "position": np.arange(exact.size),
            "weight": exact,
            "code": codes,
            "bits": [bit_text(int(code), scheme.number) for code in codes],
            "quantized": decoded,
            "error": np.asarray(decoded, np.float64) - np.asarray(exact, np.float64),
        }
    )


def channel_of(values: NDArray[np.generic], layer: Layer, channel: int) -> NDArray[np.generic]:
    """The values of one output channel, in the order of the file."""
    if not layer.shape:
        return values.reshape(-1)
    return np.asarray(np.take(values, channel, axis=layer.axis)).reshape(-1)


def bit_text(code: int, number: Format) -> str:
    """The bits of a code, the highest first; of a float with spaces between sign, exponent and mantissa."""
    if number.levels == 3:
        return f"{code:+d}" if code else "0"
    bits = format(code & ((1 << number.bits) - 1), f"0{number.bits}b")
    exponent = _EXPONENTS.get(number.storage.name)
    return bits if exponent is None else f"{bits[0]} {bits[1 : 1 + exponent]} {bits[1 + exponent :]}"


_EXPONENTS = {
    "float32": 8, "float16": 5, "bfloat16": 8, "float8_e4m3fn": 4, "float8_e5m2": 5, "float6_e2m3fn": 2,
    "float6_e3m2fn": 3, "float4_e2m1fn": 2,
}  # fmt: skip


def _integers(tensor: QuantizedTensor) -> NDArray[np.int64]:
    """Every stored code as an integer, padding left out; the bit pattern of a float."""
    return np.asarray(_shaped(tensor), np.int64).reshape(-1)


def _shaped(tensor: QuantizedTensor) -> NDArray[np.generic]:
    codes = tensor.shaped_codes()
    if tensor.scheme.number.kind != "float":
        return codes
    return np.ascontiguousarray(codes).view(np.uint16 if tensor.scheme.number.bits == 16 else np.uint32)


def _huffman(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The length in bits of each code in a Huffman code for these frequencies. Source: Huffman 1952, "A
    Method for the Construction of Minimum-Redundancy Codes".
    """
    if counts.size == 1:
        return np.ones(1, np.int64)
    lengths = np.zeros(counts.size, np.int64)
    heap = [(int(count), number, [number]) for number, count in enumerate(counts)]
    heapq.heapify(heap)
    while len(heap) > 1:
        a, b = heapq.heappop(heap), heapq.heappop(heap)
        together = a[2] + b[2]
        lengths[together] += 1
        heapq.heappush(heap, (a[0] + b[0], min(a[1], b[1]), together))
    return lengths
