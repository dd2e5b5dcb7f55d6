"""What every format, granularity and range method makes of a model's weights: SQNR, agreement and bytes.

    python benchmarks/formats.py --model M --data D [--calibration C] [--preprocess P] [--samples 64] [--out
    F.csv] python benchmarks/formats.py ... --formats int4,nf4

All layers have the same scheme, activations stay in float. Every third combination is exported, read back
from its file and run with default options: its size must be the one in the table. Prints a row for each
combination as soon as it is measured; what was measured before comes from the store."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd

from quant_core.engine import batch_size, evaluate
from quant_core.formats import CODEBOOKS, FORMATS, Scheme, layout_of, stored_bits
from quant_core.graph import inputs_of
from quant_core.plan import precision_for, uniform_plan
from quant_core.study import Source, Study

RANGES = ("minmax", "percentile:99.9", "mse", "octav", "entropy")
EXPORTED = 3  # every third
MOST_BITS = 17  # tables that take more than fp16 does are no choice; int16 with its scales takes 16 to 17


def schemes(names: list[str]) -> Iterator[Scheme]:
    """Every combination that applies, each once."""
    found: dict[Scheme, None] = {}
    for name in names:
        number = FORMATS[name]
        shared = (
            ("tensor", "channel", "channels:16")
            if number.kind == "codebook"
            else ("tensor", "channel", "group:32")
        )
        methods = CODEBOOKS if number.kind == "codebook" else RANGES if number.has_range else ("minmax",)
        for granularity in shared if number.has_granularity else ("tensor",):
            for method in methods:
                for symmetric in (True, False) if number.has_zero_point else (True,):
                    found[Scheme(name, granularity, symmetric, method)] = None
    yield from found


def bits_per_weight(study: Study, scheme: Scheme) -> float:
    """What all layers of the model take with `scheme`, scales and tables included."""
    layers = [x for x in study.graph.quantizable if x.shape is not None]
    bits = sum(stored_bits(layout_of(x.shape, x.axis, scheme), scheme) for x in layers)
    return bits / sum(x.parameters for x in layers)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for flag in ("--model", "--data", "--calibration", "--preprocess", "--out"):
        parser.add_argument(flag, required=flag in ("--model", "--data"))
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--formats", default=",".join(n for n in FORMATS if n != "fp32"))
    asked = parser.parse_args()
    study = Source(asked.model, asked.data, asked.calibration, asked.preprocess, asked.samples).open()
    rows = []
    every = list(schemes(asked.formats.split(",")))
    chosen = [scheme for scheme in every if bits_per_weight(study, scheme) <= MOST_BITS]
    print(f"{len(every) - len(chosen)} of {len(every)} take more than {MOST_BITS} bits a weight: left out")
    for number, scheme in enumerate(chosen):
        began = time.monotonic()
        plan = uniform_plan(study.graph, str(scheme), lambda layer, s=scheme: precision_for(layer, s, None))
        found = study.evaluate(plan)
        row = {**scheme.to_json(), "bytes": found.bytes, "share": found.bytes / study.graph.file.bytes}
        row |= {
            "metric": found.metric,
            "agreement": found.agreement,
            "sqnr_db": found.sqnr_db,
            "shipped_db": None,
        }
        if number % EXPORTED == 0:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.onnx"
                written = study.export(plan, path)
                assert written["bytes"] == path.stat().st_size == found.bytes, scheme
                size = batch_size(inputs_of(study.graph.file.model))
                again = evaluate(path, study.data, study.reference, "shipped", size)
                row["shipped_db"] = again.sqnr_db
        rows.append(row)
        shipped = "" if row["shipped_db"] is None else f", from its file {row['shipped_db']:.1f} dB"
        agreement = "" if found.agreement is None else f", agreement {found.agreement:.3f}"
        print(
            f"{scheme!s:58} {found.bytes:>11,} B {100 * row['share']:6.2f} %  {found.sqnr_db:6.1f} dB"
            f"{agreement}{shipped}  ({time.monotonic() - began:.1f} s)",
            flush=True,
        )
    if asked.out:
        pd.DataFrame(rows).to_csv(asked.out, index=False)
    print(
        f"{len(rows)} combinations, {sum(r['shipped_db'] is not None for r in rows)} exported and read back"
    )


if __name__ == "__main__":
    main()
