"""Measurements, named by their settings, and where their records are.

`TrainingRun` stands for a training, `ResetStudy` for the resets of a trained model, `ActivationStudy` for what resets
do to the activations above. Without torch: a page whose records are stored needs none.
"""

from __future__ import annotations

from pydantic import Field

from paper_lib.corpus import open_corpus
from paper_lib.paths import cache_root, published_records
from paper_lib.profiles import Profile
from paper_lib.results import Record, Store
from paper_lib.settings import Positive, ResetSettings, Settings, TrainingRun


class ResetStudy(Settings):
    """The word errors of a trained model, intact and under every reset, on the whole test split."""

    run: TrainingRun
    reset: ResetSettings


class ActivationStudy(Settings):
    """The normalised activations of a trained model, intact and with layers below re-initialised, on dev speech."""

    version: int = 1
    run: TrainingRun
    utterances: Positive = Field(default=100, description="of the dev split, from its first")


Measurement = TrainingRun | ResetStudy | ActivationStudy
KINDS: dict[type[Measurement], str] = {
    TrainingRun: "training",
    ResetStudy: "reset_sweep",
    ActivationStudy: "activations",
}


def store_of(profile: Profile) -> Store:
    """Returns the profile's store: in the cache where the book computes afresh, in git where results are published."""
    if profile.name in ("smoke", "quick"):
        return Store(cache_root() / "records")
    return Store(published_records(profile.name))


def run_of(measurement: Measurement) -> TrainingRun:
    """Returns the training that a measurement is about."""
    return measurement if isinstance(measurement, TrainingRun) else measurement.run


def stored(measurement: Measurement, store: Store) -> Record | None:
    """Returns the record of a measurement, or nothing where the store has none that can be trusted."""
    return store.get(KINDS[type(measurement)], measurement, open_corpus(run_of(measurement).corpus).digest)
