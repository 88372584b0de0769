"""Trains a tiny model in the processes that torchrun begins: train_together.py CACHE DIRECTORY CHANGES [UPDATES].

CHANGES is JSON of what changes in the run; with UPDATES the last process kills itself before that update, once.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from tiny_runs import CPU, die_before_update, tiny_run

from paper_lib.corpus import Corpus
from paper_lib.processes import joined
from paper_lib.settings import TrainingRun
from paper_lib.training import fit


def run_of(dropout: float, **changes: object) -> TrainingRun:
    """Returns a tiny run with this share of dropout."""
    run = tiny_run(**changes)  # type: ignore[arg-type]
    encoder = run.model.encoder.model_copy(update={"dropout": dropout})
    return run.model_copy(update={"model": run.model.model_copy(update={"encoder": encoder})})


def main(cache: str, directory: str, changes: str, updates: str | None = None) -> None:
    run = run_of(**json.loads(changes))
    torch.set_num_threads(1)
    with joined() as processes:
        is_last = processes.rank == processes.count - 1
        if updates and is_last and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            die_before_update(int(updates))
        fit(run, Corpus(run.corpus, Path(cache)), Path(directory), CPU, processes=processes)


if __name__ == "__main__":
    main(*sys.argv[1:])
