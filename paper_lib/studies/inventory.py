"""What the chapters want measured at a profile, what of it is stored, and what is measured next.

Without torch, but for the order: which of two things is cheaper is told by the parameters of their models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paper_lib.profiles import Profile
from paper_lib.results import Record
from paper_lib.settings import CorpusSettings, SyntheticSettings, TrainingRun
from paper_lib.studies import STUDIES
from paper_lib.studies.measurements import (
    ActivationStudy,
    AdaptationStudy,
    GreedyStudy,
    Measurement,
    PathStudy,
    ProbeStudy,
    QuantisedStudy,
    ResetStudy,
    SetStudy,
    key_of,
    run_of,
    seed_of,
    store_of,
    stored,
)


@dataclass(frozen=True)
class Wanted:
    """A measurement, and who wants it."""

    measurement: Measurement
    model: str  # "M BatchNorm"
    chapter: str  # the first that wants it
    record: Record | None  # None: it is missing

    @property
    def key(self) -> tuple[str, str]:
        """Names the measurement; equal measurements have equal ones."""
        return key_of(self.measurement)

    @property
    def sort(self) -> str:
        """What it is, in words: "resets of modules, S GroupNorm, 4 groups"."""
        return f"{_sort(self.measurement)}, {self.model}"

    @property
    def seed(self) -> int:
        return seed_of(self.measurement)

    @property
    def name(self) -> str:
        """What it is, with its seed and, of an adaptation, what its clients do."""
        choice = f", {self.measurement.choice}" if isinstance(self.measurement, AdaptationStudy) else ""
        return f"{self.sort}, seed {self.seed}{choice}"

    @property
    def is_first(self) -> bool:
        """Whether other chapters rest on it: a training of a size or of the streaming model, or its layers' ranking."""
        plain = ("training", "resets of layers", "resets of layers, on dev speech")
        return self.chapter in ("model_size", "federated_dropout") and _sort(self.measurement) in plain


class Inventory:
    """What the chapters want of `profile`; a record that was found once is not read again."""

    def __init__(self, profile: Profile) -> None:
        self.store = store_of(profile)
        self.plans = {chapter: study(profile) for chapter, study in STUDIES.items()}
        self._found: dict[tuple[str, str], Record] = {}

    def wanted(self) -> list[Wanted]:
        """Returns all that can be named now, by chapter; what several share comes once, with the first of them."""
        found: dict[tuple[str, str], Wanted] = {}
        for chapter, plan in self.plans.items():
            for model, measurement in plan.by_model:
                wanted = Wanted(measurement, model, chapter, None)
                if wanted.key not in found:
                    found[wanted.key] = Wanted(measurement, model, chapter, self._record(wanted))
        return list(found.values())

    @property
    def unnamed(self) -> list[Measurement]:
        """Stands for what cannot be named before the rankings of layers that it needs are stored."""
        return list({key_of(one): one for plan in self.plans.values() for one in plan.unnamed}.values())

    def _record(self, wanted: Wanted) -> Record | None:
        if wanted.key not in self._found and (record := stored(wanted.measurement, self.store)):
            self._found[wanted.key] = record
        return self._found.get(wanted.key)


def in_order_of_need(wanted: Sequence[Wanted]) -> list[Wanted]:
    """Returns `wanted` in the order in which the chapters need it; it should hold what is stored, too.

    Seed by seed, so that every chapter soon has something: of each, first the trainings of all sizes and of the
    streaming model with the resets of their layers, the smaller models first; then what else the chapters want, the
    cheaper chapter first. What is measured on a model comes after its training.
    """
    from paper_lib.studies.costs import cost

    rest: dict[tuple[str, int], float] = {}
    for one in wanted:
        if not one.is_first:
            rest[one.chapter, one.seed] = rest.get((one.chapter, one.seed), 0) + cost(one.measurement)

    def need(one: Wanted) -> tuple[int, float, float]:
        return one.seed, 0 if one.is_first else rest[one.chapter, one.seed], cost(run_of(one.measurement))

    return sorted(wanted, key=need)  # the rest is in the order of the studies: a training, then what is measured on it


def _sort(measurement: Measurement) -> str:
    match measurement:
        case TrainingRun():
            return "training"
        case ActivationStudy():
            return "activations"
        case PathStudy():
            return f"layers on their way from their initial weights, on {measurement.split} speech"
        case ProbeStudy():
            return "probes of layers"
        case QuantisedStudy():
            return "layers in few bits"
        case AdaptationStudy(method="centralised"):
            return "centralised adaptation"
        case AdaptationStudy():
            return "adaptation" if measurement.federated.rounds else "test before adaptation"
        case SetStudy(exchanges=exchanges):
            return "resets of pairs of layers, and exchanges" if exchanges else "resets of sets that a search chose"
        case GreedyStudy():
            return "search for a set of layers"
        case ResetStudy(reset=reset):
            kept = ", statistics kept" if reset.statistics == "kept" else ""
            rewound = "" if reset.rewind is None else f", rewound to step {reset.rewind}"
            heard = f", on {_speech(measurement.corpus)}" if measurement.corpus else ""
            dev = ", on dev speech" if reset.split == "dev" else ""
            return f"resets of {reset.unit}s{rewound}{kept}{heard}{dev}"


def _speech(corpus: CorpusSettings) -> str:
    return "other synthetic voices" if isinstance(corpus, SyntheticSettings) else "people"
