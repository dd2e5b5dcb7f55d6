"""Few samples speak for all: what is taken, when it is enough, and how well it fits what all would say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_core.data import Traces
from quant_core.engine import Strata
from quant_core.engine.strata import LEAST, Estimate

N = 600


def world(seed: int, scale: float, count: int = N) -> tuple[np.ndarray, Traces]:
    """Margins, and traces of all samples of a format whose noise is `scale` of the usual margin."""
    rng = np.random.default_rng(seed)
    margins = rng.exponential(size=count)
    loss = rng.normal(size=count) * scale
    noise = (rng.lognormal(size=(count, 1)) * scale**2).astype(np.float64)
    flipped = (loss > margins).astype(np.float64)
    gained = np.where(flipped > 0, rng.integers(-1, 2, count), 0).astype(np.float64)
    return margins, Traces(np.full((count, 1), 1.0), noise, flipped, 0.1 * flipped, gained)


def of(traces: Traces, samples: np.ndarray) -> Traces:
    """The traces of some samples."""
    parts = (traces.signal, traces.noise, traces.flipped, traces.kl, traces.gained)
    return Traces(*(None if p is None else p[samples] for p in parts))  # type: ignore[arg-type]


def measured(strata: Strata, traces: Traces) -> tuple[Estimate, list[int], int]:
    """What a cell is said to be, the strips it took, and on how many samples."""
    taken: list[int] = []
    strip: int | None = 0
    at = np.zeros(0, np.int64)
    while strip is not None:
        taken.append(strip)
        at = np.concatenate([at, np.arange(*strata.strips[strip])])
        seen = of(traces, strata.order[at])
        strip = strata.next_strip(taken, seen, at)
    return strata.estimate(seen, at), taken, len(at)


@settings(max_examples=40, deadline=None)
@given(st.integers(64, 3000), st.sampled_from([8, 32]), st.integers(0, 5), st.booleans())
def test_strips_are_full_batches_and_follow_the_margins(
    count: int, size: int, seed: int, decides: bool
) -> None:
    if count < 8 * size:
        return
    margins = np.random.default_rng(seed).exponential(size=count)
    strata = Strata(np.ones((count, 1)), margins if decides else None, size, seed)
    assert all((end - start) % size == 0 for start, end in strata.strips[:-1])
    first, *middle, _ = strata.strips
    assert first[1] - first[0] >= LEAST
    taken = strata.order[: first[1] + sum(end - start for start, end in middle)]
    assert len(set(taken.tolist())) == len(taken)
    assert len(middle) == (4 if decides else 0)
    of_strata = margins[strata.order[first[1] : len(taken)]]
    assert (np.diff(of_strata) >= 0).all()


def test_what_flips_no_decision_is_measured_on_few_samples_and_exactly() -> None:
    margins, traces = world(1, 0.01)
    strata = Strata(traces.signal, margins, 8)
    found, taken, count = measured(strata, traces)
    assert taken[:2] == [0, 1]
    assert count < 0.3 * N
    assert traces.flipped is not None
    assert found.agreement == pytest.approx(1.0 - traces.flipped.mean())
    low, high = found.band.agreement or (0.0, 0.0)
    assert low < (found.agreement or 0.0) <= high


def test_of_what_is_ruined_the_draw_alone_is_made_larger() -> None:
    margins, traces = world(2, 4.0, 2000)
    strata = Strata(traces.signal, margins, 32)
    _, taken, count = measured(strata, traces)
    assert taken == [0, strata.extra]
    assert count < 0.2 * len(margins)


@pytest.mark.parametrize("scale", [0.02, 0.1, 0.3, 0.8, 3.0])
def test_the_estimate_is_right_on_average_and_the_bands_hold_it(scale: float) -> None:
    margins, traces = world(3, scale)
    assert traces.flipped is not None and traces.gained is not None and traces.kl is not None
    true = 1.0 - float(traces.flipped.mean())
    decibel = -10.0 * np.log10(traces.noise.sum() / N)
    found = [measured(Strata(traces.signal, margins, 8, seed), traces)[0] for seed in range(60)]
    assert np.mean([f.agreement for f in found]) == pytest.approx(true, abs=0.01)
    assert np.mean([f.change for f in found]) == pytest.approx(traces.gained.mean(), abs=0.01)
    assert np.mean([f.kl for f in found]) == pytest.approx(traces.kl.mean(), abs=0.002)
    assert np.mean([f.sqnr_db for f in found]) == pytest.approx(decibel, abs=0.5)
    inside = [a[0] - 1e-9 <= true <= a[1] + 1e-9 for f in found if (a := f.band.agreement)]
    assert len(inside) == len(found)
    assert np.mean(inside) > 0.9
    assert np.mean([f.band.sqnr_db[0] <= decibel <= f.band.sqnr_db[1] for f in found]) > 0.85
    reached = [m[0] - 1e-9 <= traces.gained.mean() <= m[1] + 1e-9 for f in found if (m := f.band.metric)]
    assert np.mean(reached) > 0.9


def test_margins_find_flips_that_a_draw_of_as_many_would_miss() -> None:
    """A good format flips a few decisions of small margin: each is found, whatever the draw."""
    margins, traces = world(4, 0.02)
    assert traces.flipped is not None and traces.flipped.sum() > 3
    errors = []
    for seed in range(20):
        found, _, count = measured(Strata(traces.signal, margins, 8, seed), traces)
        draw = np.random.default_rng(seed).permutation(N)[:count]
        plain = abs(traces.flipped[draw].mean() - traces.flipped.mean())
        errors.append((abs((found.agreement or 0.0) - 1.0 + traces.flipped.mean()), plain))
    ours, plain = np.mean(errors, axis=0)
    assert ours < 0.1 * plain


def test_without_decisions_the_draw_says_it() -> None:
    _, traces = world(5, 0.1)
    bare = Traces(traces.signal, traces.noise, None, None, None)
    found, taken, _ = measured(Strata(traces.signal, None, 8), bare)
    assert taken in ([0], [0, 1])
    assert (found.agreement, found.change, found.band.agreement) == (None, None, None)
    low, high = found.band.sqnr_db
    assert low < found.sqnr_db < high
