"""Runs many jobs: in this process, or side by side in others, one thread each.

Two single-threaded trainings side by side beat one training on two threads at every mini size. Every job has one thread
even when it is alone, for the order of a sum, and so its last bits, depends on the number of threads.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import joblib
import torch

from paper_lib.threads import one_thread


@dataclass(frozen=True)
class Job:
    """A call of a module-level `function` with `arguments` and, last, the line of its progress bar.

    `cost` orders jobs: the longest begins first.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    cost: float = 1.0


def default_workers() -> int:
    """Returns the number of jobs to run at once: one per CPU core, or one where a GPU does the work."""
    return 1 if torch.cuda.is_available() else int(joblib.cpu_count())


def run_jobs(jobs: Sequence[Job], workers: int | None = None) -> list[Any]:
    """Returns the results of `jobs` in their order; an exception in one of them is raised here.

    With one worker or one job everything runs in this process.
    """
    if not jobs:
        return []
    workers = min(workers or default_workers(), len(jobs))
    order = sorted(range(len(jobs)), key=lambda index: -jobs[index].cost)
    if workers == 1:
        results = [_call(jobs[index], 0) for index in order]
    else:
        parallel = joblib.Parallel(n_jobs=workers, batch_size=1, pre_dispatch=workers)
        results = parallel(joblib.delayed(_call_in_worker)(jobs[index], workers) for index in order)
    return [result for _, result in sorted(zip(order, results, strict=True), key=lambda pair: pair[0])]


def _call(job: Job, position: int) -> Any:
    with one_thread():
        return job.function(*job.arguments, position)


def _call_in_worker(job: Job, workers: int) -> Any:
    # Worker processes are numbered, so each keeps its own line for progress bars.
    number = multiprocessing.current_process().name.rpartition("-")[2]
    return _call(job, int(number) % workers if number.isdigit() else 0)
