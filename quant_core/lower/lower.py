"""Lower a plan: from the prepared graph to the quantized ONNX graph that export writes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.errors import FormatError, PlanError
from quant_core.formats import QuantizedTensor, Scheme, affine_parameters, layout_of, quantize_tensor
from quant_core.graph import Graph, Layer, every_node, opset_of, sizes_of, weight_chain
from quant_core.lower.activations import guard_float_weights, write_activation
from quant_core.lower.bias import add_to_bias, stored_bias, with_room_for_bias
from quant_core.lower.builder import Builder
from quant_core.lower.lean import make_lean
from quant_core.lower.weights import stored_opset, write_weights
from quant_core.plan import Plan, Precision, check_plan

FindRange = Callable[[str, Scheme], tuple[float, float]]
CACHED = 512 << 20  # bytes of codes
_CACHED_LARGE = 1  # of a large model, the codes of one layer
_LARGEST = (1 << 31) - (1 << 24)  # bytes that protobuf can write, less room for nodes and names
Corrections = Mapping[str, NDArray[np.float32]]


@dataclass
class WeightCache:
    """Quantized weights, computed once per (tensor, scheme) and kept up to `CACHED` bytes; what was not used
    for longest goes first.
    """

    graph: Graph
    kept: OrderedDict[tuple[str, tuple[int, ...], int, Scheme], QuantizedTensor] = field(
        default_factory=OrderedDict
    )

    def get(self, layer: Layer, scheme: Scheme) -> QuantizedTensor:
        """The weights of `layer` quantized by `scheme`. PlanError names the layer where that fails."""
        key = (layer.tensor or "", layer.shape or (), layer.axis, scheme)
        if key not in self.kept:
            try:
                self.kept[key] = quantize_tensor(self.graph.weights(layer), layer.axis, scheme)
            except FormatError as error:
                raise PlanError(
                    f"layer '{layer.name}' cannot be quantized: {error.what}", error.remedy
                ) from error
            limit = _CACHED_LARGE if self.graph.file.is_large else CACHED
            while len(self.kept) > 1 and sum(t.codes.nbytes for t in self.kept.values()) > limit:
                self.kept.popitem(last=False)
        self.kept.move_to_end(key)
        return self.kept[key]


def lower(
    cache: WeightCache,
    plan: Plan,
    find_range: FindRange,
    corrections: Corrections | None = None,
    decoder: str = "cast",
) -> ir.Model:
    """The quantized graph of `plan`, as export writes it.

    `find_range` gives the calibrated range of a tensor; `corrections` are `[output channels]` to add to the
    bias of a layer; `decoder` says how weight-only layers are decoded, see `_decoder_of`. PlanError where a
    layer cannot take its precision."""
    model = apply_plan(cache, plan, find_range, corrections, decoder)
    graph = cache.graph
    names = graph.names_at(opset_of(model))
    make_lean(model, (layer.node for layer in graph.layers), graph.refused, names)
    _embed(model)
    return model


def apply_plan(
    cache: WeightCache,
    plan: Plan,
    find_range: FindRange,
    corrections: Corrections | None = None,
    decoder: str = "cast",
) -> ir.Model:
    """As `lower`, without what only makes the file smaller."""
    graph = cache.graph
    check_plan(graph, plan)
    model = graph.at_opset(_opset(graph, plan, decoder))
    builder = Builder(model.graph)
    nodes = {node.name: node for node, _ in every_node(model.graph)}
    decoded: dict[tuple[object, ...], ir.Value] = {}
    entered: dict[tuple[int, Scheme], ir.Value] = {}
    for layer in graph.layers:  # in their order, so that equal plans give equal files
        name, precision = layer.name, plan[layer.name]
        if precision.is_float:
            continue
        node = nodes[layer.node]
        if precision.weights is not None:
            how = _decoder_of(layer, precision, decoder)
            unsigned = precision.activations is not None and _is_integer(precision.activations, 8)
            quantized = tensor = cache.get(layer, precision.weights)
            if how == "dequantize":
                added = None if corrections is None else corrections.get(name)
                tensor = _with_room(quantized, node, layer, precision.activations, added, find_range)
            own = None if tensor is quantized else name
            key = (layer.tensor, layer.shape, layer.axis, how, unsigned, precision.weights, own)
            if key not in decoded:
                decoded[key] = write_weights(builder, tensor, how, unsigned)
            _attach(builder, node, layer, decoded[key])
            builder.insert_first()
        if corrections and name in corrections:
            add_to_bias(builder, node, layer, corrections[name])
        if precision.activations is not None:
            _quantize_input(builder, node, layer, precision, entered, find_range)
    return model


def _with_room(
    tensor: QuantizedTensor,
    node: ir.Node,
    layer: Layer,
    activations: Scheme | None,
    added: NDArray[np.float32] | None,
    find_range: FindRange,
) -> QuantizedTensor:
    """The weights of a layer that integer kernels run, with room for the bias and what is `added` to it."""
    bias = stored_bias(node)
    if bias is None or activations is None or activations.is_dynamic:
        return tensor
    low, high = find_range(layer.input or "", activations)
    step, _ = affine_parameters(low, high, activations.number, activations.symmetric)
    return with_room_for_bias(tensor, bias if added is None else bias + added, float(step))


def _embed(model: ir.Model) -> None:
    """Take what is still kept in other files into the file, which holds everything. PlanError where one file
    cannot.
    """
    stored = [value.const_value for value in model.graph.initializers.values()]
    total = sum(tensor.nbytes for tensor in stored if tensor is not None)
    if total > _LARGEST:
        raise PlanError(
            f"the file would have {total / 1e9:.1f} GB, more than one ONNX file can hold (2 GB)",
            "quantize more layers, or give them fewer bits",
        )
    if any(isinstance(tensor, ir.ExternalTensor) for tensor in stored):
        ir.external_data.load_to_model(model)


def lowered_opset(graph: Graph, plan: Plan, decoder: str = "cast") -> int:
    """The opset of the exported file of `plan`."""
    return max(opset_of(graph.model), _opset(graph, plan, decoder))


def _opset(graph: Graph, plan: Plan, decoder: str) -> int:
    needed = 1
    for name, precision in plan.quantized.items():
        layer = graph.layer(name)
        for scheme in (precision.weights, precision.activations):
            if scheme is not None:
                needed = max(needed, scheme.number.opset)
        if precision.weights is not None and layer.shape is not None:
            group = layout_of(layer.shape, layer.axis, precision.weights).group
            needed = max(needed, stored_opset(group, _decoder_of(layer, precision, decoder)))
    return needed


def _decoder_of(layer: Layer, precision: Precision, decoder: str) -> str:
    """How the weights of a layer are decoded.

    DequantizeLinear where weights and activations have 8 bits, so that integer kernels see it; else what is
    asked for. Three cases are never written as DequantizeLinear, since ONNX Runtime 1.31 with default options
    refuses the file or computes something else: 2-bit weights (QGemm and MatMulNBits), other weights than
    8-bit ones beside quantized activations, and a MatMul with its weights on the left (MatMulIntegerToFloat
    wants one zero point there)."""
    assert precision.weights is not None
    left = layer.op == "MatMul" and layer.weight_input == 0
    if precision.activations is not None:
        fits = _is_integer(precision.weights, 8) and _is_integer(precision.activations, 8) and not left
        return "dequantize" if fits else "cast"
    return "cast" if precision.weights.number.bits == 2 else decoder


def _is_integer(scheme: Scheme, bits: int) -> bool:
    """Whether integer kernels know the format: plain integers of `bits` bits."""
    number = scheme.number
    return number.kind == "integer" and number.bits == bits and not number.block


def _attach(builder: Builder, node: ir.Node, layer: Layer, decoded: ir.Value) -> None:
    """Let `node` read its weights from `decoded`, through copies of the nodes that stood between."""
    stored, chain = weight_chain(node.inputs[layer.weight_input])
    tensor = None if stored is None else stored.const_value
    if tensor is not None and sizes_of(tensor) != layer.shape:  # the directions of a recurrent layer
        shape = builder.constant(np.array(sizes_of(tensor), np.int64))
        decoded = builder.node("Reshape", [decoded, shape])
    if tensor is not None and tensor.dtype != ir.DataType.FLOAT:
        decoded = builder.node("Cast", [decoded], {"to": int(tensor.dtype)})
    for link in chain:
        builder.nodes.append(
            ir.Node(
                link.domain,
                link.op_type,
                [decoded, *link.inputs[1:]],
                link.attributes.values(),
                outputs=[ir.Value(name=builder.name())],
            )
        )
        decoded = builder.nodes[-1].outputs[0]
    node.replace_input_with(layer.weight_input, decoded)


def _quantize_input(
    builder: Builder,
    node: ir.Node,
    layer: Layer,
    precision: Precision,
    entered: dict[tuple[int, Scheme], ir.Value],
    find_range: FindRange,
) -> None:
    """Quantize what enters `node`; layers that share an input and a scheme share the nodes."""
    scheme, value = precision.activations, node.inputs[layer.data_input]
    assert scheme is not None and value is not None
    key = (id(value), scheme)
    if key not in entered:
        ends = None if scheme.is_dynamic else find_range(layer.input or "", scheme)
        entered[key] = write_activation(builder, value, scheme, ends)
        producer = value.producer()
        if producer is None:
            builder.insert_first()
        else:
            builder.insert_after(producer)
    node.replace_input_with(layer.data_input, entered[key])
    if precision.weights is None or _decoder_of(layer, precision, "cast") == "cast":
        guard_float_weights(builder, node)
