"""Measurements, named by their settings, and where their records are.

`TrainingRun` stands for a training, `ResetStudy` for the resets of a trained model, `ActivationStudy` for what resets
do to the activations above, `PathStudy` and `ProbeStudy` for cheaper readings of layers, `SetStudy` and `GreedyStudy`
for resets of several layers together, `QuantisedStudy` for layers in few bits, `AdaptationStudy` for federated
learning. Without torch: a page whose records are stored needs none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from paper_lib.corpus import Corpus, open_corpus
from paper_lib.paths import CHECKPOINT, cache_root, published_records
from paper_lib.profiles import PUBLISHED, Profile
from paper_lib.results import Record, Store, looking
from paper_lib.settings import (
    BitsPlan,
    ClientDomain,
    CorpusSettings,
    DropoutPlan,
    FederatedSettings,
    Fraction,
    Positive,
    ResetSettings,
    Settings,
    TrainingRun,
)

if TYPE_CHECKING:  # It takes torch.
    from paper_lib.jobs import Engine


class ResetStudy(Settings):
    """What a trained model hears of a whole split, intact and under every reset."""

    run: TrainingRun
    reset: ResetSettings
    corpus: CorpusSettings | None = Field(default=None, description="whose speech is recognised; none: the model's own")


class ActivationStudy(Settings):
    """The normalised activations of a trained model, intact and with layers below re-initialised, on dev speech."""

    version: int = 2
    run: TrainingRun
    utterances: Positive = Field(default=100, description="of the dev split, from its first")


class PathStudy(Settings):
    """What a trained model hears with each layer between its initial and its trained weights, and without the layer."""

    run: TrainingRun
    shares: tuple[Fraction, ...] = Field(
        default=tuple(tenth / 10 for tenth in range(10)),
        description="of the way from W(0) to W(T), at which a layer stands; 0 is its re-initialisation",
    )
    split: Literal["dev", "test"] = Field(default="dev", description="speech that is recognised")
    batch_frames: Positive = Field(default=3000, description="as in ResetSettings")


class ProbeStudy(Settings):
    """Readings of a trained model's layers that reset nothing, on dev speech, and the norms of their step-0 weights."""

    run: TrainingRun
    utterances: Positive = Field(default=100, description="of the dev split, from its first")


class QuantisedStudy(Settings):
    """What a trained model hears as it is, and with the matrices of its layers rounded by each of `plans`."""

    version: int = 1
    run: TrainingRun
    plans: tuple[BitsPlan, ...] = Field(min_length=1)
    split: Literal["dev", "test"] = "test"
    batch_frames: Positive = Field(default=3000, description="as in ResetSettings")


class AdaptationStudy(Settings):
    """A trained model, adapted to the domain that its training held out: WERs on the way, what it hears at the end.

    Without rounds, the model as it was. `version` is raised too when a record holds more than before.
    """

    version: int = 3
    run: TrainingRun
    corpus: CorpusSettings | None = Field(
        default=None,
        description="of the clients, where it is not that of the training; the model then normalises by its statistics",
    )
    held_out: ClientDomain
    method: Literal["federated", "centralised"] = "federated"
    plan: DropoutPlan
    bits: BitsPlan | None = Field(default=None, description="of what clients receive and send; none: float32")
    trained: tuple[Positive, ...] | None = Field(
        default=None,
        min_length=1,
        description="layers, from 1, that clients train and send, and nothing else; none: all of the model",
    )
    federated: FederatedSettings
    measure_every: Positive
    batch_frames: Positive = Field(default=3000, description="as in ResetSettings")

    @property
    def choice(self) -> str:
        """What clients do, in words: "plan rest:0, bits rest:4"."""
        bits = f", bits {self.bits.name}" if self.bits else ""
        trained = f", layers {' '.join(map(str, self.trained))} alone" if self.trained else ""
        return f"plan {self.plan.name}{bits}{trained}"


class SetStudy(Settings):
    """What a trained model hears of a whole split with sets of layers reset together, and with neighbours exchanged."""

    version: int = 1
    run: TrainingRun
    reset: ResetSettings = Field(description="of every layer of a set: re-initialisation, without draws")
    sets: tuple[tuple[Positive, ...], ...] = Field(description="layers that are reset together, from 1, in order")
    exchanges: tuple[Positive, ...] = Field(default=(), description="layers that change places with the next one")


class GreedyStudy(Settings):
    """The search for layers that can be reset together: one by one, each time the one that does least harm."""

    version: int = 1
    run: TrainingRun
    reset: ResetSettings = Field(description="of every layer: re-initialisation, without draws, on the split it names")


Measurement = (
    TrainingRun
    | ResetStudy
    | ActivationStudy
    | PathStudy
    | ProbeStudy
    | SetStudy
    | GreedyStudy
    | QuantisedStudy
    | AdaptationStudy
)
KINDS: dict[type[Measurement], str] = {
    TrainingRun: "training",
    ResetStudy: "reset_sweep",
    ActivationStudy: "activations",
    PathStudy: "path",
    ProbeStudy: "probe",
    QuantisedStudy: "quantised",
    AdaptationStudy: "adaptation",
    SetStudy: "layer_sets",
    GreedyStudy: "greedy_sets",
}


