"""What a change of one layer costs until its number is there, in passes of the plan in hand.

    python benchmarks/toggle.py                                             the bundled sample digits-mobile
    python benchmarks/toggle.py MODEL --data D --preprocess P --samples 250 any model

The plan is int8 weights; one layer after the other, each once in an order drawn at random, goes to int4 and
stays there, as a person would. Beside each, in turn, a pass of the plan's exported graph over the same
samples in one session, which is the unit; and what it costs without a chain: write the graph, make a session,
run everything."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.opened import opened, parser_of
from quant_core.engine import Chain, Memo, batch_size, evaluate, evaluate_outputs, make_session, process_memo
from quant_core.graph import inputs_of
from quant_core.lower import lower, to_bytes
from quant_core.plan import precision_for, preset_plan
from quant_core.study import Study
from quant_core.study.desk import scheme_for

TOGGLES = 60  # at most


def main() -> None:
    """Measure and print."""
    parser = parser_of("Cost of a change of one layer.", samples=250)
    parser.add_argument("--preset", default="int8-weights")
    parser.add_argument("--limit", type=int, help="bytes of the memo")
    o = parser.parse_args()
    with opened(o) as study:
        measure(study, o.preset, o.limit)


def measure(study: Study, preset: str, limit: int | None) -> None:
    """Toggle layers one after the other, with passes in between."""
    memo = process_memo() if limit is None else Memo(limit)
    chain, data, size = (
        Chain(study.cache, memo, study.lanes),
        study.data,
        batch_size(inputs_of(study.graph.file.model)),
    )
    batches = [feeds for feeds, _ in data.batches(size)]
    list(study.reference.outputs(data, "simulated", size))
    plan = preset_plan(study.graph, preset)
    find = study.files.ingredients(plan)[0]

    def through_chain() -> tuple[float, float, float]:
        first: list[float] = []
        start = time.perf_counter()
        outputs = chain.outputs(plan, data, size, find)
        quality = evaluate_outputs(
            outputs,
            data,
            study.reference,
            "simulated",
            size,
            early=lambda _: first.append(time.perf_counter()),
        )
        end = time.perf_counter()
        return end - start, (first[0] if first else end) - start, quality.sqnr_db

    through_chain()
    layers = [x for x in study.graph.quantizable if x.shape is not None]
    order = np.random.default_rng(0).permutation(len(layers))[:TOGGLES]
    toggles, firsts, plain, apart = [], [], [], 0.0
    for number, at in enumerate(order):
        model = to_bytes(lower(study.cache, plan, find))
        session = make_session(model, "simulated")
        start = time.perf_counter()
        for feeds in batches:
            session.run(None, feeds)
        unit = time.perf_counter() - start
        layer = layers[at]
        precision = precision_for(layer, scheme_for("weights", "int4"), plan[layer.name].activations)
        assert precision is not None
        plan = plan.edit({layer.name: precision})
        whole, first, sqnr = through_chain()
        toggles.append(whole / unit)
        firsts.append(first / unit)
        if number % 5 == 0:
            start = time.perf_counter()
            model = to_bytes(lower(study.cache, plan, find))
            wanted = evaluate(model, data, study.reference, "simulated", size)
            plain.append((time.perf_counter() - start) / unit)
            apart = max(apart, abs(wanted.sqnr_db - sqnr))
    print(
        f"model            {study.graph.file.name}, N = {len(data)} samples, {size} at a time, plan {preset}"
    )
    print(
        f"segments         {len(chain.segments(len(data)))}; {study.lanes}; "
        f"memo {memo.limit >> 20} MiB, {memo.held >> 20} MiB held"
    )
    print(f"one change       median {statistics.median(toggles):.2f}, worst {max(toggles):.2f} passes")
    print(f"first {min(size, len(data)):>3} samples {statistics.median(firsts):.2f} passes (median)")
    print(f"without a chain  median {statistics.median(plain):.2f} passes")
    print(f"furthest apart   {apart:.4f} dB")


if __name__ == "__main__":
    main()
