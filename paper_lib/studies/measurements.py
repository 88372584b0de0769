"""Measurements, named by their settings, and where their records are.

`TrainingRun` stands for a training, `ResetStudy` for the resets of a trained model, `ActivationStudy` for what resets
do to the activations above, `AdaptationStudy` for federated learning. Without torch: a page whose records are stored
needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from pydantic import Field

from paper_lib.corpus import open_corpus
from paper_lib.paths import cache_root, published_records
from paper_lib.profiles import Profile
from paper_lib.results import Record, Store
from paper_lib.settings import (
    Domain,
    DropoutPlan,
    FederatedSettings,
    Positive,
    ResetSettings,
    Settings,
    TrainingRun,
)


class ResetStudy(Settings):
    """What a trained model hears of a whole split, intact and under every reset."""

    run: TrainingRun
    reset: ResetSettings


class ActivationStudy(Settings):
    """The normalised activations of a trained model, intact and with layers below re-initialised, on dev speech."""

    version: int = 2
    run: TrainingRun
    utterances: Positive = Field(default=100, description="of the dev split, from its first")


class AdaptationStudy(Settings):
    """A trained model, adapted to the domain that its training held out: WERs on the way, what it hears at the end.

    Without rounds, the model as it was. `version` is raised too when a record holds more than before.
    """

    version: int = 3
    run: TrainingRun
    held_out: Domain
    method: Literal["federated", "centralised"] = "federated"
    plan: DropoutPlan
    federated: FederatedSettings
    measure_every: Positive
    batch_frames: Positive = Field(default=3000, description="as in ResetSettings")


Measurement = TrainingRun | ResetStudy | ActivationStudy | AdaptationStudy
KINDS: dict[type[Measurement], str] = {
    TrainingRun: "training",
    ResetStudy: "reset_sweep",
    ActivationStudy: "activations",
    AdaptationStudy: "adaptation",
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


def record_of(measurement: Measurement, store: Store) -> Record:
    """Returns the record of a measurement that has been made; raises RuntimeError where it is gone."""
    record = stored(measurement, store)
    if record is None:
        raise RuntimeError(f"a record in {store.directory} was removed or damaged while it was needed; run this again")
    return record


class Measurements(Protocol):
    """A study: what it wants measured, as far as that can be named already."""

    @property
    def measurements(self) -> Sequence[Measurement]: ...


def compute_missing(studies: Sequence[Measurements], store: Store, workers: int | None = None) -> None:
    """Measures what the store lacks of `studies`, `workers` models at a time.

    Some measurements can only be named when others are stored: it goes on until nothing is missing.
    """
    while missing := [m for study in studies for m in study.measurements if stored(m, store) is None]:
        # Takes torch, which whoever reads finished records does without.
        from paper_lib.studies.computing import compute

        compute(missing, store, workers)
