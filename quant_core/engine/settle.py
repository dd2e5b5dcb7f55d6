"""How the range of one tensor settles: run the graph only as far as that tensor, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from quant_core.data import Batch, Dataset
from quant_core.engine.calibrate import BATCH, KEEP, by_sample
from quant_core.engine.evaluate import Progress
from quant_core.engine.run import batch_size, fixed_batch, run_whole
from quant_core.engine.session import make_session
from quant_core.errors import ModelError
from quant_core.graph import Graph, inputs_of, stretch
from quant_core.lower import to_bytes
from quant_core.stats import ChannelStats, Checkpoints, Snapshot, StreamingHistogram


@dataclass(frozen=True)
class Settled:
    """A tensor at 1, 2, 4, 8, ... calibration samples and at all of them, and on the held-out samples (None
    where there are none). `stats.settling` and `stats.drift` read it. `channels` are those of the calibration
    samples.
    """

    checkpoints: tuple[Snapshot, ...]
    held_out: StreamingHistogram | None
    channels: ChannelStats


def settle(
    graph: Graph,
    tensor: str,
    calibration_data: Dataset,
    held_out_data: Dataset | None = None,
    progress: Progress | None = None,
    axis: int = 1,
) -> Settled:
    """Measure `tensor`, an input or any computed tensor of `graph`, on both sets of samples, with the part of
    the graph that computes it. Its channels, on `axis`, are those of the calibration samples. Memory does not
    grow with the samples. ModelError where the graph has no such tensor.
    """
    size = fixed_batch(inputs_of(graph.model)) or min(batch_size(inputs_of(graph.model)), BATCH)
    session = _session_for(graph, tensor)
    total = len(calibration_data) + (0 if held_out_data is None else len(held_out_data))
    done = 0
    checkpoints, held_out = Checkpoints(), None if held_out_data is None else StreamingHistogram()
    channels = ChannelStats()
    for data, into in ((calibration_data, checkpoints), (held_out_data, held_out)):
        if data is None or into is None:
            continue
        for feeds, _ in data.batches(size):
            count = len(next(iter(feeds.values())))
            values = np.asarray(_values(session, feeds, tensor), np.float32)
            if into is checkpoints and -values.ndim <= axis < values.ndim:
                channels.add(values, axis)
            into.add(by_sample(values, count), max(1, KEEP * count // size))
            done += count
            if progress is not None:
                progress(done, total)
    return Settled(checkpoints.snapshots(), held_out, channels)


def _session_for(graph: Graph, tensor: str) -> ort.InferenceSession | None:
    """A session that computes `tensor` and nothing else; None where it is an input."""
    inputs = tuple(port.name for port in inputs_of(graph.model))
    if tensor in inputs:
        return None
    if tensor not in {value.name for node in graph.model.graph for value in node.outputs}:
        raise ModelError(f"the model has no tensor '{tensor}'", "choose one that enters a layer")
    return make_session(to_bytes(stretch(graph, inputs, (tensor,)).model), "float")


def _values(session: ort.InferenceSession | None, feeds: Batch, tensor: str) -> NDArray[np.generic]:
    if session is None:
        return feeds[tensor]
    needed = {port.name: feeds[port.name] for port in session.get_inputs()}
    return run_whole(session, needed, [tensor])[0]
