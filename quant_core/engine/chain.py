"""A graph run as a chain of segments, so that a change of a layer runs only what follows it.

What leaves a segment is a pure function of what entered the first one and of the precisions up to there, so
it is kept under the hash of both. A plan is run from the last cut whose tensors are kept; the sessions of
segments that did not change are used again. Numbers are those of the exported graph but for the rounding of
float sums, whose order depends on where a graph is cut; they do not depend on what was kept.

Each plan keeps at most half of the memo's bytes, so that the plan before it stays. The graph is cut so that
the tensors of all samples at all cuts fit there; where their sizes are only known when it runs, the cuts from
the end of the graph on are kept, where the most work lies before them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnxruntime as ort

from quant_core.data import Batch, Dataset, Outputs
from quant_core.engine.lanes import ONE_LANE, Lane, Lanes, in_lanes
from quant_core.engine.memo import Memo, process_memo
from quant_core.engine.run import Pulse, cut_off, fill_up, fixed_batch
from quant_core.engine.session import make_session
from quant_core.graph import SEGMENTS, Segment, cut_segments, inputs_of, stretch
from quant_core.lower import Corrections, FindRange, WeightCache, apply_plan, to_bytes
from quant_core.plan import Plan

SESSIONS = 256 << 20  # bytes of models whose sessions are kept
_Stretch = tuple[tuple[str, ...], tuple[str, ...]]  # what enters a part of the graph, and what leaves it


@dataclass(frozen=True)
class _Link:
    """A segment ready to run: what it reads, and what it computes of the tensors that leave it."""

    session: ort.InferenceSession
    reads: tuple[str, ...]
    computes: list[str]
    leave: tuple[str, ...]

    def run(self, state: Batch, lane: Lane) -> Batch:
        outputs = lane.run(self.session, {name: state[name] for name in self.reads}, self.computes)
        found = dict(zip(self.computes, outputs, strict=True))
        return {name: found[name] if name in found else state[name] for name in self.leave}


class Chain:
    """Runs plans of one graph, `cache` its weights. `memo` may be shared with other graphs; `lanes` of
    batches run at once."""

    def __init__(self, cache: WeightCache, memo: Memo | None = None, lanes: Lanes = ONE_LANE) -> None:
        self._cache, self._memo, self._lanes = cache, memo or process_memo(), lanes
        self._graph = cache.graph
        self._outputs = tuple(v.name or "" for v in self._graph.model.graph.outputs)
        self._cuts: dict[int, tuple[Segment, ...]] = {}
        self._parts: dict[_Stretch, WeightCache] = {}
        self._links: OrderedDict[tuple[_Stretch, str], tuple[_Link, int]] = OrderedDict()

    def segments(self, samples: int) -> tuple[Segment, ...]:
        """The segments that so many samples run through."""
        if samples not in self._cuts:
            room = self._memo.limit // 2 / max(1, samples)
            self._cuts[samples] = cut_segments(self._graph, room=room, chained=True)
        return self._cuts[samples]

    def outputs(
        self,
        plan: Plan,
        data: Dataset,
        size: int,
        find_range: FindRange,
        corrections: Corrections | None = None,
        pulse: Pulse = lambda: None,
    ) -> Iterator[Outputs]:
        """What `plan` makes of each batch of `size` samples, simulated."""
        corrections = corrections or {}
        segments = self.segments(len(data))
        within = [self._within(segment, plan, corrections) for segment in segments]
        keys = self._prefixes(data, size, segments, [hashed for _, hashed in within])
        start, source = self._entered(keys, data, size)
        leaving = [*(segment.entry for segment in segments[1:]), self._outputs]
        links = [
            self._link((segments[number].entry, leaving[number]), *within[number], find_range, corrections)
            for number in range(start, len(segments))
        ]

        def through(state: Batch, lane: Lane) -> list[Batch]:
            states = [state]
            for link in links:
                states.append(link.run(states[-1], lane))
            return states[1:]

        kept: dict[int, list[Batch]] | None = None
        fixed, done = fixed_batch(inputs_of(self._graph.model)), 0
        for states in in_lanes(through, lambda _: source, self._lanes, pulse):
            if kept is None:
                kept = {n: [] for n in self._worth_keeping(states[:-1], -(-len(data) // size))}
            for number, batches in kept.items():
                batches.append(states[number])
            done = min(done + size, len(data))
            count = size if done % size == 0 else done % size
            yield cut_off([states[-1][name] for name in self._outputs], count, fixed)
        for number, batches in (kept or {}).items():
            self._memo.put(keys[start + 1 + number], batches)

    def _within(self, segment: Segment, plan: Plan, corrections: Corrections) -> tuple[Plan, str]:
        """The part of `plan` inside `segment`, and the hash of all that decides what the segment computes."""
        layers = {name: plan[name] for name in segment.layers if not plan[name].is_float}
        part = Plan(plan.name, layers, plan.model_sha256)
        added = [(name, corrections[name].tobytes()) for name in layers if name in corrections]
        return part, _hash(part.key, *(x for pair in added for x in pair))

    def _prefixes(
        self, data: Dataset, size: int, segments: Sequence[Segment], inside: Sequence[str]
    ) -> list[str]:
        """The key of what enters each segment."""
        keys = [_hash(self._graph.file.sha256, data.key, str(size))]
        for segment, hashed in zip(segments[1:], inside[:-1], strict=True):
            keys.append(_hash(keys[-1], hashed, *segment.entry))
        return keys

    def _entered(self, keys: list[str], data: Dataset, size: int) -> tuple[int, Iterator[Batch]]:
        """The last segment whose entry is kept, and its batches."""
        for number in range(len(keys) - 1, 0, -1):
            batches = self._memo.get(keys[number])
            if batches is not None:
                return number, iter(batches)
        fixed = fixed_batch(inputs_of(self._graph.model))
        return 0, (fill_up(feeds, fixed) for feeds, _ in data.batches(size))

    def _worth_keeping(self, states: list[Batch], batches: int) -> list[int]:
        """Which cuts are kept: from the last one on, as many as half of the memo holds."""
        room, chosen = self._memo.limit // 2, []
        for number in range(len(states) - 1, -1, -1):
            size = sum(array.nbytes for array in states[number].values()) * batches
            if size <= room:
                chosen.append(number)
                room -= size
        return chosen

    def _link(
        self, between: _Stretch, plan: Plan, hashed: str, find_range: FindRange, corrections: Corrections
    ) -> _Link:
        key = between, hashed
        if key not in self._links:
            entry, leave = between
            computes = [name for name in dict.fromkeys(leave) if name not in entry]
            model = to_bytes(apply_plan(self._part(entry, computes), plan, find_range, corrections))
            session = make_session(model, "simulated", self._lanes.threads)
            reads = tuple(port.name for port in session.get_inputs())
            self._links[key] = _Link(session, reads, computes, leave), len(model)
            held = sum(size for _, size in self._links.values())
            while held > SESSIONS and len(self._links) > SEGMENTS:
                held -= self._links.popitem(last=False)[1][1]
        self._links.move_to_end(key)
        return self._links[key][0]

    def _part(self, entry: tuple[str, ...], computes: list[str]) -> WeightCache:
        key = entry, tuple(computes)
        if key not in self._parts:
            self._parts[key] = WeightCache(stretch(self._graph, *key), self._cache.kept)
        return self._parts[key]


def _hash(*parts: str | bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        found.update(len(raw).to_bytes(8, "little") + raw)
    return found.hexdigest()
