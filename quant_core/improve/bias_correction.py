"""Bias correction: undo the shift that quantization puts on the mean of each output channel.

For layer after layer in the order of execution, with all earlier ones already quantized and corrected:

    correction[c] = E[ y_fp32[c] ] - E[ y_quantized[c] ]

over the calibration samples, added to the bias. Source: Nagel et al. 2019, "Data-Free Quantization Through
Weight Equalization and Bias Correction", section 4.2, in its empirical form (appendix D).

The graph is cut into segments, and what the quantized and corrected part before a segment gives is kept for
all samples, so that each layer runs only the stretch of its own segment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes import common as passes

from quant_core.data import Batch, Dataset
from quant_core.engine import Progress, cut_off, fill_up, fixed_batch, make_session, run, with_outputs
from quant_core.graph import Graph, Layer, cut_segments, inputs_of, stretch
from quant_core.lower import Corrections, FindRange, WeightCache, lower, to_bytes
from quant_core.plan import Plan

Means = NDArray[np.float64]


def can_correct(layer: Layer) -> bool:
    """Whether a constant per output channel can be added to what the layer gives."""
    if layer.input is None:  # inside a body, or its activations are no float32
        return False
    return layer.op in ("Conv", "ConvTranspose", "Gemm") or (layer.op == "MatMul" and layer.weight_input == 1)


def correct_bias(
    cache: WeightCache,
    plan: Plan,
    find_range: FindRange,
    data: Dataset,
    size: int,
    progress: Progress | None = None,
) -> Corrections:
    """The corrections, `[output channels]` each, of the layers of `plan` that ask for one, from `data`."""
    graph = cache.graph
    wanted = [
        layer
        for layer in graph.quantizable
        if plan[layer.name].bias_correction and plan[layer.name].weights is not None and can_correct(layer)
    ]
    corrections: dict[str, NDArray[np.float32]] = {}
    fixed = fixed_batch(inputs_of(graph.model))
    batches = [batch for batch, _ in data.batches(size)]
    counts = [len(next(iter(batch.values()))) for batch in batches]
    feeds = [fill_up(batch, fixed) for batch in batches]
    expected = _float_means(graph, wanted, feeds, counts, fixed)
    segments = cut_segments(graph)
    for segment, following in zip(segments, (*segments[1:], None), strict=True):
        inside = [layer for layer in wanted if layer.name in segment.layers]
        leave = following.entry if following else tuple(v.name or "" for v in graph.model.graph.outputs)
        part = WeightCache(stretch(graph, segment.entry, leave), cache.kept)
        there = {layer.name for layer in part.graph.layers}
        planned = replace(plan, layers={name: p for name, p in plan.layers.items() if name in there})
        for layer in inside:
            model = lower(part, planned, find_range, corrections)
            actual = _mean_of(_cut_after(model, layer.name), layer, feeds, counts, fixed)
            corrections[layer.name] = (expected[layer.name] - actual).astype(np.float32)
            if progress is not None:
                progress(len(corrections), len(wanted))
        if following is not None and len(corrections) < len(wanted):
            session = make_session(to_bytes(lower(part, planned, find_range, corrections)), "simulated")
            feeds = [dict(zip(leave, run(session, batch, list(leave)), strict=True)) for batch in feeds]
    return corrections


def _channel_axis(layer: Layer) -> int:
    return 1 if layer.op in ("Conv", "ConvTranspose") else -1


def _float_means(
    graph: Graph, layers: list[Layer], feeds: list[Batch], counts: list[int], fixed: int | None
) -> dict[str, Means]:
    """Mean of each output channel of each layer in the float graph, in one pass."""
    outputs = {node.name: node.outputs[0].name or "" for node in graph.model.graph}
    names = [outputs[layer.name] for layer in layers]
    if not names:
        return {}
    session = make_session(with_outputs(graph.model, names), "float")
    sums: list[Means] = [np.zeros(1) for _ in names]
    numbers = [0] * len(names)
    for batch, count in zip(feeds, counts, strict=True):
        found = cut_off(run(session, batch, names), count, fixed)
        for i, (layer, values) in enumerate(zip(layers, found, strict=True)):
            added, number = _channel_sum(values, _channel_axis(layer))
            sums[i] = sums[i] + added
            numbers[i] += number
    return {layer.name: s / max(1, n) for layer, s, n in zip(layers, sums, numbers, strict=True)}


def _mean_of(model: bytes, layer: Layer, feeds: list[Batch], counts: list[int], fixed: int | None) -> Means:
    session = make_session(model, "simulated")
    total: Means = np.zeros(1)
    summed = 0
    for batch, count in zip(feeds, counts, strict=True):
        needed = {i.name: batch[i.name] for i in session.get_inputs()}
        values = cut_off(run(session, needed), count, fixed)[0]
        added, number = _channel_sum(values, _channel_axis(layer))
        total, summed = total + added, summed + number
    return total / max(1, summed)


def _channel_sum(values: NDArray[np.generic], axis: int) -> tuple[Means, int]:
    moved = np.moveaxis(np.asarray(values, np.float32), axis, 0).reshape(values.shape[axis], -1)
    return moved.sum(axis=1, dtype=np.float64), moved.shape[1]


def _cut_after(model: ir.Model, layer: str) -> bytes:
    """The part of a lowered graph that computes the output of `layer`, as its only output."""
    node = next(n for n in model.graph if n.name == layer)
    output = node.outputs[0]
    output.type = output.type or ir.TensorType(ir.DataType.FLOAT)
    model.graph.outputs.clear()
    model.graph.outputs.append(output)
    passes.RemoveUnusedNodesPass()(model)
    return to_bytes(model)
