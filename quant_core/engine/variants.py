"""The rest of a graph from a cut on, run with one layer quantized in one way after the other.

One skeleton serves all weights of a layer: they are quantized and decoded here, to the bit as the exported
graph decodes them, and put in. A MatMul, Gemm or Gather takes them as an input of the session, which is made
once; a convolution needs them constant (as an input they cost its layout optimization), so that its session
is made for each. Where weights are not one tensor of their own (recurrent directions, other forms of tied
tensors), the plan is written into the graph each time.

Measured with ONNX Runtime 1.31 on 2 cores, in FP32 passes of 20 x 64 tokens for one cell of the stories
transformer: 2.2 for writing the plan, 0.5 for the session, 0.6 for the run; the skeleton leaves the run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from quant_core.data import Batch
from quant_core.engine.session import make_session
from quant_core.formats import Scheme
from quant_core.graph import Graph, Layer, sizes_of
from quant_core.lower import FindRange, WeightCache, apply_plan
from quant_core.plan import Plan, Precision

_AS_INPUT = ("MatMul", "Gemm", "Gather")
_TYPES = (ir.DataType.FLOAT, ir.DataType.FLOAT16)


@dataclass
class _Skeleton:
    proto: onnx.ModelProto
    tensor: str
    dtype: np.dtype[np.generic]
    session: ort.InferenceSession | None  # where the weights are an input


class Variants:
    """Sessions of `graph`, which is a part of the user's, for plans of one layer. `cache` holds the weights
    of the whole, `threads` as in `make_session`.
    """

    def __init__(self, graph: Graph, cache: WeightCache, find_range: FindRange, threads: int = 0) -> None:
        self._graph, self._find_range, self._threads = graph, find_range, threads
        self._cache = WeightCache(graph, cache.kept)
        self._skeleton: tuple[tuple[str, Scheme | None], _Skeleton] | None = None  # of the layer at hand

    def session(self, layer_name: str, plan: Plan) -> tuple[ort.InferenceSession, Batch]:
        """A session that runs `plan`, which quantizes that layer and at most those tied to it, simulated; and
        what to feed it beside the tensors at the cut.
        """
        layer = self._graph.layer(layer_name)
        if not self._can_substitute(layer, plan):
            model = apply_plan(self._cache, plan, self._find_range)
            return make_session(_bytes(ir.to_proto(model)), "simulated", self._threads), {}
        precision = plan[layer_name]
        skeleton = self._skeleton_of(layer, precision.activations)
        weights = self._weights(layer, precision.weights).astype(skeleton.dtype, copy=False)
        if skeleton.session is not None:
            return skeleton.session, {skeleton.tensor: weights}
        stored = next(t for t in skeleton.proto.graph.initializer if t.name == skeleton.tensor)
        stored.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(weights), skeleton.tensor))
        return make_session(_bytes(skeleton.proto), "simulated", self._threads), {}

    def _can_substitute(self, layer: Layer, plan: Plan) -> bool:
        """Whether the weights are a whole tensor that the layers of `plan` and nobody else read, all in the
        same way.
        """
        value = self._graph.model.graph.initializers.get(layer.tensor or "")
        if value is None or value.const_value is None or value.is_graph_output():
            return False
        stored, readers = value.const_value, [self._graph.layer(name) for name in plan.quantized]
        if sizes_of(stored) != layer.shape or stored.dtype not in _TYPES:
            return False
        return len(list(value.uses())) == len(readers) and all(
            (x.tensor, x.shape, x.axis) == (layer.tensor, layer.shape, layer.axis) for x in readers
        )

    def _weights(self, layer: Layer, scheme: Scheme | None) -> NDArray[np.float32]:
        return self._graph.weights(layer) if scheme is None else self._cache.get(layer, scheme).decode()

    def _skeleton_of(self, layer: Layer, activations: Scheme | None) -> _Skeleton:
        asked = (layer.name, activations)
        if self._skeleton is None or self._skeleton[0] != asked:
            self._skeleton = None  # let go before the next is made
            self._skeleton = asked, self._make(layer, activations)
        return self._skeleton[1]

    def _make(self, layer: Layer, activations: Scheme | None) -> _Skeleton:
        plan = Plan("", {} if activations is None else {layer.name: Precision(None, activations)})
        model = apply_plan(self._cache, plan, self._find_range)
        name = layer.tensor or ""
        value = model.graph.initializers[name]
        assert value.const_value is not None
        dtype = value.const_value.dtype.numpy()
        if layer.op not in _AS_INPUT:
            return _Skeleton(ir.to_proto(model), name, dtype, None)
        del model.graph.initializers[name]
        value.type = ir.TensorType(value.const_value.dtype)
        value.shape = ir.Shape(sizes_of(value.const_value))
        value.const_value = None
        model.graph.inputs.append(value)
        proto = ir.to_proto(model)
        return _Skeleton(proto, name, dtype, make_session(_bytes(proto), "simulated", self._threads))


def _bytes(proto: onnx.ModelProto) -> bytes:
    return bytes(proto.SerializeToString())
