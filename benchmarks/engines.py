"""Trainings on a Ray cluster against the same on the pool of this machine, and on one node against two.

    python -m benchmarks.engines compare    # on two free cores; writes book/records/engines.json

`make bench-engines` installs Ray and runs it.

Every contestant runs the same trainings by `paper_lib.jobs.run_chosen`, in a process of its own, by turns. Its workers
are there before the clock starts: they have trained for a step. That all end with the same weights is checked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch

from benchmarks.timing import OURS, Row, Timed, UnequalError, machine
from paper_lib.corpus import open_corpus
from paper_lib.jobs import LOCAL, Engine, Job, run_chosen
from paper_lib.paths import published_records
from paper_lib.profiles import profile_of
from paper_lib.settings import TrainingRun
from paper_lib.training import fit

TRAININGS, STEPS, TURNS = 4, 150, 3
CPU = torch.device("cpu")
# The nodes, of one core each, of a cluster that is made for it; 0: Ray on this machine as `--engine ray` starts it.
NODES: dict[str, int | None] = {
    OURS: None,
    "ray, this machine": 0,
    "ray, one node of one core": 1,
    "ray, two nodes of one core": 2,
}


@click.group()
def main() -> None:
    """Compare engines."""


@main.command()
def compare() -> None:
    """Measure all by turns, and write the record of the page "Scale it"."""
    _prepare()
    taken: dict[str, list[float]] = {name: [] for name in NODES}
    digests = set()
    for _ in range(TURNS):
        for name in NODES:
            command = [sys.executable, "-m", "benchmarks.engines", "once", name]
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            taken[name].append(told["seconds"])
            digests.add(tuple(told["digests"]))
            click.echo(f"{name}: {told['seconds']:.1f} s", err=True)
    if len(digests) > 1:
        raise UnequalError(f"engines ended with other weights: {sorted(digests)}")
    what = f"{TRAININGS} trainings of S of profile quick, {STEPS} steps each"
    row = Row("engines", what, 1, [Timed(*one) for one in taken.items()], "the trained weights, to the bit")
    click.echo(row.text())
    path = published_records(".") / "engines.json"
    content = {**machine(), "rows": [row.record()]}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    click.echo(path)


@main.command()
@click.argument("name", type=click.Choice(list(NODES)))
def once(name: str) -> None:
    """Run the trainings as NAME does, and print the seconds they took, with the digests of what was trained."""
    nodes = NODES[name]
    workers = nodes or 2
    began = 0.0
    with TemporaryDirectory() as directory, _engine(nodes) as engine:
        # The first step of each worker is not counted: it imports what the others need.
        warm = _trainings(Path(directory, "warm"), workers, steps=1)
        waiting = [*warm, *_trainings(Path(directory), TRAININGS, STEPS)]

        def choose(under_way: Sequence[Job]) -> Job | None:
            nonlocal began
            if len(waiting) <= TRAININGS:
                if any(job in warm for job in under_way):
                    return None
                began = began or time.perf_counter()
            return waiting.pop(0) if waiting else None

        digests = [digest for job, digest in run_chosen(choose, workers, engine) if job not in warm]
        seconds = time.perf_counter() - began
    click.echo(json.dumps({"seconds": round(seconds, 2), "digests": sorted(digests)}))


def _trainings(directory: Path, count: int, steps: int) -> list[Job]:
    profile = profile_of("quick")
    jobs = []
    for seed in range(count):
        run = profile.run("S", seed)
        # With neither a checkpoint nor a measurement of the dev WER before the end.
        training = run.training.model_copy(update={"steps": steps, "checkpoint_every": steps, "snapshots": None})
        jobs.append(Job(_train, (run.model_copy(update={"training": training}), directory / str(seed))))
    return jobs


def _train(run: TrainingRun, directory: Path, position: int) -> str:
    return fit(run, open_corpus(run.corpus), directory, CPU, position).digest


def _prepare() -> None:
    """Makes the speech before anything is measured."""
    open_corpus(profile_of("quick").corpus).prepare(("train", "dev"))


@contextmanager
def _engine(nodes: int | None) -> Iterator[Engine]:
    if not nodes:
        yield LOCAL if nodes is None else Engine("ray")
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    memory = {"object_store_memory": 100 * 2**20}
    cluster = Cluster()
    cluster.add_node(num_cpus=0, include_dashboard=False, **memory)
    for _ in range(nodes):
        cluster.add_node(num_cpus=1, **memory)
    try:
        yield Engine("ray", cluster.address)
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main()
