"""The experiments: pure functions from settings to records, computed once and then read from the store.

A chapter asks for records here and draws them; `python -m paper_lib run` computes the same records in a terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from paper_lib.conformer.sizes import count_parameters
from paper_lib.corpus import open_corpus
from paper_lib.corpus.batches import evaluation_batches
from paper_lib.layers.reset_sweep import reset_sweep
from paper_lib.paths import cache_root, published_records
from paper_lib.profiles import SIZES, Profile
from paper_lib.results import Record, Store
from paper_lib.settings import ResetSettings, Settings, Size, Split, TrainingRun
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
    """Returns the model of `run`, trained now or loaded from the cache; `position` is the progress bar's line."""
    corpus = open_corpus(run.corpus)
    return fit(run, corpus, cache_root() / "runs" / f"{run.digest()}-{corpus.digest}", compute_device(), position)


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

    return store.get_or_compute("training", run, compute, corpus=open_corpus(run.corpus).digest, seeds=[run.seed])


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


def model_size(
    profile: Profile,
    seeds: int | None = None,
    draws: int | None = None,
    sizes: Sequence[Size] = SIZES,
    workers: int | None = None,
) -> list[ModelRecords]:
    """Trains every size from every seed and resets its layers (slide "Model Size"); returns the records.

    `seeds` and `draws` default to the profile's; `workers` is the number of models trained side by side.
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


STUDIES: dict[str, Callable[..., list[ModelRecords]]] = {"model_size": model_size}


def compute_missing(studies: Iterable[ResetStudy], store: Store, workers: int | None = None) -> None:
    """Computes what the store lacks of `studies`, side by side."""
    missing = [study for study in studies if not _is_stored(study, store)]
    for settings in {study.run.corpus.digest(): study.run.corpus for study in missing}.values():
        # While a GPU trains, the CPU's cores make the training speech.
        splits: tuple[Split, ...] = ("dev", "test") if compute_device().type == "cuda" else ("train", "dev", "test")
        open_corpus(settings).prepare(splits)
    run_jobs([Job(_train_and_reset, (study, store), _cost(study.run)) for study in missing], workers)


def _is_stored(study: ResetStudy, store: Store) -> bool:
    corpus = open_corpus(study.run.corpus).digest
    return bool(store.get("training", study.run, corpus) and store.get("reset_sweep", study, corpus))


def _train_and_reset(study: ResetStudy, store: Store, position: int = 0) -> None:
    training_record(study.run, store, position)
    reset_record(study, store, position)


def _cost(run: TrainingRun) -> float:
    return run.training.steps * (1e6 + count_parameters(run.model).total)
