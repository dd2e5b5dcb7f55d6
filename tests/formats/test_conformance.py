"""ONNX's own test cases of its quantization operators, all of them, through our code."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case import node as cases_of_nodes
from onnx.backend.test.case.test_case import TestCase

from quant_core.formats.onnx_ops import dequantize_linear, dynamic_quantize_linear, quantize_linear

OPERATORS: dict[str, Callable[..., Any]] = {
    "QuantizeLinear": quantize_linear,
    "DequantizeLinear": dequantize_linear,
    "DynamicQuantizeLinear": dynamic_quantize_linear,
}
DTYPES = ("output_dtype", "precision")

# Cases that we answer differently, with the reason. They must differ: one that begins to agree fails.
DEVIATIONS: dict[str, str] = {}


def _cases() -> list[TestCase]:
    """The node cases of the installed onnx. Importing a module of cases registers those of its operator."""
    for name in OPERATORS:
        importlib.import_module(f"onnx.backend.test.case.node.{name.lower()}")
    return [c for c in cases_of_nodes._NodeTestCases if _operator(c) is not None]


def _operator(case: TestCase) -> str | None:
    """The operator of a case. `_expanded` ones hold the operator's definition as a graph."""
    kinds = [n.op_type for n in case.model.graph.node]
    if kinds[-1] in OPERATORS and len(kinds) == 1:
        return kinds[-1]
    return "DynamicQuantizeLinear" if case.name.startswith("test_dynamicquantizelinear") else None


CASES = _cases()


def array(value: object) -> NDArray[np.generic]:
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def attributes(case: TestCase) -> dict[str, Any]:
    nodes = case.model.graph.node
    found = {a.name: helper.get_attribute_value(a) for a in nodes[0].attribute} if len(nodes) == 1 else {}
    return {k: helper.tensor_dtype_to_np_dtype(v) if k in DTYPES else v for k, v in found.items()}


def test_all_cases_are_here() -> None:
    """As many as onnx 1.23 has; a newer one may bring more."""
    assert len(CASES) >= 33
    assert set(DEVIATIONS) <= {c.name for c in CASES}
    assert {_operator(c) for c in CASES} == set(OPERATORS)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_other_module_of_onnx_has_cases_of_these_operators() -> None:
    known = {c.name for c in CASES}
    for case in cases_of_nodes.collect_testcases(None):
        if any(n.op_type in OPERATORS for n in case.model.graph.node):
            assert case.name in known


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_case(case: TestCase) -> None:
    operator = OPERATORS[_operator(case) or ""]
    for inputs, outputs in case.data_sets:
        found = operator(*map(array, inputs), **attributes(case))
        found = found if isinstance(found, tuple) else (found,)
        same = [_equal(a, array(b)) for a, b in zip(found, outputs, strict=True)]
        assert all(same) == (case.name not in DEVIATIONS), DEVIATIONS.get(case.name)


def _equal(ours: NDArray[np.generic], theirs: NDArray[np.generic]) -> bool:
    """To the bit: type, shape and every value."""
    same = ours.dtype == theirs.dtype and ours.shape == theirs.shape
    return same and np.array_equal(ours.reshape(-1).view(np.uint8), theirs.reshape(-1).view(np.uint8))


def test_the_cases_are_of_the_installed_opset() -> None:
    assert max(o.version for c in CASES for o in c.model.opset_import) <= onnx.defs.onnx_opset_version()
