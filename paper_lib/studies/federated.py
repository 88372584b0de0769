"""The paper's second experiment: a streaming model is trained without a domain, ranked, and adapted by clients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from paper_lib.federated.comparison import Adapted
from paper_lib.federated.plans import BASE_RATE, PLANS, named_plan, own_plan, ranking_of
from paper_lib.layers.sweeps import harm_of
from paper_lib.profiles import AdaptationProfile, Profile
from paper_lib.results import Record
from paper_lib.settings import DropoutPlan, FederatedSettings
from paper_lib.studies.measurements import (
    AdaptationStudy,
    Measurement,
    ResetStudy,
    compute_missing,
    record_of,
    store_of,
    stored,
)

CENTRALISED = "centralised"


@dataclass(frozen=True)
class PlanRecords:
    """One plan, from every seed: what was dropped where, and how the adaptations went."""

    name: str
    plans: tuple[DropoutPlan, ...]  # by seed: the ranking, and so the layers, may differ
    adaptations: tuple[Record, ...]  # by seed


@dataclass(frozen=True)
class AdaptationRecords:
    """Everything of the second experiment. What is by seed belongs to the training that the seed begins with."""

    held_out: str
    trainings: tuple[Record, ...]
    resets: tuple[Record, ...]  # of the trainings' layers, on dev speech
    rankings: tuple[tuple[int, ...], ...]  # by seed; layers, from 1, from the most ambient
    before: tuple[Record, ...]  # by seed
    centralised: tuple[Record, ...]  # by seed
    plans: tuple[PlanRecords, ...]


@dataclass(frozen=True)
class AdaptationPlan:
    """What the chapter wants to know; adaptations can be named once the rankings that their plans need are stored."""

    profile: Profile
    seeds: int
    names: tuple[str, ...]
    own: str | None
    elsewhere: float
    federated: FederatedSettings

    @property
    def measurements(self) -> list[Measurement]:
        """What can be named now: the trainings and their rankings, then the adaptations of every ranked seed."""
        first: list[Measurement] = [measurement for reset in self._resets for measurement in (reset.run, reset)]
        named = (self._adaptations(seed, self._plans(seed)) for seed in range(self.seeds) if self._is_ranked(seed))
        return [*first, *chain.from_iterable(named)]

    @property
    def unnamed(self) -> list[Measurement]:
        """Stands for what can be named when more rankings are stored: no fewer adaptations, all of them by no plan."""
        plans = [named_plan("none", ())] * (len(self.names) + (self.own is not None))
        seeds = (seed for seed in range(self.seeds) if not self._is_ranked(seed))
        return list(chain.from_iterable(self._adaptations(seed, plans) for seed in seeds))

    @property
    def is_stored(self) -> bool:
        """Whether all of it has been measured."""
        store = store_of(self.profile)
        return all(stored(measurement, store) is not None for measurement in self.measurements)

    def records(self, workers: int | None = None) -> AdaptationRecords:
        """Returns all records, measured now where they are not stored, `workers` at a time."""
        store = store_of(self.profile)
        compute_missing([self], store, workers)
        seeds = range(self.seeds)
        resets = self._resets
        plans = [self._plans(seed) for seed in seeds]  # [seeds][plans]
        return AdaptationRecords(
            held_out=self._settings.held_out,
            trainings=tuple(record_of(reset.run, store) for reset in resets),
            resets=tuple(record_of(reset, store) for reset in resets),
            rankings=tuple(tuple(self._ranking(seed)) for seed in seeds),
            before=tuple(record_of(self._before(seed), store) for seed in seeds),
            centralised=tuple(record_of(self._centralised(seed), store) for seed in seeds),
            plans=tuple(
                PlanRecords(
                    name=of_seeds[0].name,
                    plans=tuple(of_seeds),
                    adaptations=tuple(
                        record_of(self._adaptation(seed, plan), store) for seed, plan in enumerate(of_seeds)
                    ),
                )
                for of_seeds in zip(*plans, strict=True)
            ),
        )

    def summary(self) -> list[str]:
        """Returns a line per plan with its WER on the held-out domain and the names of its records."""
        records = self.records()
        lines = []
        for plan in records.plans:
            wer = Adapted.of([record.result for record in plan.adaptations], (records.held_out,)).mean.estimate()
            interval = f"{100 * wer.value:.2f} % [{100 * wer.low:.2f}, {100 * wer.high:.2f}]"
            names = " ".join(f"{record.kind}/{record.digest}.json" for record in plan.adaptations)
            lines.append(f"{plan.name}: WER on {records.held_out} {interval}  {names}")
        return lines

    @property
    def _settings(self) -> AdaptationProfile:
        return self.profile.adaptation

    @property
    def _resets(self) -> list[ResetStudy]:
        return [self._reset(training) for training in range(min(self.seeds, self._settings.trainings))]

    def _reset(self, seed: int) -> ResetStudy:
        return ResetStudy(run=self._settings.run(seed), reset=self._settings.reset)

    def _is_ranked(self, seed: int) -> bool:
        return stored(self._reset(seed), store_of(self.profile)) is not None

    def _ranking(self, seed: int) -> list[int]:
        record = stored(self._reset(seed), store_of(self.profile))
        if record is None:
            raise RuntimeError(f"the ranking of seed {seed} is needed before its adaptations; it is not stored")
        return ranking_of(harm_of(record.result).tolist())

    def _plans(self, seed: int) -> list[DropoutPlan]:
        ranking = self._ranking(seed)
        plans = [named_plan(name, ranking, seed, self.elsewhere) for name in self.names]
        return plans if self.own is None else [*plans, own_plan(self.own, len(ranking))]

    def _adaptations(self, seed: int, plans: Sequence[DropoutPlan]) -> list[Measurement]:
        by_plan = (self._adaptation(seed, plan) for plan in plans)
        return [self._before(seed), *by_plan, self._centralised(seed)]

    def _adaptation(self, seed: int, plan: DropoutPlan) -> AdaptationStudy:
        return AdaptationStudy(
            run=self._settings.run(seed),
            held_out=self._settings.held_out,
            plan=plan.by_rates(),  # crit-2 and high-2, where they drop in the same layers, are one measurement
            federated=self.federated.model_copy(update={"seed": seed}),
            measure_every=self._settings.measure_every,
            batch_frames=self._settings.reset.batch_frames,
        )

    def _centralised(self, seed: int) -> AdaptationStudy:
        pooled = {"server": self._settings.centralised, "local_batch_frames": self._settings.centralised_batch_frames}
        federated = self.federated.model_copy(update={"seed": seed, **pooled})
        study = self._adaptation(seed, named_plan("none", ()))
        return study.model_copy(update={"method": CENTRALISED, "federated": federated})

    def _before(self, seed: int) -> AdaptationStudy:
        settings = self.federated.model_copy(update={"rounds": 0, "seed": seed % self._settings.trainings})
        return self._adaptation(seed, named_plan("none", ())).model_copy(update={"federated": settings})


def federated_dropout(
    profile: Profile,
    seeds: int | None = None,
    plans: Sequence[str] = PLANS,
    own: str | None = None,
    elsewhere: float = BASE_RATE,
    rounds: int | None = None,
    masks: str = "client",
) -> AdaptationPlan:
    """Adapts the streaming model to the held-out domain by every plan (slides "Applications: Federated Dropout").

    `seeds` and `rounds` default to the profile's; `elsewhere` is the rate of the layers that a plan does not name.
    """
    settings = profile.adaptation
    changes: dict[str, Any] = {"masks": masks} | ({} if rounds is None else {"rounds": rounds})
    federated = settings.federated.model_copy(update=changes)
    return AdaptationPlan(profile, seeds or settings.seeds, tuple(plans), own, elsewhere, federated)
