"""The experiments: pure functions from settings to records, computed once and then read from the store.

A chapter asks for records here and draws them; `python -m paper_lib run` computes the same records in a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from paper_lib.conformer.sizes import count_parameters
from paper_lib.corpus import open_corpus
from paper_lib.corpus.batches import evaluation_batches
from paper_lib.layers.reset_sweep import reset_sweep
from paper_lib.paths import cache_root, published_records
from paper_lib.profiles import SIZES, Profile
from paper_lib.results import Record, Store
from paper_lib.settings import ResetSettings, Settings, Size, TrainingRun
from paper_lib.sweep import Job, run_jobs
from paper_lib.training import Fit, fit

# Losses in a record: enough to draw a curve.
LOSS_POINTS = 200


class ResetStudy(Settings):
    """A trained model and how its layers are reset."""

    run: TrainingRun
    reset: ResetSettings


@dataclass(frozen=True)
class ModelRecords:
    """One trained model: how it was trained, and what resetting its layers does."""

    size: Size
    seed: int
    training: Record
    reset: Record


def store_of(profile: Profile) -> Store:
    """Returns the profile's store: in the cache where the book computes afresh, in git where results are published."""
    if profile.name in ("smoke", "quick"):
        return Store(cache_root() / "records")
    return Store(published_records(profile.name))


def compute_device() -> torch.device:
    """Returns CUDA where present, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def trained_model(run: TrainingRun, position: int = 0) -> Fit:
    """Returns the model of `run`, trained now or loaded from the cache."""
    return fit(run, open_corpus(run.corpus), cache_root() / "runs" / run.digest(), compute_device(), position)


def training_record(run: TrainingRun, store: Store, position: int = 0) -> Record:
    """Returns the record of a training: its curves and the distances of its weights from step 0."""

    def compute() -> dict[str, Any]:
        fitted = trained_model(run, position)
        history = fitted.history
        stride = max(1, len(history.losses) // LOSS_POINTS)
        chunks = [history.losses[start : start + stride] for start in range(0, len(history.losses), stride)]
        return {
            "losses": [round(sum(chunk) / len(chunk), 4) for chunk in chunks],
            "loss_stride": stride,
            "dev_wer": {str(step): value for step, value in history.dev_wer.items()},
            "distance_steps": history.distance_steps,
            "distances": {name: [float(f"{d:.6g}") for d in values] for name, values in history.distances.items()},
            "seconds": round(history.seconds, 1),
            "checkpoint": fitted.digest,
        }

    corpus = open_corpus(run.corpus)
    return store.get_or_compute("training", run, compute, corpus=corpus.digest, seeds=[run.seed])


def reset_record(study: ResetStudy, store: Store, position: int = 0) -> Record:
    """Returns the record of a reset sweep: word errors of every test utterance, intact and under every reset."""
    corpus = open_corpus(study.run.corpus)

    def compute() -> dict[str, Any]:
        fitted = trained_model(study.run, position)
        batches = evaluation_batches(corpus, "test", study.reset.batch_frames)
        result = reset_sweep(
            fitted.model, fitted.initial, batches, fitted.tokenizer, study.reset, compute_device(), position
        )
        resets = [{**asdict(variant), "errors": errors} for variant, errors in result.resets]
        return {"words": result.words, "intact": result.intact, "resets": resets, "checkpoint": fitted.digest}

    return store.get_or_compute("reset_sweep", study, compute, corpus=corpus.digest, seeds=[study.run.seed])


def _train_and_reset(study: ResetStudy, store: Store, position: int = 0) -> None:
    training_record(study.run, store, position)
    reset_record(study, store, position)


def model_size(
    profile: Profile,
    sizes: Sequence[Size] = SIZES,
    seeds: int | None = None,
    draws: int | None = None,
    workers: int | None = None,
) -> list[ModelRecords]:
    """Trains every size from every seed and resets its layers (slide "Model Size"); returns the records.

    `seeds` and `draws` default to the profile's.
    """
    store = store_of(profile)
    reset = profile.reset if draws is None else profile.reset.model_copy(update={"draws": draws})
    studies = {
        (size, seed): ResetStudy(run=profile.run(size, seed), reset=reset)
        for size in sizes
        for seed in range(seeds or profile.seeds)
    }
    compute_missing(studies.values(), store, workers)
    return [
        ModelRecords(size, seed, training_record(study.run, store), reset_record(study, store))
        for (size, seed), study in studies.items()
    ]


def compute_missing(studies: Iterable[ResetStudy], store: Store, workers: int | None = None) -> None:
    """Computes what the store lacks of `studies`, side by side."""
    missing = [s for s in studies if store.get("training", s.run) is None or store.get("reset_sweep", s) is None]
    if not missing:
        return
    for corpus in {study.run.corpus.digest(): study.run.corpus for study in missing}.values():
        open_corpus(corpus).prepare(workers=workers)
    jobs = [Job(_train_and_reset, (study, store), cost=_cost(study.run)) for study in missing]
    run_jobs(jobs, workers)


def _cost(run: TrainingRun) -> float:
    return run.training.steps * (1e6 + count_parameters(run.model).total)
