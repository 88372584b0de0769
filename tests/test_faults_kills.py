"""SIGKILL at random moments, seeded: what is started again ends with the bits of what was never disturbed."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from faults import Command, await_
from tiny_book import write_chapter, write_configuration
from tiny_runs import TINY_CORPUS, Words, babbling, in_process, tiny_run, train

from paper_lib.checkpoint import load_tensors
from paper_lib.corpus import Corpus
from paper_lib.federated.adaptation import adapt
from paper_lib.federated.algorithm import federated_dropout
from paper_lib.federated.clients import clients_of
from paper_lib.federated.plans import named_plan
from paper_lib.results import Store
from paper_lib.settings import FederatedSettings, ResetSettings
from paper_lib.studies.computing import measure
from paper_lib.studies.measurements import ResetStudy

pytestmark = pytest.mark.book

SPLITS = ("train", "dev", "test")

Part = Callable[[Path, Path], None]


def make_speech(directory: Path, cache: Path) -> None:
    corpus = Corpus(TINY_CORPUS, directory)
    for split in SPLITS:
        for k in range(corpus.shards(split)):
            corpus.shard(split, k)


def train_a_model(directory: Path, cache: Path) -> None:
    train(tiny_run(steps=12), cache, directory / "run")


def sweep_its_layers(directory: Path, cache: Path) -> None:
    """A training, the sweep over its layers, and its record, by way of the store."""
    torch.set_num_threads(1)
    os.environ["PAPER_LIB_CACHE"] = str(directory)
    directory.mkdir(exist_ok=True)
    if not (directory / "corpora").exists():
        (directory / "corpora").symlink_to(cache / "corpora")
    measure(ResetStudy(run=tiny_run(steps=4), reset=ResetSettings(draws=1)), Store(directory / "records"), 0)


def adapt_it(directory: Path, cache: Path) -> None:
    torch.set_num_threads(1)
    corpus = Corpus(TINY_CORPUS, cache)
    model, _ = babbling("group", corpus)
    settings = FederatedSettings(rounds=6, clients_per_round=2, local_batch_frames=600, seed=3)
    algorithm = federated_dropout(settings, named_plan("amb-1", [2, 1]), model.settings, Words())

    def bias(weights: Mapping[str, torch.Tensor]) -> float:
        return float(weights["joint.out.bias"].sum())

    adapt(algorithm, model, clients_of(corpus, "train"), settings, directory / "rounds", bias, 2)


def files_of(directory: Path) -> dict[str, str]:
    """Returns the digests of what lies in `directory`, without the times that it tells of; locks are no content."""
    found = {}
    for path in directory.rglob("*"):
        if path.is_file() and not path.name.endswith((".lock", ".holder")):
            found[str(path.relative_to(directory))] = hashlib.sha256(content_of(path)).hexdigest()
    return found


def content_of(path: Path) -> bytes:
    if path.suffix == ".safetensors":
        tensors, metadata = load_tensors(path)
        told = {name: text for name, text in metadata.items() if name != "digest"}
        for name in told.keys() & {"history", "adaptation"}:
            told[name] = {**json.loads(told[name]), "seconds": None}  # type: ignore[assignment]
        content = {name: tensor.numpy().tobytes().hex() for name, tensor in tensors.items()}
        return json.dumps([content, told], sort_keys=True).encode()
    if path.parent.name == "reset_sweep":
        record = json.loads(path.read_bytes())
        return json.dumps([record["settings"], record["result"]], sort_keys=True).encode()
    return path.read_bytes()


@pytest.mark.parametrize(
    ("part", "kills"),
    [(make_speech, 14), (train_a_model, 14), (sweep_its_layers, 14), (adapt_it, 14)],
    ids=["corpus", "training", "sweep", "rounds"],
)
def test_killed_at_random_moments_it_ends_with_the_bits_of_what_was_not(
    part: Part,
    kills: int,
    tiny_corpus: Corpus,
    tiny_cache: Path,
    tmp_path: Path,
    record_property: Callable[[str, Any], None],
) -> None:
    assert in_process(part, tmp_path / "warm", tiny_cache) == 0  # from here on its modules are in the system's cache
    began = time.monotonic()
    assert in_process(part, tmp_path / "whole", tiny_cache) == 0
    seconds = time.monotonic() - began
    whole = files_of(tmp_path / "whole")
    assert whole
    moments, killed, directory = random.Random(0), 0, tmp_path / "killed"
    context = multiprocessing.get_context("forkserver")
    while True:
        process = context.Process(target=part, args=(directory, tiny_cache))
        process.start()
        if killed < kills:
            process.join(moments.uniform(0, seconds))
            process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        if process.exitcode == 0:
            assert files_of(directory) == whole
            if killed == kills:
                break
            shutil.rmtree(directory)
        else:
            assert process.exitcode == -signal.SIGKILL
    record_property(f"SIGKILL during {part.__name__.replace('_', ' ')}", killed)


BODY = 'print(sum(k * k for k in range(100_000)))\nprint("what was computed")'


def kill_at_random(
    command: Callable[[], Command], seconds: float, kills: int, moments: random.Random, whole: Callable[[], bool]
) -> None:
    """Kills the command again and again, and lets it end at last; what stands there meanwhile must be `whole`."""
    for _ in range(kills):
        running = command()
        time.sleep(moments.uniform(0, seconds))
        running.end_by(signal.SIGKILL)
        await_(running.has_left_nothing)
        assert whole()
    last = command()
    assert last.process.wait() == 0, last.output()
    assert last.has_left_nothing()


def test_a_chapter_that_is_killed_leaves_a_whole_page_or_none_and_no_kernel(
    tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    write_chapter(tmp_path, "intro", BODY)
    page = tmp_path / "_build" / "chapters" / "intro.ipynb"

    def command() -> Command:
        return Command("chapter", "intro", "--root", tmp_path, cwd=tmp_path)

    def is_whole() -> bool:
        return not page.exists() or "what was computed" in str(json.loads(page.read_text())["cells"][-1]["outputs"])

    began = time.monotonic()
    first = command()
    assert first.process.wait() == 0, first.output()
    seconds = time.monotonic() - began
    page.unlink()
    kill_at_random(command, seconds, 3, random.Random(1), is_whole)
    assert page.exists()
    assert [path.name for path in page.parent.iterdir()] == [page.name]
    record_property("SIGKILL during a chapter", 3)


RENDER = """
import sys
from pathlib import Path
from paper_lib.chapters.book import render
root = Path(sys.argv[1])
render([root / "_build" / "chapters" / "intro.ipynb"], root)
"""


def test_a_book_that_is_killed_leaves_the_book_that_stood_there(
    tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    write_chapter(tmp_path, "intro", BODY)
    write_configuration(tmp_path, "intro")
    subprocess.run([sys.executable, "-m", "paper_lib", "chapter", "intro", "--root", tmp_path], check=True)
    html = tmp_path / "_build" / "html"

    def command() -> Command:
        return Command(RENDER, str(tmp_path), cwd=tmp_path, program="-c")

    def is_whole() -> bool:
        places = [html, html.with_name(".html-replaced")]
        return any((place / "book" / "intro.html").is_file() for place in places)

    began = time.monotonic()
    first = command()
    assert first.process.wait() == 0, first.output()
    seconds = time.monotonic() - began
    kill_at_random(command, seconds, 3, random.Random(2), is_whole)
    # Of two at a time, one waits.
    together = [command(), command()]
    assert [one.process.wait() for one in together] == [0, 0], [one.output() for one in together]
    assert (html / "book" / "intro.html").is_file()
    assert sorted(path.name for path in html.parent.iterdir()) == [".lock", "chapters", "html"]
    record_property("SIGKILL during a book", 3)
