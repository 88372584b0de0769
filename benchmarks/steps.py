"""A whole training step, from the batch to AdamW, with model M and speech of profile quick."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.timing import OURS, Row, Timed
from paper_lib.paths import cache_root

STEPS, TURNS = 30, 4
# Run in a checkout of any commit: it uses what all of them have. The first fit warms up, the second is measured.
PROGRAM = """
import json, sys, time
from pathlib import Path
from tempfile import TemporaryDirectory
import torch
from paper_lib.corpus import open_corpus
from paper_lib.profiles import profile_of
from paper_lib.training import fit
torch.set_num_threads(1)
run = profile_of("quick").run("M", 0)
splits = {"train": 500, "dev": 1, "test": 1}
corpus = open_corpus(run.corpus.model_copy(update={"utterances": splits}))
corpus.prepare(("train", "dev"), 1)
def seconds(steps):
    changes = {"steps": steps, "checkpoint_every": steps, "distance_every": steps}
    short = run.model_copy(update={"training": run.training.model_copy(update=changes)})
    with TemporaryDirectory() as directory:
        began = time.perf_counter()
        fitted = fit(short, corpus, Path(directory), torch.device("cpu"))
        return time.perf_counter() - began, fitted.history.losses[:3]
seconds(2)
short, _ = seconds(2)
# Loading, checkpoints and the dev set are in both.
long, losses = seconds(2 + int(sys.argv[1]))
print(json.dumps({"seconds": (long - short) / int(sys.argv[1]), "losses": losses}))
"""


def step_seconds(checkout: Path, steps: int = STEPS) -> tuple[float, list[float]]:
    """Returns the seconds of a step by the code in `checkout`, in a process of its own, and its first losses."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "PAPER_LIB_CACHE": str(cache_root())}
    command = [sys.executable, "-c", PROGRAM, str(steps)]
    # Elsewhere than here: the working directory would come before the checkout.
    with TemporaryDirectory() as directory:
        result = subprocess.run(
            command, env=environment, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        )
    found = json.loads(result.stdout.splitlines()[-1])
    return found["seconds"], found["losses"]


def rows(against: Path | None = None) -> Iterator[Row]:
    """Yields the steps of this checkout, by turns with those of the checkout `against` where there is one."""
    places = {OURS: Path.cwd()} | ({"against": against.resolve()} if against else {})
    taken: dict[str, list[float]] = {name: [] for name in places}
    losses: dict[str, list[float]] = {}
    for turn in range(TURNS if against else 3):
        for name in places if turn % 2 == 0 else reversed(places):
            seconds, losses[name] = step_seconds(places[name])
            taken[name].append(seconds)
    timed = [Timed(name, seconds) for name, seconds in taken.items()]
    equal = ""
    if against:
        apart = max(abs(a - b) / abs(a) for a, b in zip(losses[OURS], losses["against"], strict=True))
        equal = f"the first losses to {apart:.0e}"
    more = {"steps a second": {t.name: round(1 / t.median, 2) for t in timed}}
    yield Row("training", "mini M, 2400 frames of 10 ms a batch", 1, timed, equal, more)
