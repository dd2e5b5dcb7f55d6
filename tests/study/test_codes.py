"""Weights as stored, and one value's journey."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from quant_core.formats import FORMATS, Scheme
from quant_core.formats.packing import pack_bits
from quant_core.plan import default_scheme
from quant_core.study import Study, codes_table, journey, weight_codes, weight_histogram
from quant_core.study.codes import _huffman, bit_text


@pytest.fixture
def study(open_study: Callable[..., Study]) -> Study:
    return open_study()


SCHEMES = [
    *(default_scheme(name) for name in FORMATS if name != "fp32"),
    Scheme("int4", "group:32", False, "mse"),
    Scheme("codebook3", "channels:16"),
    Scheme("nf4", "tensor"),
]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_the_journey_ends_where_the_decoder_does(study: Study, scheme: Scheme) -> None:
    for layer in (study.graph.quantizable[0], study.graph.quantizable[-1]):
        table = codes_table(study, layer, scheme, 1)
        for position in (0, len(table) // 2, len(table) - 1):
            steps = journey(study, layer, scheme, 1, position)
            row = table.iloc[position]
            assert steps[0].value == row["weight"]
            assert steps[-2].value == row["quantized"]
            assert steps[-1].value == pytest.approx(row["quantized"] - row["weight"], abs=1e-12)
            assert str(row["bits"]) in " ".join(s.formula for s in steps)
            assert all(np.isfinite(s.value) for s in steps)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_codes_are_counted_and_need_no_more_than_their_bits(study: Study, scheme: Scheme) -> None:
    layer = study.graph.quantizable[1]
    found = weight_codes(study, layer, scheme)
    assert found.counts.sum() == layer.parameters
    assert found.used == int((found.counts > 0).sum()) <= found.levels
    assert 0 <= found.entropy <= np.log2(max(2, found.used)) + 1e-9
    assert found.coded_bytes * 8 >= found.entropy * layer.parameters
    assert found.plain_bytes == -(-layer.parameters * scheme.number.stored_bits // 8)


def test_huffman_by_hand() -> None:
    """Four codes 1, 1, 2, 4 times: lengths 3, 3, 2, 1."""
    assert sorted(_huffman(np.array([1, 1, 2, 4])).tolist()) == [1, 2, 3, 3]
    assert _huffman(np.array([7])).tolist() == [1]


@pytest.mark.parametrize(
    ("code", "name", "bits"),
    [
        (-1, "int4", "1111"),
        (5, "uint4", "0101"),
        (-4, "int3", "100"),
        (0b01000011, "fp8_e4m3", "0 1000 011"),
        (0b1011, "fp4_e2m1", "1 01 1"),
        (0b0011110000000000, "fp16", "0 01111 0000000000"),
        (-1, "ternary", "-1"),
        (1, "binary", "1"),
    ],
)
def test_bits_read_as_the_format_stores_them(code: int, name: str, bits: str) -> None:
    assert bit_text(code, FORMATS[name]) == bits


def test_the_bits_shown_are_those_packed() -> None:
    packed = pack_bits(np.array([-3, 0, 0, 0, 0, 0, 0, 0]), 3)[0]
    assert "".join(str(byte & 1) for byte in reversed(packed.tolist())) == bit_text(-3, FORMATS["int3"])


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("channel", [None, 0])
def test_every_format_is_drawn_with_its_grid_and_its_error(
    study: Study, scheme: Scheme, channel: int | None
) -> None:
    layer = study.graph.quantizable[1]
    seen = weight_histogram(study, layer, scheme, channel)
    assert seen.counts.sum() == (layer.parameters if channel is None else layer.parameters // layer.shape[0])
    assert seen.noise.sum() == pytest.approx(1.0) or seen.error == 200.0
    if seen.grid is not None:
        assert (np.diff(seen.grid) > 0).all()
    if not seen.steps and scheme.number.kind != "float" and seen.grid is not None:
        tensor = study.quantized(layer, scheme)
        decoded = tensor.decode() if channel is None else np.take(tensor.decode(), channel, axis=layer.axis)
        off = np.abs(decoded.reshape(-1, 1) - seen.grid[None]).min(axis=1)
        assert off.max() <= 1e-6 * max(1.0, float(np.abs(decoded).max()))
