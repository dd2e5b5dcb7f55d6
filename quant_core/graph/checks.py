"""What a file must hold before its graph is built: nothing in it is believed.

Each check ends in one sentence. Walks are loops, so a deep file cannot exhaust the stack."""

from __future__ import annotations

import math

import onnx
from onnx import GraphProto, TensorProto, helper

from quant_core.errors import ModelError
from quant_core.graph.check_functions import as_graph, check_functions
from quant_core.graph.check_nodes import check_attributes, check_graph_text, check_model_text
from quant_core.graph.walks import bodies, shown, tensors, walk

MOST_NODES = 50_000  # a graph of this size takes seconds to build and to copy
_MOST_DIMENSIONS = 64  # of an array in NumPy
_BITS: dict[int, int] = {
    TensorProto.DOUBLE: 64, TensorProto.INT64: 64, TensorProto.UINT64: 64, TensorProto.COMPLEX64: 64,
    TensorProto.COMPLEX128: 128, TensorProto.FLOAT: 32, TensorProto.INT32: 32, TensorProto.UINT32: 32,
    TensorProto.FLOAT16: 16, TensorProto.BFLOAT16: 16, TensorProto.INT16: 16, TensorProto.UINT16: 16,
    TensorProto.INT4: 4, TensorProto.UINT4: 4, TensorProto.FLOAT4E2M1: 4,
    TensorProto.INT2: 2, TensorProto.UINT2: 2,
}  # fmt: skip
_TYPES = frozenset(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}
_Scope = tuple[set[str], ...]


def check_proto(proto: onnx.ModelProto, name: str) -> None:
    """ModelError where the graph is too large, a tensor lies about its size, or a node reads what nothing
    gives.
    """
    nodes = 0
    for graph in walk(proto.graph):
        nodes += len(graph.node)
        if nodes > MOST_NODES:
            raise ModelError(
                f"'{name}' has more than {MOST_NODES:,} nodes", "split the model, or simplify it first"
            )
    check_model_text(proto, name)
    check_functions(proto, name, MOST_NODES)
    for graph in [g for whole in (proto.graph, *map(as_graph, proto.functions)) for g in walk(whole)]:
        check_graph_text(graph, name)
        check_attributes(graph, name)
        for tensor in tensors(graph):
            _check_size(tensor, name)
    for graph in (proto.graph, *map(as_graph, proto.functions)):
        _check_names(graph, name)


def _check_size(tensor: TensorProto, name: str) -> None:
    if len(tensor.dims) > _MOST_DIMENSIONS:
        raise ModelError(
            f"the tensor '{shown(tensor.name)}' in '{name}' has {len(tensor.dims):,} dimensions",
            f"give at most {_MOST_DIMENSIONS}",
        )
    if tensor.data_type not in _TYPES:
        raise ModelError(
            f"the tensor '{shown(tensor.name)}' in '{name}' has no type that is known",
            "export the model again",
        )
    count = math.prod(tensor.dims)
    if any(d < 0 for d in tensor.dims):
        raise ModelError(
            f"the tensor '{shown(tensor.name)}' in '{name}' has a negative size", "export it again"
        )
    if tensor.data_location == TensorProto.EXTERNAL:
        return
    if tensor.HasField("raw_data"):
        expected = -(-count * _BITS.get(tensor.data_type, 8) // 8)
        held = len(tensor.raw_data)
        if held != expected:
            what = f"the tensor '{shown(tensor.name)}' in '{name}'"
            raise ModelError(
                f"{what} declares {expected:,} bytes and holds {held:,}", "export the model again"
            )
        return
    # ONNX says in which field the values of each type are (TensorProto, onnx.proto).
    held = len(getattr(tensor, helper.tensor_dtype_to_field(tensor.data_type)))
    bits = _BITS.get(tensor.data_type, 8)
    expected = -(-count * bits // 8) if bits < 8 else count * 2 if tensor.data_type in (14, 15) else count
    if held != expected:
        raise ModelError(
            f"the tensor '{shown(tensor.name)}' in '{name}' declares {count:,} values and holds {held:,}",
            "export the model again",
        )


def _check_names(graph: GraphProto, name: str) -> None:
    """Every tensor that a node reads must be given by an input, a stored tensor or a node in sight."""
    if any(not value.name for value in (*graph.input, *graph.output)):
        raise ModelError(f"an input or output of '{name}' has no name", "export the model again")
    stack: list[tuple[GraphProto, _Scope]] = [(graph, ())]
    while stack:
        current, outer = stack.pop()
        scope: _Scope = (_given(current, name), *outer)
        for node in current.node:
            for read in node.input:
                if read and not any(read in names for names in scope):
                    what = f"a node of type {shown(node.op_type)} in '{name}' reads '{shown(read)}'"
                    raise ModelError(f"{what}, which nothing gives", "export the model again")
            stack += [(body, scope) for body in bodies(node)]
        for output in current.output:
            if not any(output.name in names for names in scope):
                raise ModelError(
                    f"the output '{shown(output.name)}' in '{name}' is given by no node",
                    "export the model again",
                )


def _given(graph: GraphProto, name: str) -> set[str]:
    given = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    made: set[str] = set()
    for node in graph.node:
        for output in node.output:
            if output and (output in made or output in given):
                raise ModelError(
                    f"the name '{shown(output)}' in '{name}' is given to two tensors",
                    "export the model again",
                )
            made.add(output)
    return given | made
