"""Several pieces of work at once on one machine, each in a lane of its own: a thread whose sessions compute
with a part of the cores.

Only sessions run side by side. What is Python of ours has one turn that goes from lane to lane, so that
nothing else needs to be safe for threads. All lanes share what enters a segment, which several processes
would each have to hold.

Measured with ONNX Runtime 1.31 on 2 cores, in FP32 passes for one cell of a sweep of weights, one lane with
two threads against two with one each: ResNet-20 0.65 and 0.54, MobileNet v1 0.65 and 0.54 (16 samples at a
time), keywords 1.34 and 0.89, stories 3.0 and 2.3. Two lanes with two threads each cost more than one.
Numbers are the same to the bit."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event, Lock
from typing import TypeVar

import onnxruntime as ort

from quant_core.data import Batch, Outputs
from quant_core.engine.memory import threads
from quant_core.engine.run import Pulse, run, run_whole
from quant_core.engine.session import make_session

MOST = 4  # lanes: each holds a session and the tensors of a batch
BYTES = 512 << 20  # of models in all lanes together
_BEAT = 0.1  # seconds between two pulses while lanes work
_ROUNDS, _WITHIN = 5, 1.5  # repetitions of a measurement, and the seconds after which none begins
_CLEARLY = 0.9  # most lanes are taken unless others are faster by this: they also hide what is not a run
_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Lanes:
    """How many lanes, and with how many threads the sessions of each compute; 0 leaves them to ONNX
    Runtime.
    """

    count: int = 1
    threads: int = 0


ONE_LANE = Lanes()


class Lane:
    """What work does its runs with. `pulse` is called before each, and may raise to end the work."""

    def __init__(self, turn: Lock, pulse: Pulse) -> None:
        self._turn, self.pulse = turn, pulse

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Let others have the turn meanwhile."""
        self._turn.release()
        try:
            yield
        finally:
            self._turn.acquire()

    def run(self, session: ort.InferenceSession, feeds: Batch, names: list[str] | None = None) -> Outputs:
        """As `engine.run`, beside other lanes."""
        return self.run_each(session, [feeds], names)[0]

    def run_each(
        self, session: ort.InferenceSession, batches: Iterable[Batch], names: list[str] | None = None
    ) -> list[Outputs]:
        """As `run` for every batch, in one turn: short runs would wait for the others each time."""
        found = []
        with self.outside():
            for feeds in batches:
                self.pulse()
                found.append(run(session, feeds, names))
        return found


class _EndedError(Exception):
    """Whoever wanted the results does not any more."""


def in_lanes(
    work: Callable[[_T, Lane], _R],
    items: Callable[[Lane], Iterable[_T]],
    lanes: Lanes,
    pulse: Pulse = lambda: None,
) -> Iterator[_R]:
    """What `work` makes of each of `items`, in their order, as many at once as there are lanes. Items are
    made here, one whenever a lane is free. `pulse` is called here, while lanes work; where it raises, they
    end before their next run."""
    turn, ended = Lock(), Event()

    def beat() -> None:
        if ended.is_set():
            raise _EndedError

    def taken(item: _T) -> _R:
        with turn:
            return work(item, Lane(turn, beat))

    source = iter(items(Lane(turn, pulse)))
    flying: deque[Future[_R]] = deque()
    with ThreadPoolExecutor(lanes.count) as pool:

        def give() -> None:
            with turn:
                flying.extend(pool.submit(taken, item) for item in islice(source, 1))

        try:
            for _ in range(lanes.count):
                give()
            while flying:
                yield _result(flying.popleft(), pulse)
                give()
        finally:
            ended.set()


def _result(future: Future[_R], pulse: Pulse) -> _R:
    while True:
        pulse()
        if wait_for([future], _BEAT).done:
            return future.result()


def measure_lanes(model: Path | bytes, batch: Batch, size: int) -> Lanes:
    """The lanes in which the float `model`, of `size` bytes, runs `batch` fastest on this machine."""
    ways = ways_for(threads(), size)
    if len(ways) == 1:
        return ways[0]
    sessions = {way: make_session(model, "float", way.threads) for way in ways}
    spent: dict[Lanes, list[float]] = {way: [] for way in ways}
    began = time.monotonic()
    for number in range(_ROUNDS + 1):
        for way, session in sessions.items():
            seconds = _seconds(session, batch, way)
            if number:  # the first run of each finds its memory
                spent[way].append(seconds)
        if number and time.monotonic() - began > _WITHIN:
            break
    clearly = {way: _CLEARLY if way == ways[0] else 1.0 for way in ways}
    return min(ways, key=lambda way: clearly[way] * min(spent[way]))


def _seconds(session: ort.InferenceSession, batch: Batch, lanes: Lanes) -> float:
    """What a batch takes when there is one in each lane."""

    def alone(_: int, lane: Lane) -> None:
        with lane.outside():
            run_whole(session, batch)

    start = time.perf_counter()
    for _ in in_lanes(alone, lambda _: range(lanes.count), lanes):
        pass
    return (time.perf_counter() - start) / lanes.count


def ways_for(cores: int, size: int) -> list[Lanes]:
    """The ways to share out so many cores that a model of `size` bytes may try; the one with most lanes is
    first.
    """
    counts = [n for n in range(min(cores, MOST), 1, -1) if cores % n == 0 and n * size <= BYTES]
    return [*(Lanes(n, cores // n) for n in counts), ONE_LANE]
