"""Runs many jobs: in this process, or side by side in others, one thread each.

Two single-threaded trainings side by side beat one training on two threads at every mini size. Every job has one thread
even when it is alone, for the order of a sum, and so its last bits, depends on the number of threads.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any

import joblib
import torch

from paper_lib.threads import one_thread
from paper_lib.workers import Workers


@dataclass(frozen=True)
class Job:
    """A call of a module-level `function` with `arguments` and, last, the line of its progress bar."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def default_workers() -> int:
    """Returns the number of jobs to run at once: one per CPU core, or one where a GPU does the work."""
    return 1 if torch.cuda.is_available() else int(joblib.cpu_count())


def run_chosen(choose: Callable[[Sequence[Job]], Job | None], workers: int | None = None) -> Iterator[tuple[Job, Any]]:
    """Yields jobs with their results as they end; `choose` names the next one to begin whenever a worker is free.

    It is told the jobs under way. Where it names none it is asked again when one of these has ended, and with none
    under way all is done. An exception in a job is raised here, and the others under way are given up.
    """
    workers = workers or default_workers()
    if workers == 1:
        while (job := choose(())) is not None:
            yield job, _call(job, 0)
        return
    running: dict[Future[Any], Job] = {}
    with Workers(workers, {"OMP_NUM_THREADS": "1"}) as processes:
        while True:
            while len(running) < workers and (job := choose(list(running.values()))) is not None:
                running[processes.submit(_call_in_worker, job, workers)] = job
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()


def _call(job: Job, position: int) -> Any:
    with one_thread():
        return job.function(*job.arguments, position)


def _call_in_worker(job: Job, workers: int) -> Any:
    # Worker processes are numbered, so each keeps its own line for progress bars.
    number = multiprocessing.current_process().name.rpartition("-")[2]
    return _call(job, int(number) % workers if number.isdigit() else 0)
