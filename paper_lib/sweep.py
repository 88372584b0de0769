"""Runs many jobs: in this process, or side by side in others, one thread each.

Two single-threaded trainings side by side beat one training on two threads at every mini size.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import joblib
import torch


@dataclass(frozen=True)
class Job:
    """A call of a module-level `function` with `arguments`; `cost` orders jobs, the longest first."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    cost: float = 1.0


def default_workers() -> int:
    """Returns the number of jobs to run at once: one per CPU core, or one where a GPU does the work."""
    return 1 if torch.cuda.is_available() else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(jobs: Sequence[Job], workers: int | None = None) -> list[Any]:
    """Returns the results of `jobs` in their order; an exception in one of them is raised here.

    With one worker or one job everything runs in this process.
    """
    workers = min(workers or default_workers(), len(jobs))
    order = sorted(range(len(jobs)), key=lambda index: -jobs[index].cost)
    calls = [joblib.delayed(_call)(jobs[index], place) for place, index in enumerate(order)]
    parallel = joblib.Parallel(n_jobs=workers, batch_size=1, pre_dispatch=workers)
    results = dict(zip(order, parallel(calls), strict=True)) if workers > 1 else {i: _call(jobs[i]) for i in order}
    return [results[index] for index in range(len(jobs))]
