"""How far the model of latency is off: predicted and measured time of plans over that of FP32.

    python benchmarks/latency.py                                      the bundled sample digits-mobile
    python benchmarks/latency.py MODEL --data D --preprocess P --plans 12

The layers are timed at uint8 activations with int8 weights, alone and in company, which is what the model
learns from; then plans that mix these with float, drawn at random, and the preset int8 are timed as exported
files, in turns with FP32."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.opened import opened, parser_of
from quant_core.plan import Plan, Precision, preset_plan
from quant_core.study import Study, measure_costs, measure_latency, predicted_latency


def main() -> None:
    """Measure and print."""
    parser = parser_of("Error of the model of latency.", samples=64)
    parser.add_argument("--plans", type=int, default=8)
    o = parser.parse_args()
    with opened(o) as study:
        measure(study, o.plans)


def measure(study: Study, count: int) -> None:
    """Predict, then time, plan by plan."""
    whole = preset_plan(study.graph, "int8")
    measure_costs(study, whole)
    rng = np.random.default_rng(0)
    plans = [whole]
    for share in np.linspace(0.2, 0.8, count):
        drawn = {name: p if rng.random() < share else Precision() for name, p in whole.layers.items()}
        plans.append(Plan(f"{100 * share:.0f} % of layers int8", drawn, study.graph.file.sha256))
    errors, against = [], []
    print(f"model            {study.graph.file.name}")
    for plan in plans:
        predicted, timed = predicted_latency(study, plan), measure_latency(study, plan).ratio
        assert predicted is not None
        errors.append(abs(predicted / timed - 1.0))
        against.append(abs(1.0 / timed - 1.0))
        print(f"{plan.name:<24} predicted {predicted:.2f}, measured {timed:.2f} x of FP32")
    for name, found in (("error", errors), ("of 'as FP32'", against)):
        middle, worst = 100 * statistics.median(found), 100 * max(found)
        print(f"{name:<16} median {middle:.0f} %, worst {worst:.0f} %")


if __name__ == "__main__":
    main()
