"""Many jobs: their order, their failures, and where they run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import joblib
import pytest
import torch

from paper_lib.jobs import Job, default_workers, run_chosen


def run_jobs(jobs: Sequence[Job], workers: int | None = None) -> list[Any]:
    """Runs all of `jobs`, the first first, and returns their results in the order of the jobs."""
    waiting = iter(jobs)
    results = {id(job): result for job, result in run_chosen(lambda _: next(waiting, None), workers)}
    return [results[id(job)] for job in jobs]


def echo(value: int, position: int) -> tuple[int, int, int, int]:
    """Returns what a job sees: its argument, its line, its process and its threads."""
    return value, position, os.getpid(), torch.get_num_threads()


def meet(name: str, other: str, directory: Path, position: int) -> bool:
    """Returns whether the job `other` is under way while this one is."""
    (directory / name).touch()
    deadline = time.monotonic() + 60
    while not (directory / other).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return (directory / other).exists()


def fail(message: str, position: int) -> None:
    raise KeyError(message)


@pytest.fixture(scope="module")
def seen_by_workers() -> list[tuple[int, int, int, int]]:
    return run_jobs([Job(echo, (value,)) for value in range(8)], workers=2)


def test_a_result_comes_with_its_job(seen_by_workers: list[tuple[int, int, int, int]]) -> None:
    assert [value for value, *_ in seen_by_workers] == list(range(8))


def test_several_workers_are_other_processes_with_one_thread_each(
    seen_by_workers: list[tuple[int, int, int, int]],
) -> None:
    assert os.getpid() not in {process for _, _, process, _ in seen_by_workers}
    assert {threads for *_, threads in seen_by_workers} == {1}


def test_a_worker_keeps_its_line(seen_by_workers: list[tuple[int, int, int, int]]) -> None:
    lines = {(process, line) for _, line, process, _ in seen_by_workers}
    assert len(lines) == len({process for process, _ in lines})
    assert {line for _, line in lines} <= {0, 1}


def test_several_workers_work_side_by_side(tmp_path: Path) -> None:
    jobs = [Job(meet, ("one", "two", tmp_path)), Job(meet, ("two", "one", tmp_path))]
    assert run_jobs(jobs, workers=2) == [True, True]


def test_one_worker_stays_in_this_process_with_one_thread() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        seen = run_jobs([Job(echo, (value,)) for value in range(3)], workers=1)
        assert seen == [(value, 0, os.getpid(), 1) for value in range(3)]
        # The caller gets its threads back, after a failure too.
        assert torch.get_num_threads() == 3
        with pytest.raises(KeyError):
            run_jobs([Job(fail, ("no",))], workers=1)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_is_chosen_whenever_a_worker_is_free(workers: int) -> None:
    jobs = [Job(echo, (value,)) for value in range(5)]
    under_way: list[int] = []

    def choose(running: Sequence[Job]) -> Job | None:
        # The third waits until nothing else is under way, and those behind it wait, too.
        if len(under_way) == 5 or (len(under_way) == 2 and running):
            return None
        assert all(job in jobs[: len(under_way)] for job in running)
        under_way.append(len(running))
        return jobs[len(under_way) - 1]

    done = [job for job, result in run_chosen(choose, workers) if result[0] == job.arguments[0]]
    assert sorted(job.arguments[0] for job in done) == list(range(5))
    # Where two jobs end at one time, the last begins alone.
    assert under_way[:4] == ([0] * 4 if workers == 1 else [0, 1, 0, 1])
    assert {job.arguments[0] for job in done[:2]} == {0, 1}


def sleep(directory: Path, position: int) -> None:
    (directory / str(os.getpid())).touch()
    time.sleep(600)


def fail_beside_another(directory: Path, position: int) -> None:
    wait_until(lambda: any(directory.iterdir()))
    raise KeyError("no")


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 300
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "failed"])
def test_workers_end_when_what_they_work_for_has_ended(killed: bool, tmp_path: Path) -> None:
    jobs = [Job(sleep, (tmp_path,))] * 2 if killed else [Job(sleep, (tmp_path,)), Job(fail_beside_another, (tmp_path,))]
    process = multiprocessing.get_context("spawn").Process(target=run_jobs, args=(jobs, 2))
    process.start()
    assert wait_until(lambda: len(list(tmp_path.iterdir())) == (2 if killed else 1))
    if killed:
        process.kill()
    process.join()
    assert process.exitcode == (-signal.SIGKILL if killed else 1)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    assert wait_until(lambda: not any(map(is_running, workers)))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_of_a_job_is_raised_here(workers: int) -> None:
    jobs: list[Job] = [Job(echo, (1,)), Job(fail, ("what went wrong",)), Job(echo, (2,))]
    with pytest.raises(KeyError, match="what went wrong"):
        run_jobs(jobs, workers)


def test_no_jobs_have_no_results() -> None:
    assert run_jobs([]) == []
    assert run_jobs([], workers=2) == []


def test_by_default_there_is_a_worker_per_core_or_one_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert default_workers() == joblib.cpu_count() >= 1
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert default_workers() == 1
