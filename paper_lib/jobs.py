"""Runs many jobs: in this process, side by side in others, or on a Ray cluster; one thread each.

Two single-threaded trainings side by side beat one training on two threads at every mini size. Every job has one thread
even when it is alone, for the order of a sum, and so its last bits, depends on the number of threads.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import joblib
import torch

from paper_lib.cluster import Cluster
from paper_lib.ending import end_with
from paper_lib.threads import one_thread
from paper_lib.workers import Workers


@dataclass(frozen=True)
class Job:
    """A call of a module-level `function` with `arguments` and, last, the line of its progress bar."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


EngineName = Literal["local", "ray"]


@dataclass(frozen=True)
class Engine:
    """Where jobs run: on this machine, or as tasks of a Ray cluster (`paper_lib.cluster`).

    `address` is that of a cluster that runs; none: one of this machine alone, begun now.
    """

    name: EngineName = "local"
    address: str | None = None

    @property
    def is_here(self) -> bool:
        """Whether jobs run on this machine, which stores what they make itself."""
        return self.name == "local"


LOCAL = Engine()


def default_workers() -> int:
    """Returns the number of jobs to run at once: one per CPU core, or one where a GPU does the work."""
    return 1 if torch.cuda.is_available() else int(joblib.cpu_count())


def run_chosen(
    choose: Callable[[Sequence[Job]], Job | None], workers: int | None = None, engine: Engine = LOCAL
) -> Iterator[tuple[Job, Any]]:
    """Yields jobs with their results as they end; `choose` names the next one to begin whenever a worker is free.

    It is told the jobs under way. Where it names none it is asked again when one of these has ended, and with none
    under way all is done. An exception in a job is raised here, and the others under way are given up. On a cluster
    there are by default as many workers as it has cores, or GPUs; a job that is lost with a node is begun anew. Raises
    ClusterError.
    """
    if not engine.is_here:
        cluster = Cluster(engine.address)
        try:
            yield from _run_with(cluster, choose, workers or cluster.slots)
        finally:
            cluster.shutdown(kill_workers=True)
        return
    workers = workers or default_workers()
    if workers == 1:
        while (job := choose(())) is not None:
            yield job, _call(job, 0)
        return
    with Workers(workers, {"OMP_NUM_THREADS": "1"}) as processes:
        yield from _run_with(processes, choose, workers)


def run_in_order(
    function: Callable[..., Any], shared: Any, each: Iterable[tuple[Any, ...]], workers: int, engine: Engine = LOCAL
) -> Iterator[Any]:
    """Yields a module-level function of `shared` and the arguments of `each`, in their order, `workers` at a time.

    They are taken from `each` as they are begun. A node of a cluster receives `shared` once. Raises ClusterError.
    """
    if engine.is_here:
        parallel = joblib.Parallel(
            n_jobs=workers,
            return_as="generator",
            batch_size=1,
            pre_dispatch=workers,
            initializer=end_with,
            initargs=(os.getpid(),),
        )
        yield from parallel(joblib.delayed(function)(shared, *arguments) for arguments in each)
        return
    cluster = Cluster(engine.address)
    sent, waiting, running = cluster.share(shared), iter(each), deque[Future[Any]]()
    try:
        for arguments in islice(waiting, workers):
            running.append(cluster.submit(function, sent, *arguments))
        while running:
            result = running.popleft().result()
            running.extend(cluster.submit(function, sent, *arguments) for arguments in islice(waiting, 1))
            yield result
    finally:
        cluster.shutdown(kill_workers=bool(running))


def _run_with(
    executor: Workers | Cluster, choose: Callable[[Sequence[Job]], Job | None], workers: int
) -> Iterator[tuple[Job, Any]]:
    running: dict[Future[Any], Job] = {}
    while True:
        while len(running) < workers and (job := choose(list(running.values()))) is not None:
            running[executor.submit(_call_in_worker, job, workers)] = job
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
