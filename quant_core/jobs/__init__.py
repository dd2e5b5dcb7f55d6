"""Jobs: long work outside of the app, on dask.distributed workers: ask, follow, cancel."""

from quant_core.jobs.board import CANCELLED, DONE, FAILED, RUNNING, WAITING, Board, Job
from quant_core.jobs.cluster import Files, cluster_address, spread, workers_of
from quant_core.jobs.guarded import SECONDS, run_guarded
from quant_core.jobs.line import Line
from quant_core.jobs.link import Link
from quant_core.jobs.worker import Stopped, Task, Tick

__all__ = [
    "CANCELLED",
    "DONE",
    "FAILED",
    "RUNNING",
    "SECONDS",
    "WAITING",
    "Board",
    "Files",
    "Job",
    "Line",
    "Link",
    "Stopped",
    "Task",
    "Tick",
    "cluster_address",
    "run_guarded",
    "spread",
    "workers_of",
]
