"""The tiny corpus and the tiny trained models, made once per test process and only where a test asks for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # torch takes seconds, and most test files do without.
    from paper_lib.corpus import Corpus
    from paper_lib.training import Fit


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
