"""What an adaptive sweep costs, and how well it ranks the cells within each format.

    python benchmarks/adaptive.py                                        the bundled sample digits-mobile
    python benchmarks/adaptive.py MODEL --data D --preprocess P          any model

The exact sweep on all samples runs after it and is the truth. FP32 passes over the same
samples run before, between and after; calibration is done before and counts for neither."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd

from benchmarks.opened import float_pass_of, opened, parser_of, seconds
from quant_core.study import Cell, Study, sensitivity_table

MEASURES = ("sqnr_db", "agreement")
WORST = 10


def main() -> None:
    """Measure and print."""
    parser = parser_of("Cost and ranks of an adaptive sweep.")
    parser.add_argument("--formats", default="int8,int4,int2")
    parser.add_argument("--quantized", default="weights,activations")
    o = parser.parse_args()
    with opened(o) as study:
        measure(study, o.formats.split(","), tuple(o.quantized.split(",")))


def measure(study: Study, formats: list[str], parts: tuple[str, ...]) -> None:
    """Both sweeps, with FP32 passes around them."""
    float_pass = float_pass_of(study)
    keys = study.cells(formats, parts)
    if study.calibration is not None:
        study.calibrate()
    passes = [seconds(float_pass) for _ in range(3)]
    start, looked = time.perf_counter(), 0.0
    few: dict[object, Cell] = {}
    for cell in study.sweep_adaptively(keys):
        few[cell.key] = cell
        if cell.is_first_look:
            looked = time.perf_counter() - start
    adapted = time.perf_counter() - start
    passes += [seconds(float_pass) for _ in range(3)]
    start = time.perf_counter()
    whole = {cell.key: cell for cell in study.sweep(keys)}
    swept = time.perf_counter() - start
    passes += [seconds(float_pass) for _ in range(3)]
    one = statistics.median(passes)
    table = sensitivity_table({key: few[key] for key in keys})
    truth = sensitivity_table({key: whole[key] for key in keys})
    samples = table["samples"].mean()
    print(f"model            {study.graph.file.name}, N = {len(study.data)} samples, {len(keys)} cells")
    print(f"one FP32 pass    {one:.3f} s (median of {len(passes)})")
    print(
        f"first look       {looked:.1f} s = {looked / one / len(keys):.3f} x L x B passes, 8 samples of each"
    )
    print(f"adaptive         {adapted:.1f} s = {adapted / one / len(keys):.3f}, {samples:.0f} samples a cell")
    print(f"exact            {swept:.1f} s = {swept / one / len(keys):.3f}")
    print("within each format: rank correlation (Spearman), worst found, share of cells within the band")
    for (part, name), rows in truth.groupby(["quantized", "format"], sort=False):
        said = [_judged(table.loc[rows.index], rows, measure) for measure in MEASURES]
        print(f"  {part:<12} {name:<10} {'; '.join(said)}")


def _judged(few: pd.DataFrame, whole: pd.DataFrame, measure: str) -> str:
    """How well `few` ranks the cells of one format."""
    if whole[measure].isna().any():
        return f"{measure} –"
    count = min(WORST, len(whole))
    rank = few[measure].rank().corr(whole[measure].rank())
    threshold = whole[measure].nsmallest(count).max()
    chosen = few[measure].nsmallest(count).index
    found = int((whole.loc[chosen, measure] <= threshold).sum())
    inside = (few[f"{measure}_low"] <= whole[measure] + 1e-6) & (
        whole[measure] <= few[f"{measure}_high"] + 1e-6
    )
    return f"{measure} {rank:.3f}, {found} of {count}, {100 * inside.mean():.0f} %"


if __name__ == "__main__":
    main()
