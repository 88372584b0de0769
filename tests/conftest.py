"""What takes long to make, made only where a test asks for it: tiny models once a process, the book once for all."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from tiny_book import CHECKOUT

# Whoever is started in the background ignores SIGINT, and so would the processes that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

if TYPE_CHECKING:  # torch takes seconds, and most test files do without.
    from playwright.sync_api import Browser

    from paper_lib.conformer.transducer import Transducer
    from paper_lib.corpus import Corpus
    from paper_lib.federated.clients import Client
    from paper_lib.fitted import Fit


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny-cache")


@pytest.fixture(scope="session")
def tiny_corpus(tiny_cache: Path) -> Corpus:
    """The tiny corpus, all of it made. From here on torch has one thread, the fastest for tiny models."""
    import torch
    from tiny_runs import TINY_CORPUS

    from paper_lib.corpus import Corpus

    torch.set_num_threads(1)
    corpus = Corpus(TINY_CORPUS, tiny_cache)
    for split in ("train", "dev", "test"):
        for k in range(corpus.shards(split)):
            corpus.shard(split, k)
    return corpus


@pytest.fixture(scope="session", params=["group", "batch"])
def trained(request: pytest.FixtureRequest, tiny_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """A trained model with either norm."""
    from tiny_runs import CPU, tiny_run

    from paper_lib.training import fit

    run = tiny_run(request.param, steps=40, distance_every=15, checkpoint_every=30)
    return fit(run, tiny_corpus, tmp_path_factory.mktemp("trained"), CPU)


@pytest.fixture(scope="module")
def model(tiny_corpus: Corpus) -> Transducer:
    """A model whose words change with almost any of its weights, of clients who are the tiny corpus's speakers."""
    from tiny_runs import babbling

    return babbling("group", tiny_corpus)[0]


@pytest.fixture(scope="module")
def clients(tiny_corpus: Corpus) -> list[Client]:
    from paper_lib.federated.clients import clients_of

    return clients_of(tiny_corpus, "train")


@pytest.fixture(scope="session")
def built_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of the book at profile smoke, built with an empty cache (`cache` within) by one process for all."""
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    root = (tmp_path_factory.getbasetemp().parent if parallel else tmp_path_factory.getbasetemp()) / "built-book"
    index = root / "_build" / "html" / "index.html"
    with FileLock(root.with_suffix(".lock")):
        if not index.is_file():
            shutil.rmtree(root, ignore_errors=True)  # of a build that failed
            root.mkdir()
            for name in ("_config.yml", "_toc.yml", "LICENSE", "CITATION.cff"):
                shutil.copy(CHECKOUT / name, root)
            shutil.copytree(CHECKOUT / "book", root / "book")
            environment = os.environ | {"PAPER_LIB_CACHE": str(root / "cache")}
            command = [sys.executable, "-m", "paper_lib", "book", "--profile", "smoke", "--root", str(root)]
            result = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
            assert result.returncode == 0, result.stderr
            assert result.stdout.strip() == str(index)
    return root


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium. Without one the test is skipped, or fails where the environment sets REQUIRE_BROWSER."""
    from paper_lib.chapters.printing import find_chromium

    if path := find_chromium():
        return path
    (pytest.fail if os.environ.get("REQUIRE_BROWSER") else pytest.skip)("there is no chromium on this machine")


@pytest.fixture(scope="session")
def flite() -> str:
    """The path of flite. Without it the test is skipped, or fails where the environment sets REQUIRE_FLITE."""
    if path := shutil.which("flite"):
        return path
    (pytest.fail if os.environ.get("REQUIRE_FLITE") else pytest.skip)("there is no flite on this machine")


# No longer than a module: Playwright's event loop would be in the way of others.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tells how many faults and inputs the tests have tried."""
    counts = [count for report in terminalreporter.getreports("passed") for count in report.user_properties]
    if counts:
        terminalreporter.section("faults and inputs that were tried")
        for name, count in counts:
            terminalreporter.line(f"{count:>7} {name}")
