"""A convolution or matrix product as rows of input codes times rows of weight codes, and ONNX Runtime's own
integer operator for the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from quant_core.errors import PlanError
from quant_core.graph import Graph, Layer, weight_chain

Codes = NDArray[np.generic]


@dataclass(frozen=True)
class Form:
    """How a layer reads its input: a node that computes each output channel as a sum of products.

    `op` is Conv, Gemm or MatMul; `groups` of channels share no products. `window`, `strides`, `dilations` and
    `pads` (one pair for each axis) are empty but for a convolution. `bias` `[channels]` is in real values.
    """

    op: str
    channels: int
    groups: int
    bias: NDArray[np.float64]
    output: str
    window: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    dilations: tuple[int, ...] = ()
    auto_pad: str = "NOTSET"
    pads: tuple[tuple[int, int], ...] = ()

    def input_rows(self, codes: Codes, padding: int) -> NDArray[np.int64]:
        """What each output reads of input `codes`: `[groups, rows, K]`, in the order in which ONNX Runtime's
        convolution reads it, window first and channels last. Padding holds the code `padding`, which is zero.
        """
        if self.op != "Conv":
            return codes.reshape(1, -1, codes.shape[-1]).astype(np.int64)
        spatial = codes.shape[2:]
        ends = self._ends(spatial)
        padded = np.pad(codes, ((0, 0), (0, 0), *ends), constant_values=padding)
        reach = tuple((k - 1) * d + 1 for k, d in zip(self.window, self.dilations, strict=True))
        axes = tuple(range(2, codes.ndim))
        seen = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=axes)
        places = [slice(None), slice(None), *(slice(None, None, s) for s in self.strides)]
        seen = seen[(*places, *(slice(None, None, d) for d in self.dilations))]
        rank = len(axes)
        grouped = seen.reshape(codes.shape[0], self.groups, -1, *seen.shape[2:])
        # group, then sample and places, then window, then channel
        order = (1, 0, *range(3, 3 + rank), *range(3 + rank, 3 + 2 * rank), 2)
        moved = grouped.transpose(order)
        rows = int(np.prod(moved.shape[1 : 2 + rank]))
        return moved.reshape(self.groups, rows, -1).astype(np.int64)

    def weight_rows(self, weights: Codes, axis: int) -> NDArray[np.int64]:
        """The weights of each output channel in the order of `input_rows`: `[groups, channels of one, K]`."""
        rows = np.moveaxis(weights, axis, 0)
        if self.op == "Conv":
            rows = np.moveaxis(rows, 1, -1)
        return rows.reshape(self.groups, self.channels // self.groups, -1).astype(np.int64)

    def output_rows(self, output: Codes) -> Codes:
        """An output of the layer as `[rows, channels]`."""
        if self.op == "Conv":
            output = np.moveaxis(output, 1, -1)
        return output.reshape(-1, self.channels)

    def _ends(self, spatial: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """Padding before and after each axis (ONNX operator Conv, attribute auto_pad)."""
        if self.auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
            return self.pads
        ends = []
        for size, k, s, d in zip(spatial, self.window, self.strides, self.dilations, strict=True):
            total = max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size)
            less = total // 2
            ends.append((less, total - less) if self.auto_pad == "SAME_UPPER" else (total - less, less))
        return tuple(ends)


def integer_form(graph: Graph, layer: Layer) -> Form:
    """The form of `layer`. PlanError with the reason where it has none."""
    node = next((n for n in graph.model.graph if n.name == layer.name), None)
    why = _why_not(layer, node)
    if why is not None or node is None:
        raise PlanError(f"'{layer.name}' is not computed in integers here ({why})", "choose another layer")
    assert layer.shape is not None
    channels = layer.shape[layer.axis]
    bias = np.zeros(channels) if len(node.inputs) < 3 or node.inputs[2] is None else _constant(node.inputs[2])
    if layer.op == "Gemm":
        bias = np.broadcast_to(bias.reshape(-1), (channels,)) * node.attributes.get_float("beta", 1.0)
    form = Form(layer.op, channels, layer.groups, np.asarray(bias, np.float64), node.outputs[0].name or "")
    if layer.op != "Conv":
        return form
    rank = len(layer.shape) - 2
    pads = tuple(node.attributes.get_ints("pads", (0,) * (2 * rank)))
    return Form(
        **{
            **form.__dict__,
            "window": layer.shape[2:],
            "strides": tuple(node.attributes.get_ints("strides", (1,) * rank)),
            "dilations": tuple(node.attributes.get_ints("dilations", (1,) * rank)),
            "auto_pad": node.attributes.get_string("auto_pad", "NOTSET"),
            "pads": tuple(zip(pads[:rank], pads[rank:], strict=True)),
        }
    )


def _why_not(layer: Layer, node: ir.Node | None) -> str | None:
    if layer.reason is not None:
        return str(layer.reason)
    if layer.op not in ("Conv", "Gemm", "MatMul") or node is None:
        return f"only Conv, Gemm and MatMul are, not {layer.op}"
    if layer.weight_input != 1 or weight_chain(node.inputs[1])[1]:
        return "its weights are transposed or on the left"
    if layer.op != "Conv" and len(layer.shape or ()) != 2:
        return "its weights are not a matrix"
    if layer.op == "Gemm" and (
        node.attributes.get_int("transA", 0) != 0 or node.attributes.get_float("alpha", 1.0) != 1.0
    ):
        return "its Gemm transposes or scales what enters"
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None and bias.const_value is None:
        return "its bias is computed while the model runs"
    if bias is not None and _constant(bias).size not in (1, (layer.shape or (0,))[layer.axis]):
        return "its bias is not one value for each channel"
    return None


def _constant(value: ir.Value) -> NDArray[np.float64]:
    assert value.const_value is not None
    return np.asarray(value.const_value.numpy(), np.float64)


@dataclass(frozen=True)
class Operands:
    """The constants of a layer in integers: input, weight and output scales and zero points. `weights` are
    codes in the shape the node reads; `weight_scale` and `weight_zero` have one entry, or one a channel;
    `bias` `[channels]` is in steps of the accumulator."""

    x_scale: np.float32
    x_zero: int
    weights: Codes
    weight_scale: NDArray[np.float32]
    weight_zero: NDArray[np.int32]
    y_scale: np.float32
    y_zero: int
    bias: NDArray[np.int64]

    @property
    def multiplier(self) -> NDArray[np.float32]:
        """s_x s_w / s_y, float32, in ONNX Runtime's order of operations."""
        return np.asarray(self.x_scale * self.weight_scale / self.y_scale, np.float32)

    def unsigned(self) -> Operands:
        """The same with weights as uint8: 128 more, zero point and all. This is what export writes beside
        8-bit activations, because it cannot saturate.
        """
        return Operands(
            **{
                **self.__dict__,
                "weights": (self.weights.astype(np.int16) + 128).astype(np.uint8),
                "weight_zero": self.weight_zero + 128,
            }
        )


