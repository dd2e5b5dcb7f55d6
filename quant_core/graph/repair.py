"""Small repairs without which a file cannot be opened. The file stays as it is; what is done is listed.

- Outputs that are sequences or maps: the graph ends before the ZipMap that makes them.
- A name given to several constants: the last one counts, as in ONNX Runtime.
- Sparse tensors are written out."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import GraphProto, TensorProto, helper, numpy_helper

from quant_core.errors import ModelError
from quant_core.graph.walks import shown, walk

_DENSE_LIMIT = 256 << 20  # bytes of a sparse tensor written out


def repair(proto: onnx.ModelProto, name: str) -> tuple[str, ...]:
    """Repair `proto` in place; gives a sentence for each thing done."""
    done = []
    dropped = sum(_drop_repeated_constants(graph) for graph in walk(proto.graph))
    if dropped:
        done.append(f"{dropped} constants dropped whose names are given again later")
    written = sum(_write_out(graph, name) for graph in walk(proto.graph))
    if written:
        done.append(f"{written} sparse tensors written out")
    cut = _cut_sequences(proto.graph)
    if cut:
        done.append(f"{cut} outputs that are sequences or maps cut off, the tensors before them are shown")
    return tuple(done)


def _drop_repeated_constants(graph: GraphProto) -> int:
    """Keep the last of several Constant nodes, or initializers, of one name."""
    seen: set[str] = set()
    nodes: list[int] = []
    for index in range(len(graph.node) - 1, -1, -1):
        node = graph.node[index]
        if node.op_type == "Constant" and len(node.output) == 1:
            if node.output[0] in seen:
                nodes.append(index)
            seen.add(node.output[0])
    stored: list[int] = []
    names: set[str] = set()
    for index in range(len(graph.initializer) - 1, -1, -1):
        tensor = graph.initializer[index].name
        if tensor in names or tensor in seen:
            stored.append(index)
        names.add(tensor)
    for index in nodes:
        del graph.node[index]
    for index in stored:
        del graph.initializer[index]
    listed = [value for value in graph.input if value.name not in seen]
    if len(listed) < len(graph.input):
        kept = [onnx.ValueInfoProto.FromString(v.SerializeToString()) for v in listed]
        del graph.input[:]
        graph.input.extend(kept)
    return len(nodes) + len(stored)


def _write_out(graph: GraphProto, name: str) -> int:
    """Sparse initializers as dense ones. Source: ONNX SparseTensorProto."""
    for sparse in graph.sparse_initializer:
        label, dims = sparse.values.name, tuple(sparse.dims)
        values = _stored(sparse.values, name)
        if math.prod(dims) * values.itemsize > _DENSE_LIMIT:
            raise ModelError(
                f"the sparse tensor '{shown(label)}' in '{name}' is too large to be written out",
                "make it smaller",
            )
        dense = np.zeros(math.prod(dims), values.dtype)
        indices = _stored(sparse.indices, name)
        try:
            flat = indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), dims)
            dense[flat] = values
        except (IndexError, ValueError) as error:
            raise ModelError(
                f"the sparse tensor '{shown(label)}' in '{name}' points outside its shape",
                "export the model again",
            ) from error
        graph.initializer.append(numpy_helper.from_array(dense.reshape(dims), label))
    count = len(graph.sparse_initializer)
    del graph.sparse_initializer[:]
    return count


def _stored(tensor: TensorProto, name: str) -> np.ndarray:
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except Exception as error:  # NumPy and protobuf each raise their own kinds
        raise ModelError(
            f"the sparse tensor '{shown(tensor.name)}' in '{name}' cannot be read", "export the model again"
        ) from error


def _cut_sequences(graph: GraphProto) -> int:
    """End the graph before the nodes that make sequences and maps; where numbers are left, strings go too."""
    plain = [v for v in graph.output if v.type.WhichOneof("value") in (None, "tensor_type")]
    if len(plain) == len(graph.output):
        return 0
    makers = {output: node for node in graph.node for output in node.output}
    kept: list[onnx.ValueInfoProto] = []
    for value in graph.output:
        if value.type.WhichOneof("value") in (None, "tensor_type"):
            kept.append(onnx.ValueInfoProto.FromString(value.SerializeToString()))
            continue
        maker = makers.get(value.name)
        if maker is not None and maker.op_type == "ZipMap":
            kept.append(helper.make_tensor_value_info(maker.input[0], TensorProto.FLOAT, None))
            graph.node.remove(maker)
    numbers = [v for v in kept if v.type.tensor_type.elem_type != TensorProto.STRING]
    cut = len(graph.output) - len(plain)
    del graph.output[:]
    graph.output.extend(numbers or kept)
    inside = [v for v in graph.value_info if v.type.WhichOneof("value") in (None, "tensor_type")]
    tensors = [onnx.ValueInfoProto.FromString(v.SerializeToString()) for v in inside]
    del graph.value_info[:]
    graph.value_info.extend(tensors)
    return cut
