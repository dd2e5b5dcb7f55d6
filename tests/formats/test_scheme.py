"""Schemes: what may be written, and what an error names."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_core.errors import FormatError
from quant_core.formats import FORMATS, Scheme, get_format, sqnr_db, sqnr_from_power
from tests.models import normal

granularities = st.one_of(
    st.sampled_from(["tensor", "channel"]), st.integers(2, 512).map(lambda n: f"group:{n}")
)
ranges = st.one_of(
    st.sampled_from(["minmax", "mse", "octav", "entropy", "average", "dynamic"]),
    st.floats(50.5, 100).map(lambda p: f"percentile:{p}"),
)


@given(
    st.sampled_from([f.name for f in FORMATS.values() if f.kind != "codebook"]),
    granularities,
    st.booleans(),
    ranges,
)
def test_json_round_trip(name: str, granularity: str, symmetric: bool, method: str) -> None:
    scheme = Scheme(name, granularity, symmetric, method)
    record = json.loads(json.dumps(scheme.to_json()))
    assert list(record) == ["format", "granularity", "symmetric", "range"]
    assert Scheme.from_json(record) == scheme


@given(st.sampled_from(["tensor", "channel", "channels:8"]), st.sampled_from(["kmeans", "lloyd"]))
def test_json_round_trip_of_codebooks(granularity: str, method: str) -> None:
    scheme = Scheme("codebook4", granularity, True, method)
    assert Scheme.from_json(json.loads(json.dumps(scheme.to_json()))) == scheme


def test_what_a_format_leaves_no_choice_about_is_fixed() -> None:
    assert Scheme("mxfp4", "channel", False, "mse") == Scheme("mxfp4", "group:32")
    assert Scheme("nvfp4", "tensor").group_size == 16
    assert not Scheme("int4", "tensor", False).symmetric
    for name in ("ternary", "binary", "nf4", "fp8_e4m3", "codebook4"):
        assert Scheme(name, "tensor", False).symmetric
    assert Scheme("binary", "channel", True, "mse").range == "mean"
    assert Scheme("codebook4", "tensor").range == "kmeans"


def test_what_is_left_out_takes_its_default() -> None:
    assert Scheme.from_json({"format": "int8"}) == Scheme("int8", "tensor", True, "minmax")


@pytest.mark.parametrize("name", ["fp16", "bf16", "fp32"])
def test_float_schemes_that_store_the_same_are_equal(name: str) -> None:
    assert Scheme(name, "channel", False, "mse") == Scheme(name)


@pytest.mark.parametrize(
    ("record", "named"),
    [
        ({"format": "int9"}, "'int9'"),
        ({"format": "INT8"}, "'INT8'"),
        ({"format": "int8", "granularity": "row"}, "'row'"),
        ({"format": "int8", "granularity": "group:"}, "'group:'"),
        ({"format": "int8", "granularity": "group:1"}, "'group:1'"),
        ({"format": "int8", "granularity": "group:-4"}, "'group:-4'"),
        ({"format": "int8", "granularity": "tensor:4"}, "'tensor:4'"),
        ({"format": "int8", "granularity": "channels:4"}, "'channels:4'"),
        ({"format": "codebook4", "granularity": "group:32"}, "'group:32'"),
        ({"format": "codebook4", "range": "kmean"}, "'kmean'"),
        ({"format": "int8", "range": "mean"}, "'mean'"),
        ({"format": "int8", "range": "max"}, "'max'"),
        ({"format": "int8", "range": "percentile:20"}, "'percentile:20'"),
        ({"format": "int8", "range": "percentile:101"}, "'percentile:101'"),
        ({"format": "int8", "range": "percentile:nan"}, "'percentile:nan'"),
        ({"format": "int8", "range": "percentile:"}, "'percentile:'"),
        ({"format": "int8", "symetric": True}, "'symetric'"),
        ({"format": "int8", "symmetric": "yes"}, "'symmetric'"),
        ({"format": 8}, "'format'"),
        ({"granularity": "tensor"}, "'format'"),
        ("int8", "'format'"),
        (None, "'format'"),
    ],
    ids=str,
)
def test_an_error_names_what_is_wrong(record: object, named: str) -> None:
    with pytest.raises(FormatError) as error:
        Scheme.from_json(record, "'weights' of layer 'conv_1'")
    assert named in str(error.value)
    assert str(error.value).count("\n") == 0


def test_an_unknown_format_lists_the_known_ones() -> None:
    with pytest.raises(FormatError, match=r"int8.*int4.*int2"):
        get_format("int5")


def test_sqnr_by_hand() -> None:
    reference = normal(1, 100)
    assert sqnr_db(reference, reference) == 200.0
    assert sqnr_db(reference, reference * 1.1) == pytest.approx(20.0, abs=1e-4)
    assert sqnr_db(reference, reference * 0) == pytest.approx(0.0)
    assert sqnr_db(reference * 0, reference) == -200.0
    assert sqnr_from_power(1.0, 0.001) == pytest.approx(30.0)
    assert sqnr_from_power(1.0, float("nan")) == -200.0