class NotMeasuredError(RuntimeError):
    """A page asks for records of a published profile that are not there; the message says how they are made."""


def is_published(profile: Profile) -> bool:
    """Returns whether records of `profile` are measured by hours of work and kept; others are computed by the pages."""
    return profile.name in PUBLISHED


def not_measured(profile: Profile) -> NotMeasuredError:
    """Returns the error for a page of a published profile that has nothing to show."""
    make = f"python -m paper_lib records --profile {profile.name} --make"
    return NotMeasuredError(f"profile {profile.name} has no records of this yet; `{make}` measures what is missing")


def store_of(profile: Profile) -> Store:
    """Returns the profile's store: in the cache where the book computes afresh, in git where results are published."""
    if is_published(profile):
        return Store(published_records(profile.name), published=True)
    return Store(cache_root() / "records")


def directory_of(run: TrainingRun) -> Path:
    """Returns where in the cache the model of `run` is, or will be."""
    return cache_root() / "runs" / f"{run.digest()}-{open_corpus(run.corpus).digest}"


def is_cached(run: TrainingRun) -> bool:
    """Returns whether the cache has the model of `run`; a published record comes without it."""
    return (directory_of(run) / CHECKPOINT).exists()


def run_of(measurement: Measurement) -> TrainingRun:
    """Returns the training that a measurement is about."""
    return measurement if isinstance(measurement, TrainingRun) else measurement.run


def corpus_of(measurement: Measurement) -> Corpus:
    """Returns the corpus whose speech is recognised, of all its domains: a record rests on it."""
    other = measurement.corpus if isinstance(measurement, ResetStudy | AdaptationStudy) else None
    return open_corpus(other or run_of(measurement).corpus)


def key_of(measurement: Measurement) -> tuple[str, str]:
    """Returns the kind and the digest of a measurement, which name its record; equal measurements have equal ones."""
    return KINDS[type(measurement)], measurement.digest()


def seed_of(measurement: Measurement) -> int:
    """Returns the seed of an adaptation, or that of the training that a measurement is about."""
    return measurement.federated.seed if isinstance(measurement, AdaptationStudy) else run_of(measurement).seed


def stored(measurement: Measurement, store: Store) -> Record | None:
    """Returns the record of a measurement, or nothing where the store has none that can be trusted."""
    return store.get(KINDS[type(measurement)], measurement, corpus_of(measurement).digest)


def stored_seeds(by_seed: Mapping[int, Sequence[Measurement]], store: Store) -> list[int]:
    """Returns the seeds of which all that is wanted is stored; to look for it consults no record."""
    with looking():
        return [seed for seed, wanted in by_seed.items() if all(stored(one, store) for one in wanted)]


def record_of(measurement: Measurement, store: Store) -> Record:
    """Returns the record of a measurement that has been made; raises RuntimeError where it is gone."""
    record = stored(measurement, store)
    if record is None:
        raise RuntimeError(f"a record in {store.directory} was removed or damaged while it was needed; run this again")
    return record


@dataclass(frozen=True)
class StudyPlan(ABC):
    """What a chapter wants to know, measured at a profile."""

    profile: Profile

    @property
    @abstractmethod
    def by_model(self) -> list[tuple[str, Measurement]]:
        """All that can be named already, each with what its model is called: "M BatchNorm"."""

    @property
    def measurements(self) -> list[Measurement]:
        """All that can be named already."""
        return [measurement for _, measurement in self.by_model]

    @property
    def unnamed(self) -> list[Measurement]:
        """Stands for as much as can be named once what it hangs on is stored."""
        return []

    @abstractmethod
    def records(self, workers: int | None = None) -> Any:
        """Returns the records, measured now where they are not stored; of a published profile those that are there.

        Raises NotMeasuredError where that is nothing.
        """

    @abstractmethod
    def summary(self) -> list[str]:
        """Returns lines with what was found and the names of the records, measured now where they are not stored."""

    @property
    def is_stored(self) -> bool:
        """Whether all of it has been measured."""
        store = store_of(self.profile)
        return all(stored(measurement, store) is not None for measurement in self.measurements)

    def measure(self, workers: int | None = None, engine: Engine | None = None) -> None:
        """Measures what is not stored, `workers` models or adaptations at a time; without an engine, on this machine.

        Raises ClusterError.
        """
        compute_missing([self], store_of(self.profile), workers, engine)


def compute_missing(
    studies: Sequence[StudyPlan], store: Store, workers: int | None = None, engine: Engine | None = None
) -> None:
    """Measures what the store lacks of `studies`, `workers` measurements at a time; arguments as in `StudyPlan`.

    Some can only be named when others are stored: it goes on until nothing is missing.
    """
    found: set[tuple[str, str]] = set()  # what is in the store: nothing is looked for twice

    def missing() -> list[Measurement]:
        wanted = {key_of(m): m for study in studies for m in study.measurements}
        found.update(key for key, m in wanted.items() if key not in found and stored(m, store))
        return [m for key, m in wanted.items() if key not in found]

    if missing():
        # Takes torch, which whoever reads finished records does without.
        from paper_lib.jobs import LOCAL
        from paper_lib.studies.queue import compute

        compute(missing, store, workers, engine or LOCAL)
