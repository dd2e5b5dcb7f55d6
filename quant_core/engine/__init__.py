"""The engine: run graphs with ONNX Runtime, calibrate, evaluate, sweep, compare."""

from quant_core.engine.adaptive import adaptive_sweep, can_adapt
from quant_core.engine.batch_stats import batch_norm_distance
from quant_core.engine.calibrate import calibrate, with_outputs
from quant_core.engine.certify import KEPT_FLIPS, RUNS, Apart, Certified, Flip, certify
from quant_core.engine.chain import Chain
from quant_core.engine.compare import (
    TIMED_WITHIN,
    Comparison,
    compare,
    latency_ratio,
    latency_ratios,
    latency_times,
)
from quant_core.engine.evaluate import Progress, Reference, evaluate, evaluate_outputs
from quant_core.engine.inside import LayerError, layer_errors
from quant_core.engine.integer_form import Form, Operands, integer_form, integer_model
from quant_core.engine.integers import UINT8, IntegerCounts, Traced, trace_integers
from quant_core.engine.lanes import ONE_LANE, Lanes, measure_lanes
from quant_core.engine.memo import Memo, process_memo
from quant_core.engine.memory import Memory, machine, peak_memory, runtime, threads
from quant_core.engine.profile import Times, layer_times
from quant_core.engine.run import (
    BATCH,
    Pulse,
    batch_size,
    cut_off,
    fill_up,
    fixed_batch,
    run,
    run_all,
    run_whole,
)
from quant_core.engine.session import ENGINE, EXECUTIONS, make_session
from quant_core.engine.settle import Settled, settle
from quant_core.engine.strata import STRATA, Band, Strata
from quant_core.engine.sweep import Cell, CellKey, Failed, Sweeper, cell_plan, sweep_limit

__all__ = [
    "BATCH",
    "ENGINE",
    "EXECUTIONS",
    "KEPT_FLIPS",
    "ONE_LANE",
    "RUNS",
    "STRATA",
    "TIMED_WITHIN",
    "UINT8",
    "Apart",
    "Band",
    "Cell",
    "CellKey",
    "Certified",
    "Chain",
    "Comparison",
    "Failed",
    "Flip",
    "Form",
    "IntegerCounts",
    "Lanes",
    "LayerError",
    "Memo",
    "Memory",
    "Operands",
    "Progress",
    "Pulse",
    "Reference",
    "Settled",
    "Strata",
    "Sweeper",
    "Times",
    "Traced",
    "adaptive_sweep",
    "batch_norm_distance",
    "batch_size",
    "calibrate",
    "can_adapt",
    "cell_plan",
    "certify",
    "compare",
    "cut_off",
    "evaluate",
    "evaluate_outputs",
    "fill_up",
    "fixed_batch",
    "integer_form",
    "integer_model",
    "latency_ratio",
    "latency_ratios",
    "latency_times",
    "layer_errors",
    "layer_times",
    "machine",
    "make_session",
    "measure_lanes",
    "peak_memory",
    "process_memo",
    "run",
    "run_all",
    "run_whole",
    "runtime",
    "settle",
    "sweep_limit",
    "threads",
    "trace_integers",
    "with_outputs",
]
