"""The times that the README quotes, measured again: `python benchmarks/measure.py --help` lists them.

Each prints ratios taken within one run, for machines differ and are shared. None of this is a test. What is compared
with other libraries, the reset sweep and the growth with clients are measured by `python -m benchmarks.peers`.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
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
@click.option("--rounds", default=6, show_default=True)
@click.option("--plan", default="amb-3", show_default=True)
def federated(rounds: int, plan: str) -> None:
    """What a round of federated learning costs beyond the training of its clients, one thread, profile quick."""
    import torch

    from paper_lib.corpus import open_corpus
    from paper_lib.federated.adaptation import adapt
    from paper_lib.federated.algorithm import federated_dropout
    from paper_lib.federated.clients import client_update, clients_of, local_batches, sample
    from paper_lib.federated.dropout import draw_mask, extract
    from paper_lib.federated.plans import named_plan
    from paper_lib.profiles import profile_of
    from paper_lib.studies.computing import trained_model

    torch.set_num_threads(1)
    second = profile_of("quick").adaptation
    run, settings = second.run(0), second.federated.model_copy(update={"rounds": rounds})
    fitted = trained_model(run)
    clients = clients_of(open_corpus(second.corpus, (second.held_out,)), "train")
    layers = run.model.encoder.layers
    dropout = named_plan(plan, range(1, layers + 1))
    mask = draw_mask(dropout, run.model, torch.Generator().manual_seed(0))
    received = extract(fitted.model.state_dict(), mask)

    def train_clients() -> None:
        for round_ in range(rounds):
            for index in sample(settings, len(clients), round_):
                batches = local_batches(settings, clients[index], (0,))
                client_update(settings, run.model, received, mask, batches, fitted.tokenizer, 0)

    def rounds_of_it() -> None:
        algorithm = federated_dropout(settings, dropout, run.model, fitted.tokenizer)
        with TemporaryDirectory() as directory:
            adapt(algorithm, fitted.model, clients, settings, Path(directory), lambda weights: 0.0, rounds)

    train_clients()
    pairs = [(seconds(train_clients), seconds(rounds_of_it)) for _ in range(3)]
    for alone, whole in pairs:
        click.echo(f"{rounds} rounds {whole:.2f} s, their clients' training alone {alone:.2f} s")
    overhead = statistics.median((whole - alone) / alone for alone, whole in pairs)
    click.echo(f"{plan}: a round takes {100 * overhead:.1f} % more than its clients' training")


# Keeps the ms from every click or key until the picture that shows its answer; those under 16 are not told.
ANSWERS = """
window.answers = [];
new PerformanceObserver((list) => {
  const pressed = list.getEntries().filter((entry) => ["click", "keydown"].includes(entry.name));
  answers.push(...pressed.map((entry) => entry.duration));
}).observe({ type: "event", durationThreshold: 16 });
"""


@main.command()
@click.argument("root", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
def pages(root: Path) -> None:
    """The built book's pages in Chromium: when they can be used, how fast controls answer, weight without sounds."""
    import re

    from playwright.sync_api import sync_playwright

    from paper_lib.chapters.printing import find_chromium, pages_in_order

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox", "--disable-gpu"])
        for name in pages_in_order(root):
            path = (root / "_build" / "html" / f"{name}.html").absolute()
            tab = browser.new_context(offline=True, viewport={"width": 1300, "height": 900}).new_page()
            tab.goto(path.as_uri())
            timing = "performance.getEntriesByType('navigation')[0]"
            usable, loaded = tab.evaluate(f"[{timing}.domContentLoadedEventEnd, {timing}.loadEventEnd]")
            tab.evaluate(ANSWERS)
            controls = tab.locator(".explorer :is(input, select, button)")
            for place in range(controls.count()):
                control = controls.nth(place)
                kind = control.evaluate("control => control.type")
                # Readers press what they see: its picture is not part of the answer.
                control.scroll_into_view_if_needed()
                tab.wait_for_timeout(100)
                control.click() if kind in ("button", "radio") else control.press("ArrowRight")
            tab.wait_for_timeout(100)
            answers = tab.evaluate("answers") or [16]
            weight = len(re.sub(r'src="data:audio/[^"]*"', "", path.read_text(encoding="utf-8")).encode())
            told = f"{controls.count()} controls"
            if controls.count():
                told += f" answer in {statistics.median(answers):.0f} ms, slowest {max(answers):.0f}"
            click.echo(
                f"{name}: usable after {usable:.0f} ms, loaded after {loaded:.0f} ms, {told}, "
                f"{weight / 1e6:.2f} MB without sounds"
            )
        browser.close()


@main.command()
@click.option("--repeats", default=20, show_default=True)
def live(repeats: int) -> None:
    """The live panel: a sentence spoken, recognised intact and with every layer reset, and shown."""
    from paper_lib.widgets.hearing import HearingPanel
    from paper_lib.widgets.shipped import load_shipped

    click.echo(f"model loaded in {seconds(load_shipped):.2f} s")
    panel = HearingPanel(load_shipped())
    for label, act in (
        ("another sentence", lambda k: setattr(panel.text, "value", f"my number is {'nine ' * (k % 3 + 1)}")),
        ("another reset", lambda k: setattr(panel.module, "value", ("ffn1", None)[k % 2])),
    ):
        times = [seconds(partial(act, k)) for k in range(repeats)]
        click.echo(f"{label}: median {statistics.median(times):.2f} s, slowest {max(times):.2f} s")


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
