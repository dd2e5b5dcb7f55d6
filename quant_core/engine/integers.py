"""Compute one layer in integers on real samples, and hold it against ONNX Runtime's integer kernels, against
fixed-point requantization, and against 16-bit sums of pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from quant_core.data import Dataset
from quant_core.engine.evaluate import Progress
from quant_core.engine.integer_form import Form, Operands, integer_form, integer_model
from quant_core.engine.run import fixed_batch, run, run_whole
from quant_core.engine.session import make_session
from quant_core.errors import PlanError
from quant_core.formats import (
    FixedPoint,
    QuantizedTensor,
    Saturation,
    affine_parameters,
    dequantize,
    get_format,
    integer_sums,
    quantize,
    requantize,
    requantize_fixed,
    saturate_pairs,
)
from quant_core.graph import Graph, Layer, inputs_of, stretch
from quant_core.lower import to_bytes, with_room_for_bias
from quant_core.stats import StreamingHistogram

UINT8 = get_format("uint8")
_ROWS = 4096  # outputs of a channel at a time


@dataclass
class IntegerCounts:
    """What a layer's integers did on some samples.

    `outputs` values were computed, `products` summed in each; `low` and `high` are the ends of the
    accumulators. `raised` channels have a weight scale that was raised until their bias fits. `differ`
    outputs are not those of ONNX Runtime's integer operator with unsigned weights, `signed_differ` not those
    of its kernel for signed weights on this machine. `fixed_differ` outputs change with a fixed-point
    multiplier, by at most `fixed_most` steps. `saturated` of `pairs` products added two at a time do not fit
    16 bits; `saturated_differ` outputs change by it, by at most `saturated_most` steps. `signal` and `noise`
    are the power of the float outputs and of the error."""

    samples: int = 0
    outputs: int = 0
    products: int = 0
    low: int = 0
    high: int = 0
    raised: int = 0
    differ: int = 0
    signed_differ: int = 0
    fixed_differ: int = 0
    fixed_most: int = 0
    pairs: int = 0
    saturated: int = 0
    saturated_differ: int = 0
    saturated_most: int = 0
    signal: float = 0.0
    noise: float = 0.0


@dataclass(frozen=True)
class Traced:
    """What was counted, the histogram of the accumulators, the constants, and the codes that the first sample
    brought into the layer, with the layer's float output for it.
    """

    counts: IntegerCounts
    accumulators: StreamingHistogram
    form: Form
    operands: Operands
    first_input: NDArray[np.uint8]
    first_output: NDArray[np.float32]


def trace_integers(
    graph: Graph,
    layer: Layer,
    weights: QuantizedTensor,
    ends: tuple[float, float],
    data: Dataset,
    progress: Progress | None = None,
) -> Traced:
    """Compute `layer` in integers on every sample of `data`: input codes are uint8 over the range `ends`,
    `weights` are its int8 codes, output codes are uint8 over the range that the float layer has on `data`.
    PlanError where the layer has no integer form.
    """
    form = integer_form(graph, layer)
    seen = _float_run(graph, layer, form, data, progress)
    low = min(float(y.min(initial=0.0)) for _, y in seen)
    high = max(float(y.max(initial=0.0)) for _, y in seen)
    operands, raised = integer_operands(form, weights, ends, (low, high))
    node = next(n for n in graph.model.graph if n.name == layer.name)
    found = IntegerCounts(samples=len(data), raised=raised)
    spread = StreamingHistogram()
    rank = seen[0][0].ndim
    sessions = [
        make_session(integer_model(form, node, o, rank), "shipped") for o in (operands.unsigned(), operands)
    ]
    first: NDArray[np.uint8] | None = None
    for number, (values, output) in enumerate(seen):
        codes = input_codes(values, operands)
        first = codes if first is None else first
        _compare(found, spread, form, layer, operands, codes, output, sessions)
        if progress is not None:
            progress(len(data) + number + 1, 2 * len(data))
    assert first is not None
    return Traced(found, spread, form, operands, first, seen[0][1])


def input_codes(values: NDArray[np.float32], operands: Operands) -> NDArray[np.uint8]:
    """The codes of what enters."""
    zero = np.asarray(operands.x_zero, np.int32)
    return quantize(values, np.asarray(operands.x_scale), zero, UINT8).astype(np.uint8)


def integer_operands(
    form: Form, weights: QuantizedTensor, ends: tuple[float, float], output: tuple[float, float]
) -> tuple[Operands, int]:
    """The constants of the layer with input range `ends` and output range `output`, and how many weight
    scales were raised so that the bias fits 32 bits, as in the exported file.
    """
    assert weights.scale is not None and weights.zero_point is not None
    x_scale, x_zero = affine_parameters(*ends, UINT8, False)
    y_scale, y_zero = affine_parameters(*output, UINT8, False)
    bias = np.zeros(form.channels) if form.op == "MatMul" else form.bias
    roomy = with_room_for_bias(weights, bias, float(x_scale))
    assert roomy.scale is not None
    scale, raised = roomy.scale, int(np.count_nonzero(roomy.scale > weights.scale))
    steps = np.rint(bias / (x_scale.astype(np.float64) * scale.astype(np.float64)))
    codes = roomy.shaped_codes()
    made = Operands(
        np.float32(x_scale),
        int(x_zero),
        codes.astype(np.int8),
        scale,
        weights.zero_point,
        np.float32(y_scale),
        int(y_zero),
        steps.astype(np.int64),
    )
    return made, raised


def _float_run(
    graph: Graph, layer: Layer, form: Form, data: Dataset, progress: Progress | None
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """What enters the layer and what it gives, for each sample."""
    ports = inputs_of(graph.model)
    inputs = tuple(port.name for port in ports)
    entering = layer.input or ""
    session = make_session(to_bytes(stretch(graph, inputs, (entering, form.output)).model), "float")
    wanted = [port.name for port in session.get_outputs()]
    size, seen = fixed_batch(ports) or 1, []
    for feeds, _ in data.batches(size):
        count = len(next(iter(feeds.values())))
        needed = {port.name: feeds[port.name] for port in session.get_inputs()}
        found = dict(zip(wanted, run_whole(session, needed, wanted), strict=True))
        values = found.get(entering, feeds.get(entering))
        if values is None:
            raise PlanError(f"nothing enters '{layer.name}'", "choose another layer")
        seen.append((np.asarray(values, np.float32), np.asarray(found[form.output], np.float32)))
        if progress is not None:
            progress(min(len(data), len(seen) * count), 2 * len(data))
    return seen


def _compare(
    found: IntegerCounts,
    spread: StreamingHistogram,
    form: Form,
    layer: Layer,
    operands: Operands,
    codes: NDArray[np.uint8],
    output: NDArray[np.float32],
    sessions: list[ort.InferenceSession],
) -> None:
    """Add one sample to `found`."""
    theirs, signed = (form.output_rows(run(s, {"x": codes})[0]).astype(np.int32) for s in sessions)
    exact = np.asarray(form.output_rows(output), np.float32)
    inputs = form.input_rows(codes, operands.x_zero)
    weights = form.weight_rows(operands.weights, layer.axis)
    many = form.channels // form.groups
    found.products = inputs.shape[2]
    for group, rows in enumerate(inputs):
        mine = slice(group * many, (group + 1) * many)
        part = _of_channels(operands, mine)
        fixed = [FixedPoint.of(float(m)) for m in np.broadcast_to(part.multiplier, (many,))]
        for start in range(0, len(rows), _ROWS):
            here = slice(start, start + _ROWS)
            x = rows[here]
            sums = integer_sums(
                x, weights[group], part.x_zero, part.weight_zero.astype(np.int64), part.bias
            ).total
            made = requantize(sums, part.multiplier, part.y_zero, UINT8)
            _count(found, sums, made, theirs[here, mine], signed[here, mine])
            spread.add(sums.reshape(1, -1).astype(np.float32))
            _count_fixed(found, made, requantize_fixed(sums, fixed, part.y_zero, UINT8))
            lost = saturate_pairs(x, weights[group])
            _count_saturated(
                found, made, lost, requantize(sums - lost.lost, part.multiplier, part.y_zero, UINT8)
            )
            real: NDArray[np.float32] = dequantize(
                made, np.asarray(part.y_scale), np.asarray(part.y_zero, np.int32)
            )
            wanted = exact[here, mine]
            found.signal += float(np.square(wanted, dtype=np.float64).sum())
            found.noise += float(np.square(real - wanted, dtype=np.float64).sum())


def _of_channels(operands: Operands, mine: slice) -> Operands:
    """The constants of some output channels."""
    changed = {
        name: value if value.size == 1 else value[mine]
        for name, value in (("weight_scale", operands.weight_scale), ("weight_zero", operands.weight_zero))
    }
    return Operands(**{**operands.__dict__, **changed, "bias": operands.bias[mine]})


def _count(
    found: IntegerCounts,
    sums: NDArray[np.int64],
    made: NDArray[np.int32],
    theirs: NDArray[np.int32],
    signed: NDArray[np.int32],
) -> None:
    found.low = int(min(sums.min(), found.low)) if found.outputs else int(sums.min())
    found.high = int(max(sums.max(), found.high)) if found.outputs else int(sums.max())
    found.outputs += made.size
    found.differ += int(np.count_nonzero(made != theirs))
    found.signed_differ += int(np.count_nonzero(made != signed))


def _count_fixed(found: IntegerCounts, made: NDArray[np.int32], fixed: NDArray[np.int32]) -> None:
    off = np.abs(made - fixed)
    found.fixed_differ += int(np.count_nonzero(off))
    found.fixed_most = max(found.fixed_most, int(off.max(initial=0)))


def _count_saturated(
    found: IntegerCounts, made: NDArray[np.int32], lost: Saturation, narrow: NDArray[np.int32]
) -> None:
    off = np.abs(made - narrow)
    found.pairs += lost.pairs
    found.saturated += lost.saturated
    found.saturated_differ += int(np.count_nonzero(off))
    found.saturated_most = max(found.saturated_most, int(off.max(initial=0)))
