"""The times that the README quotes, measured again: `python benchmarks/measure.py corpus|sweep|distances|book`.

Each prints ratios taken within one run, for machines differ and are shared. None of this is a test.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import click


def seconds(call: Callable[[], object]) -> float:
    """Returns the seconds that `call` takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


@click.group()
def main() -> None:
    """Measure the speed of one part."""


@main.command()
@click.option("--utterances", default=500, show_default=True)
def corpus(utterances: int) -> None:
    """Speech with features, made on one core: how many times faster than it is spoken."""
    from paper_lib.corpus.synthetic import make_shard
    from paper_lib.profiles import profile_of
    from paper_lib.settings import SyntheticSettings

    for name in ("quick", "laptop", "gpu"):
        settings = profile_of(name).corpus
        assert isinstance(settings, SyntheticSettings)
        settings = settings.model_copy(update={"shard_utterances": utterances})
        spoken = 0.0

        def make(settings: SyntheticSettings = settings) -> None:
            nonlocal spoken
            spoken = len(make_shard(settings, "train", 0).matrix) / 100

        took = seconds(make)
        click.echo(f"{name}: {spoken:.0f} s of speech in {took:.1f} s on one core: {spoken / took:.0f} x real time")


@main.command()
@click.option("--size", type=click.Choice(["S", "M", "L"]), default="L", show_default=True)
@click.option("--repeats", default=3, show_default=True)
def sweep(size: str, repeats: int) -> None:
    """A reset sweep against as many evaluations of the whole model, one thread, model and speech of profile quick."""
    import torch

    from paper_lib.conformer.decoding import transcribe
    from paper_lib.corpus import open_corpus
    from paper_lib.corpus.batches import evaluation_batches
    from paper_lib.layers.reset_sweep import replacements, reset_sweep
    from paper_lib.profiles import profile_of
    from paper_lib.studies.computing import trained_model

    torch.set_num_threads(1)
    profile, cpu = profile_of("quick"), torch.device("cpu")
    run = profile.run(size, 0)  # type: ignore[arg-type]
    fitted, batches = (
        trained_model(run),
        evaluation_batches(open_corpus(run.corpus), "test", profile.reset.batch_frames),
    )
    evaluations = len(replacements(fitted.model, fitted.initial, profile.reset))
    ratios = []
    for _ in range(repeats):
        one = seconds(lambda: transcribe(fitted.model, batches, fitted.tokenizer, cpu))
        all_ = seconds(lambda: reset_sweep(fitted.model, fitted.initial, batches, fitted.tokenizer, profile.reset, cpu))
        ratios.append(all_ / (evaluations * one))
        click.echo(f"one evaluation {one:.2f} s, sweep of {evaluations} resets {all_:.2f} s: {ratios[-1]:.2f} x")
    click.echo(f"{size}: a sweep takes {statistics.median(ratios):.2f} x the time of {evaluations} full evaluations")


@main.command()
@click.option("--size", type=click.Choice(["S", "M", "L"]), default="S", show_default=True)
@click.option("--steps", default=60, show_default=True)
@click.option("--repeats", default=3, show_default=True)
def distances(size: str, steps: int, repeats: int) -> None:
    """What recording the weights' distances costs a training of profile quick, one thread."""
    import torch

    from paper_lib.corpus import open_corpus
    from paper_lib.profiles import profile_of
    from paper_lib.training import fit

    torch.set_num_threads(1)
    run = profile_of("quick").run(size, 0)  # type: ignore[arg-type]
    every = run.training.distance_every
    corpus = open_corpus(run.corpus)
    corpus.prepare(("train", "dev"))

    def train(distance_every: int) -> float:
        changes = {"steps": steps, "distance_every": distance_every, "checkpoint_every": steps}
        short = run.model_copy(update={"training": run.training.model_copy(update=changes)})
        with TemporaryDirectory() as directory:
            return seconds(lambda: fit(short, corpus, Path(directory), torch.device("cpu")))

    # Recorded at every step, it can be told from the noise.
    pairs = [(train(steps), train(1)) for _ in range(repeats)]
    shares = [(with_ - without) / without / every for without, with_ in pairs]
    click.echo(f"{size}: recording every {every} steps takes {100 * statistics.median(shares):.2f} % of the training")


@main.command()
@click.option("--profile", default="quick", show_default=True)
def book(profile: str) -> None:
    """The whole book from an empty cache, then again from the store; peak memory of any one process."""
    with TemporaryDirectory() as cache:
        environment = os.environ | {"PAPER_LIB_CACHE": cache}
        command = [sys.executable, "-m", "paper_lib", "book", "--profile", profile]
        for label in ("from nothing", "again"):
            took = seconds(lambda: subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL))
            click.echo(f"{label}: {took:.0f} s")
        # Linux counts in KiB, macOS in bytes.
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        size = sum(path.stat().st_size for path in Path(cache).rglob("*") if path.is_file())
        click.echo(f"largest process {peak / 2**30:.1f} GiB, cache {size / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
