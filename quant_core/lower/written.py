"""The bytes of an ONNX file: written, written without a second copy of its tensors, or only counted.

An ONNX file is a protobuf message. Its fields stand in the order of their numbers, each as a tag, for what is
nested the length of the content, and the content (protobuf, Encoding)."""

from __future__ import annotations

import io

import numpy as np
import onnx
import onnx_ir as ir

from quant_core.graph import sizes_of

_EMPTY = ir.Tensor(np.zeros(0, np.uint8))
_GRAPH = onnx.ModelProto.DESCRIPTOR.fields_by_name["graph"].number
_TENSOR = onnx.GraphProto.DESCRIPTOR.fields_by_name["initializer"].number
_NESTED = 2  # the wire type of what has a length


def to_bytes(model: ir.Model) -> bytes:
    """The bytes of the ONNX file."""
    return bytes(ir.to_proto(model).SerializeToString())


def size_of(model: ir.Model) -> int:
    """`len(to_bytes(model))`, without a copy of what is stored."""
    return whole_size(*parts_of(model))


def parts_of(model: ir.Model) -> tuple[int, int]:
    """The bytes of all that stands around the graph of a file, and of the content of the graph."""
    proto, lengths = _skeleton(model)
    graph = int(proto.graph.ByteSize())
    hollow = sum(_field(tensor.ByteSize()) for tensor in proto.graph.initializer)
    return int(proto.ByteSize()) - _field(graph), graph - hollow + sum(map(_field, lengths))


def whole_size(around: int, graph: int) -> int:
    """The bytes of a file whose graph has so many."""
    return around + _field(graph)


def to_bytes_once(model: ir.Model) -> bytes:
    """As `to_bytes`, of a model that nobody needs afterwards: each stored tensor is let go as it is written,
    so that no more than one is in memory twice.
    """
    proto, lengths = _skeleton(model)
    del proto.graph.initializer[:]
    before, after = _around(proto.graph, _TENSOR)
    first, last = _around(proto, _GRAPH)
    file = io.BytesIO()
    file.write(first)
    file.write(_head(_GRAPH, len(before) + sum(map(_field, lengths)) + len(after)))
    file.write(before)
    for value, length in zip(model.graph.initializers.values(), lengths, strict=True):
        assert value.const_value is not None
        content, value.const_value = ir.to_proto(value.const_value).SerializeToString(), None
        assert len(content) == length
        file.write(_head(_TENSOR, length))
        file.write(content)
    file.write(after + last)
    return file.getvalue()


def _skeleton(model: ir.Model) -> tuple[onnx.ModelProto, list[int]]:
    """The file's message without the content of the tensors that it stores, and the bytes of the message of
    each with its content.
    """
    values = [value for value in model.graph.initializers.values() if value.const_value is not None]
    held = [value.const_value for value in values]
    for value, tensor in zip(values, held, strict=True):
        assert tensor is not None
        tensor.name = value.name
        value.const_value = _hollow(tensor)
    try:
        proto = ir.to_proto(model)
    finally:
        for value, tensor in zip(values, held, strict=True):
            value.const_value = tensor
    lengths = []
    for written, tensor in zip(proto.graph.initializer, held, strict=True):
        assert tensor is not None
        content = tensor.nbytes if written.HasField("raw_data") and not written.raw_data else 0
        lengths.append(int(written.ByteSize()) + (_field(content) - _field(0) if content else 0))
    return proto, lengths


def _hollow(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    """A tensor that is written as `tensor` is, but for its content, which is left out; `tensor` itself where
    that is written in another way than as bytes.
    """
    if isinstance(tensor, (ir.ExternalTensor, ir.StringTensor)) or tensor.metadata_props or tensor.doc_string:
        return tensor
    if isinstance(tensor, ir.TensorProtoTensor) and not tensor.raw.HasField("raw_data"):
        return tensor
    return ir.LazyTensor(lambda: _EMPTY, tensor.dtype, shape=ir.Shape(sizes_of(tensor)), name=tensor.name)


def _around(message: onnx.ModelProto | onnx.GraphProto, number: int) -> tuple[bytes, bytes]:
    """What is written of `message` before and after the field with this number."""
    parts = []
    for kept in (range(number), range(number + 1, 1 << 29)):
        part = type(message)()
        part.CopyFrom(message)
        for field in message.DESCRIPTOR.fields:
            if field.number not in kept:
                part.ClearField(field.name)
        parts.append(bytes(part.SerializePartialToString()))
    return parts[0], parts[1]


def _head(number: int, length: int) -> bytes:
    """The tag of a nested field, which has one byte here, and the length of its content."""
    return bytes([number << 3 | _NESTED]) + _varint(length)


def _varint(number: int) -> bytes:
    """`number` in groups of seven bits, the lowest first."""
    groups = []
    while number >> 7:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])


def _field(length: int) -> int:
    """The bytes of a nested field whose content has `length`, with a tag of one byte."""
    return 1 + len(_varint(length)) + length
