"""One training by itself, in as many processes as torchrun begins."""

from __future__ import annotations

from typing import Literal

from paper_lib.processes import joined
from paper_lib.profiles import Profile
from paper_lib.results import Record
from paper_lib.settings import Size, TrainingRun
from paper_lib.studies.computing import measure, trained_model
from paper_lib.studies.measurements import store_of
from paper_lib.studies.queue import prepare_corpora
from paper_lib.threads import one_thread


def run_named(profile: Profile, model: Size | Literal["clients"], seed: int) -> TrainingRun:
    """Returns the training of a size, or of the model that clients adapt."""
    return profile.adaptation.run(seed) if model == "clients" else profile.run(model, seed)


def train(profile: Profile, run: TrainingRun) -> Record | None:
    """Trains the model of `run`, which stays in the cache, and returns its record, in the store of `profile`.

    Killed and started again it goes on from its last checkpoint. Under torchrun every process calls it, and the first
    of them gets the record. Raises ProcessesError and what `fit` raises.
    """
    with joined() as processes, one_thread():
        if processes.is_first:
            prepare_corpora([run])
        processes.gather(None)
        trained_model(run, processes=processes)
        return measure(run, store_of(profile), 0) if processes.is_first else None
