"""How time and memory grow with the size of the work: every point in a process of its own, exponents fitted.

Time is that of the work alone. Memory is what the process holds at its peak beyond what it held before the work, with
torch loaded; files that it maps count too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.timing import clock, in_process, peak_memory, resident_memory
from paper_lib.corpus import Corpus
from paper_lib.corpus.batches import collate, training_batches
from paper_lib.corpus.cache import Shard, Utterance, open_or_make
from paper_lib.corpus.tokens import CharacterTokenizer
from paper_lib.settings import EncoderSettings, SyntheticSettings

FRAMES = 40  # of a made-up utterance, on average; spoken ones are five times as long


def encoder_step(dim: int, layers: int, time_: int) -> Callable[[], object]:
    """Returns forward and backward of a stack on 4 utterances of `time_` frames."""
    from benchmarks.encoders import Case, stacks

    heads = max(1, dim // 24)
    settings = EncoderSettings(dim=dim, layers=layers, heads=heads, kernel=15, channels=4, groups=4, dropout=0.0)
    return stacks(Case("", settings, 4, time_, 0.0), peers=False)["ours"]


def corpus_epoch(utterances: int) -> Callable[[], object]:
    """Returns an epoch over a corpus in the cache: shards checked and opened, batches cut, read and padded."""
    count = {"train": utterances, "dev": 1, "test": 1}
    settings = SyntheticSettings(domains={"short_form": 1.0}, utterances=count, speakers=dict.fromkeys(count, 1))

    def epoch() -> None:
        with TemporaryDirectory() as directory:
            corpus = Corpus(settings, Path(directory))
            for k in range(corpus.shards("train")):
                open_or_make(corpus.place("train", k), lambda: made_up(settings.shard_utterances))
            began = time.perf_counter()
            heard, tokenizer = 0, CharacterTokenizer()
            for items in training_batches(corpus, 12_000, 0):
                heard += len(collate(items, tokenizer).frames)
                if heard == utterances:
                    break
            epoch.seconds = time.perf_counter() - began  # type: ignore[attr-defined]  # writing is not reading

    return epoch


def made_up(utterances: int) -> Shard:
    """Returns a shard in the project's own format that nobody has spoken: lengths differ by half."""
    frames = np.linspace(0.5 * FRAMES, 1.5 * FRAMES, utterances).astype(int).tolist()
    said = [Utterance(f"u{k}", "call the office", "s", "short_form", "clean", n) for k, n in enumerate(frames)]
    return Shard(said, np.ones((sum(frames), 80), np.float16))


def federated_rounds(clients: int) -> Callable[[], object]:
    """Returns three rounds of 16 clients, sampled of `clients`."""
    from benchmarks import rounds
    from paper_lib.federated.clients import Client, sample

    speakers = rounds.everyone()
    # As many speakers as asked for: those of the corpus under many names.
    everyone = [Client(f"client {k}", speakers[k % len(speakers)].items) for k in range(clients)]
    run = rounds.OurRounds(1)

    def three() -> None:
        for round_ in range(3):
            chosen = sample(rounds.SETTINGS, clients, round_)
            run.state, _ = run.algorithm.apply(run.state, [everyone[k] for k in chosen])

    return three


def trainings(seeds: int) -> Callable[[], object]:
    """Returns so many trainings of the smallest model, one after another, each from its own seed."""
    from paper_lib.corpus import open_corpus
    from paper_lib.profiles import profile_of
    from paper_lib.training import fit

    runs = [profile_of("smoke").run("S", seed) for seed in range(seeds)]
    corpus = open_corpus(runs[0].corpus)
    corpus.prepare(("train", "dev"), 1)

    def train() -> None:
        for run in runs:
            changes = {"steps": 20, "checkpoint_every": 20, "distance_every": 10}
            run = run.model_copy(update={"training": run.training.model_copy(update=changes)})
            with TemporaryDirectory() as directory:
                fit(run, corpus, Path(directory), torch.device("cpu"))

    return train


def _layers(layers: int) -> Callable[[], object]:
    return encoder_step(96, layers, 50)


def _width(dim: int) -> Callable[[], object]:
    return encoder_step(dim, 4, 50)


def _frames(time_: int) -> Callable[[], object]:
    return encoder_step(96, 4, time_)


# By name: what is made, its sizes, and how often a point is measured.
AXES: dict[str, tuple[Callable[[int], Callable[[], object]], tuple[int, ...], int]] = {
    "utterances in the cache, an epoch of batches": (corpus_epoch, (1000, 5000, 20_000, 100_000), 1),
    "layers, forward and backward": (_layers, (4, 8, 16, 32), 5),
    "width, forward and backward": (_width, (96, 192, 384, 768), 5),
    "frames of 40 ms, forward and backward": (_frames, (50, 100, 200, 400, 800, 1600), 3),
    "clients, three rounds of 16 of them": (federated_rounds, (100, 1000, 10_000, 100_000), 1),
    "trainings, one after another": (trainings, (1, 2, 4, 8), 1),
}


def point(axis: str, size: int) -> dict[str, float]:
    """Returns the seconds and the bytes of one point, in this process, which must be new."""
    torch.set_num_threads(1)
    make, _, repeats = AXES[axis]
    before = resident_memory()
    work = make(size)
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        taken.append(getattr(work, "seconds", time.perf_counter() - began))
    return {"size": size, "seconds": float(np.median(taken)), "bytes": peak_memory() - before}


def exponent(sizes: list[float], values: list[float]) -> float:
    """Returns the slope of `values` over `sizes`, both logarithmic, by least squares over the larger half."""
    half = len(sizes) // 2
    slope, _ = np.polyfit(np.log(sizes[half:]), np.log(np.maximum(values[half:], 1e-9)), 1)
    return float(slope)


def axes() -> Iterator[dict[str, Any]]:
    """Yields, for every axis, its points and the exponents of time and of memory at the larger sizes."""
    for axis, (_, sizes, _) in AXES.items():
        points = [in_process(point, axis, size) for size in sizes]
        columns = {name: [p[name] for p in points] for name in ("size", "seconds", "bytes")}
        exponents = {name: round(exponent(columns["size"], columns[name]), 2) for name in ("seconds", "bytes")}
        yield {"axis": axis, "points": points, "exponents": exponents}


def text(line: dict[str, Any]) -> str:
    """Returns the line that the terminal shows."""
    told = ", ".join(f"{p['size']}: {clock(p['seconds'])} {p['bytes'] / 2**20:.0f} MiB" for p in line["points"])
    exponents = line["exponents"]
    return f"growth | {line['axis']} | {told} | time ∝ n^{exponents['seconds']}, memory ∝ n^{exponents['bytes']}"
