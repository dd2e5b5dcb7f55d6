"""Plans: their file, their identity, and the presets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_core.errors import PlanError, QuantscopeError
from quant_core.formats import FORMATS, Scheme
from quant_core.plan import (
    PRESETS,
    Plan,
    Precision,
    check_plan,
    default_activation_scheme,
    default_scheme,
    diff,
    differences,
    preset_plan,
    read_plan,
    why_not,
    write_plan,
)
from tests.bodies import branching
from tests.models import conv_chain, graph_of, tied_language_model

schemes = st.one_of(
    st.none(),
    st.builds(
        Scheme,
        st.sampled_from([f.name for f in FORMATS.values() if f.kind != "codebook"]),
        st.sampled_from(["tensor", "channel", "group:32"]),
        st.booleans(),
        st.sampled_from(["minmax", "mse", "percentile:99.9"]),
    ),
)
precisions = st.builds(Precision, schemes, schemes, st.booleans(), st.booleans(), st.text(max_size=9))
plans = st.builds(
    Plan,
    st.text(min_size=1, max_size=9),
    st.dictionaries(st.text(max_size=9), precisions, max_size=4),
    st.just("ab" * 32),
    st.text(max_size=9),
)


@settings(max_examples=50, deadline=None)
@given(plans)
def test_json_round_trip(plan: Plan) -> None:
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_the_file_is_the_one_of_the_contract(tmp_path: Path) -> None:
    record = {
        "quantscope": 1,
        "name": "by hand",
        "model": {"sha256": "", "name": "net"},
        "layers": {
            "conv_1": {
                "weights": {"format": "int8", "granularity": "channel", "symmetric": True, "range": "mse"},
                "activations": {
                    "format": "uint8",
                    "granularity": "tensor",
                    "symmetric": False,
                    "range": "minmax",
                },
                "bias_correction": False,
                "locked": False,
                "note": "",
            },
            "conv_2": {"weights": None},
        },
    }
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(record))
    plan = read_plan(path)
    first = plan["conv_1"]
    assert first.weights == Scheme("int8", "channel", True, "mse")
    assert first.activations == Scheme("uint8", "tensor", False, "minmax")
    assert plan["conv_2"].is_float
    assert plan["not named"].is_float
    write_plan(plan, path)
    assert json.loads(path.read_text())["layers"]["conv_1"] == record["layers"]["conv_1"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a plan"),
        ('{"layers": {}}', "'quantscope'"),
        ('{"quantscope": 2, "layers": {}}', "version 1"),
        ('{"quantscope": 1}', "'layers'"),
        ('{"quantscope": 1, "layers": []}', "'layers'"),
        ('{"quantscope": 1, "layers": {}, "author": "me"}', "'author'"),
        ('{"quantscope": 1, "layers": {"a": 1}}', "'a'"),
        ('{"quantscope": 1, "layers": {"a": {"weight": null}}}', "'weight'"),
        ('{"quantscope": 1, "layers": {"a": {"weights": {"format": "int9"}}}}', "'int9'"),
        ('{"quantscope": 1, "layers": {"a": {"weights": {"format": "int8", "range": "max"}}}}', "'max'"),
        ('{"quantscope": 1, "layers": {"a": {"locked": "yes"}}}', "'locked'"),
        ('{"quantscope": 1, "model": "net", "layers": {}}', "net.json"),
    ],
    ids=lambda t: t[:40],
)
def test_a_malformed_file_is_one_sentence_that_names_what_is_wrong(
    tmp_path: Path, text: str, named: str
) -> None:
    path = tmp_path / "net.json"
    path.write_text(text)
    with pytest.raises(QuantscopeError) as error:
        read_plan(path)
    assert named in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"(?i)there is no plan file"):
        read_plan(tmp_path / "nowhere.json")


def test_the_key_follows_what_changes_a_number_and_nothing_else() -> None:
    base = Precision(Scheme("int8", "channel"), Scheme("uint8", "tensor", False))
    plan = Plan("a", {"x": base, "y": Precision()})
    same = [
        Plan("another name", {"x": base}),
        Plan("a", {"y": Precision(), "x": base}, "sha", "model"),
        Plan("a", {"x": Precision(base.weights, base.activations, note="why", locked=True)}),
    ]
    others = [
        Plan(),
        Plan("a", {"y": base}),
        Plan("a", {"x": Precision(base.weights)}),
        Plan("a", {"x": Precision(None, base.activations)}),
        Plan("a", {"x": Precision(Scheme("int8", "tensor"), base.activations)}),
        Plan("a", {"x": Precision(Scheme("int8", "channel", False), base.activations)}),
        Plan("a", {"x": Precision(Scheme("int8", "channel", True, "mse"), base.activations)}),
        Plan("a", {"x": Precision(base.weights, base.activations, bias_correction=True)}),
    ]
    assert {p.key for p in same} == {plan.key}
    assert len({p.key for p in others} | {plan.key}) == len(others) + 1


def test_an_edit_leaves_the_plan_as_it_was() -> None:
    plan = Plan("a", {"x": Precision(Scheme("int8"))})
    edited = plan.edit({"y": Precision(Scheme("int4"))}, "b")
    assert set(plan.layers) == {"x"}
    assert set(edited.layers) == {"x", "y"}
    assert (plan.name, edited.name) == ("a", "b")


def test_a_difference_is_what_is_stored_not_what_is_noted() -> None:
    a = Plan("a", {"x": Precision(Scheme("int8")), "y": Precision(Scheme("int8"), note="why")})
    b = Plan("b", {"x": Precision(Scheme("int4")), "y": Precision(Scheme("int8"))})
    assert diff(a, b, ["x", "y", "z"]) == {"x": (a["x"], b["x"])}


def test_presets_are_those_of_the_contract(tmp_path: Path) -> None:
    graph = graph_of(conv_chain(), tmp_path)
    found = {}
    for name in PRESETS:
        plan = preset_plan(graph, name)
        assert set(plan.layers) == {x.name for x in graph.quantizable}
        assert plan.model_sha256 == graph.file.sha256
        precision = plan["first"]
        found[name] = (str(precision.weights), str(precision.activations or ""))
    weights, static = "int8 per channel, symmetric, minmax", "uint8 per tensor, asymmetric, minmax"
    groups = "int4 per group:32, symmetric, mse"
    assert found == {
        "fp16": ("fp16", ""),
        "int8": (weights, static),
        "int8-tensor": ("int8 per tensor, symmetric, minmax", static),
        "int8-dynamic": (weights, "uint8 per tensor, asymmetric, dynamic"),
        "int8-weights": (weights, ""),
        "int4-weights": (groups, ""),
        "w8a16": (weights, "uint16 per tensor, asymmetric, minmax"),
        "w4a8": (groups, static),
    }


def test_a_preset_leaves_indices_in_peace(tmp_path: Path) -> None:
    plan = preset_plan(graph_of(tied_language_model(), tmp_path), "int8")
    assert plan["embedding"].activations is None
    assert plan["head"].activations is not None


def test_an_unknown_preset_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"'int7'.*int8-tensor"):
        preset_plan(graph_of(conv_chain(), tmp_path), "int7")


@pytest.mark.parametrize("name", [n for n in FORMATS if n.startswith(("int", "uint"))])
def test_a_bare_format_stands_for_a_scheme_of_its_bits(name: str) -> None:
    weights, activations = default_scheme(name), default_activation_scheme(name)
    assert weights.format == name
    assert weights.granularity == "channel"
    if not FORMATS[name].has_dequantize:
        assert activations is None
        return
    assert activations is not None
    assert activations.number.bits == weights.number.bits
    assert (activations.number.signed, activations.symmetric) == (False, False)


@pytest.mark.parametrize("name", FORMATS)
def test_every_bare_format_stands_for_a_scheme(name: str) -> None:
    assert default_scheme(name).format == name
    activations = default_activation_scheme(name)
    assert (activations is not None) == FORMATS[name].has_dequantize


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        (Precision(Scheme("int8", "tensor", False, "dynamic")), "dynamic"),
        (Precision(None, Scheme("fp16")), "fp16"),
        (Precision(None, Scheme("nf4")), "nf4"),
        (Precision(None, Scheme("int6")), "int6"),
        (Precision(Scheme("int8", "tensor", True, "average")), "average"),
        (Precision(None, Scheme("uint8", "channel", False)), "whole tensor"),
        (Precision(None, Scheme("int8", "tensor", False, "dynamic")), "DynamicQuantizeLinear"),
    ],
)
def test_a_precision_that_cannot_be_says_why(tmp_path: Path, precision: Precision, said: str) -> None:
    graph = graph_of(conv_chain(), tmp_path)
    reason = why_not(graph.layer("first"), precision)
    assert reason is not None
    assert said in reason.text
    assert reason.node == "first"
    with pytest.raises(PlanError, match="'first'"):
        check_plan(graph, Plan("p", {"first": precision}))


def test_the_rules_let_through_what_can_be(tmp_path: Path) -> None:
    graph = graph_of(conv_chain(), tmp_path)
    for precision in PRESETS.values():
        assert all(why_not(layer, precision) is None for layer in graph.layers)


def test_indices_cannot_be_quantized(tmp_path: Path) -> None:
    layer = graph_of(tied_language_model(), tmp_path).layer("embedding")
    reason = why_not(layer, Precision(None, Scheme("uint8", "tensor", False)))
    assert reason is not None and "indices" in reason.text


def test_a_plan_for_another_model_is_refused(tmp_path: Path) -> None:
    graph = graph_of(conv_chain(), tmp_path)
    other = preset_plan(graph_of(branching(), tmp_path, "other.onnx"), "int8")
    with pytest.raises(PlanError, match="for another model \\(other\\)"):
        check_plan(graph, other)


def test_a_plan_without_a_hash_fits_by_its_layers(tmp_path: Path) -> None:
    graph = graph_of(conv_chain(), tmp_path)
    check_plan(graph, Plan("by hand", {"first": Precision(Scheme("int8"))}))
    with pytest.raises(PlanError, match="'second'"):
        check_plan(graph, Plan("by hand", {"second": Precision(Scheme("int8"))}))


def test_differences_of_several_plans_leave_out_what_all_share() -> None:
    int8, int4 = Precision(Scheme("int8", "channel")), Precision(Scheme("int4", "channel"))
    first = Plan("a", {"x": int8, "y": int8, "z": int8})
    second = first.edit({"y": int4})
    third = first.edit({"z": replace(int8, locked=True, note="kept")})
    found = differences([first, second, third], ["x", "y", "z"])
    assert found == {"y": (int8, int4, int8)}
    assert differences([first], ["x", "y"]) == {}
