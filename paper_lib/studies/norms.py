"""BatchNorm and GroupNorm under clients (slide "Batch Normalization vs Group Normalization"): all else is equal.

Two models that differ in their norm alone meet the same clients in the same rounds, with the same batches. Beside each
stands its pooled reference, so that what the clients cost is told apart from what the norm costs.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain

from paper_lib.federated.comparison import Adapted
from paper_lib.federated.plans import named_plan
from paper_lib.profiles import AdaptationProfile, Profile
from paper_lib.results import Record
from paper_lib.studies.adaptations import adaptation, centralised, unadapted
from paper_lib.studies.measurements import (
    Measurement,
    NotMeasuredError,
    StudyPlan,
    is_published,
    not_measured,
    record_of,
    store_of,
    stored_seeds,
)


@dataclass(frozen=True)
class NormRecords:
    """The models with one norm, by seed: as they were, after FedAvg, and with the clients' speech pooled."""

    norm: str
    before: tuple[Record, ...]
    centralised: tuple[Record, ...]
    federated: tuple[Record, ...]

    def adapted(self, domains: Collection[str]) -> dict[str, Adapted]:
        """Returns the word errors on `domains`: "before", "centralised" and "federated"."""
        groups = {"before": self.before, "centralised": self.centralised, "federated": self.federated}
        return {name: Adapted.of([record.result for record in of], domains) for name, of in groups.items()}


@dataclass(frozen=True)
class FederatedNormsRecords:
    """The models with BatchNorm, then those with GroupNorm, from the same seeds."""

    held_out: str
    norms: tuple[NormRecords, NormRecords]


@dataclass(frozen=True)
class FederatedNormsPlan(StudyPlan):
    """What the chapter wants to know; of a profile whose norm_seeds is none it is nothing."""

    @property
    def by_norm(self) -> dict[str, list[Measurement]]:
        """What is measured by the name of the norm: the trainings, and what follows each of them."""
        return {
            norm: list(chain.from_iterable(_of_seed(settings, seed) for seed in self._seeds))
            for norm, settings in self._settings.items()
        }

    @property
    def by_model(self) -> list[tuple[str, Measurement]]:
        clients = self.profile.adaptation.model_name
        return [(f"{clients}, {norm}", m) for norm, of_norm in self.by_norm.items() for m in of_norm]

    def records(self, workers: int | None = None) -> FederatedNormsRecords:
        """Returns all records, measured now where they are not stored, `workers` at a time.

        Of a profile whose records are published, nothing is measured here: it returns those of the seeds of which all
        is there. Raises NotMeasuredError where there is none.
        """
        if not self._seeds:
            raise NotMeasuredError(f"profile {self.profile.name} does not compare norms: its norm_seeds is none")
        store = store_of(self.profile)
        if not is_published(self.profile):
            self.measure(workers)
        both = self._settings.values()
        whole = stored_seeds({seed: [m for of in both for m in _of_seed(of, seed)] for seed in self._seeds}, store)
        if not whole:
            raise not_measured(self.profile)
        batch, group = (
            NormRecords(
                norm, *zip(*([record_of(m, store) for m in _of_seed(of, seed)[1:]] for seed in whole), strict=True)
            )
            for norm, of in self._settings.items()
        )
        return FederatedNormsRecords(self.profile.adaptation.held_out, (batch, group))

    def summary(self) -> list[str]:
        """Returns a line per norm with the WER that clients add and the names of its records, measured now."""
        self.measure()
        records = self.records()
        lines = []
        for one in records.norms:
            adapted = one.adapted((records.held_out,))
            added = adapted["federated"].less(adapted["centralised"]).mean.estimate()
            interval = f"{100 * added.value:+.2f} points [{100 * added.low:+.2f}, {100 * added.high:+.2f}]"
            of_norm = (*one.before, *one.centralised, *one.federated)
            names = " ".join(f"{record.kind}/{record.digest}.json" for record in of_norm)
            lines.append(f"{one.norm}: FedAvg − pooled, on {records.held_out} {interval}  {names}")
        return lines

    @property
    def _seeds(self) -> range:
        return range(self.profile.adaptation.norm_seeds or 0)

    @property
    def _settings(self) -> dict[str, AdaptationProfile]:
        """The profile's settings by the name of the norm, BatchNorm first."""
        settings = self.profile.adaptation
        encoders = [settings.model.encoder.model_copy(update={"norm": norm}) for norm in ("batch", "group")]
        return {
            encoder.norm_name: settings.model_copy(
                update={"model": settings.model.model_copy(update={"encoder": encoder})}
            )
            for encoder in encoders
        }


def _of_seed(settings: AdaptationProfile, seed: int) -> list[Measurement]:
    """Returns the training, then what NormRecords has of a seed, in its order."""
    federated = settings.federated
    return [
        settings.run(seed),
        unadapted(settings, seed, federated),
        centralised(settings, seed, federated),
        adaptation(settings, seed, named_plan("none", ()), federated),
    ]


def federated_norms(profile: Profile) -> FederatedNormsPlan:
    """Adapts the clients' first model with either norm, from each of the profile's norm_seeds."""
    return FederatedNormsPlan(profile)