def integer_model(form: Form, node: ir.Node, operands: Operands, rank: int) -> bytes:
    """A model of one node that computes the layer on input codes `x` (uint8, of `rank` axes) with ONNX
    Runtime's integer operator: QLinearConv, QLinearMatMul, or com.microsoft QGemm for a Gemm.
    """
    dtype = operands.weights.dtype
    stored: dict[str, NDArray[np.generic]] = {
        "xs": np.asarray(operands.x_scale, np.float32),
        "xz": np.asarray(operands.x_zero, np.uint8),
        "w": operands.weights,
        "ws": _least(operands.weight_scale),
        "wz": _least(operands.weight_zero.astype(dtype)),
        "ys": np.asarray(operands.y_scale, np.float32),
        "yz": np.asarray(operands.y_zero, np.uint8),
        "b": operands.bias.astype(np.int32),
    }
    taken = ["x", "xs", "xz", "w", "ws", "wz"]
    if form.op == "Conv":
        made = helper.make_node("QLinearConv", [*taken, "ys", "yz", "b"], ["y"])
        made.attribute.extend(ir.to_proto(a) for a in node.attributes.values())
    elif form.op == "Gemm":
        made = helper.make_node("QGemm", [*taken, "b", "ys", "yz"], ["y"], domain="com.microsoft")
        made.attribute.append(helper.make_attribute("transB", node.attributes.get_int("transB", 0)))
    else:
        made = helper.make_node("QLinearMatMul", [*taken, "ys", "yz"], ["y"])
        del stored["b"]
    dims = [None] * rank
    graph = helper.make_graph(
        [made],
        "integers",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, dims)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, dims)],
        [numpy_helper.from_array(np.ascontiguousarray(a), name) for name, a in stored.items()],
    )
    imports = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    return bytes(model.SerializeToString())


def _least(values: NDArray[np.generic]) -> NDArray[np.generic]:
    return values.reshape(()) if values.size == 1 else values
