"""The paper's second experiment: a streaming model is trained without a domain, ranked, and adapted by clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from paper_lib.federated.comparison import Adapted
from paper_lib.federated.plans import BASE_RATE, PLANS, draws_of, named_plan, own_plan, ranking_of
from paper_lib.layers.sweeps import harm_of
from paper_lib.profiles import AdaptationProfile, Profile
from paper_lib.results import Record, Store, looking
from paper_lib.settings import DropoutPlan, FederatedSettings
from paper_lib.studies.adaptations import adaptation, centralised, unadapted
from paper_lib.studies.measurements import (
    AdaptationStudy,
    Measurement,
    ResetStudy,
    StudyPlan,
    is_published,
    not_measured,
    record_of,
    store_of,
    stored,
    stored_seeds,
)

# Four layers of either kind at one half, and what both are measured by: asked of people before the others.
FIRST_PLANS = ("none", "flat-4", "amb-4", "crit-4")
# What the paper does not tell, and on which the answer may hang, is varied with these plans: the rates dropped in the
# layers that a plan does not name, whether kept units are scaled, and, of FedAvg, the share of the server's rate.
SENSITIVE_PLANS = ("crit-3", "amb-3", "flat-3")
BASE_RATES = (0.0, 0.1, 0.2)
RESCALING = (False, True)
SERVER_SHARES = (1.0, 0.5, 0.25)
Varied = Literal["base rate", "rescaling", "server rate"]
Rankings = Mapping[int, Sequence[int]]  # by seed: layers, from 1, from the most ambient


@dataclass(frozen=True)
class PlanRecords:
    """One plan, from every seed: what was dropped where, and how the adaptations went."""

    name: str
    draws: int  # of the plan's layers by each seed: 1 but for random-N
    plans: tuple[DropoutPlan, ...]  # by seed, and by draw: the ranking, and so the layers, may differ
    adaptations: tuple[Record, ...]  # likewise


@dataclass(frozen=True)
class VariedRecords:
    """Adaptations in which one thing that the paper does not tell was varied, from the seeds of which all are there."""

    seeds: tuple[int, ...]  # not all of them those from which every plan was measured, perhaps
    before: tuple[Record, ...]  # by seed
    by_value: Mapping[float, tuple[PlanRecords, ...]]  # a rate, whether units are scaled, a share


@dataclass(frozen=True)
class AdaptationRecords:
    """Everything of the second experiment. What is by seed belongs to the training that the seed begins with."""

    held_out: str
    seeds: tuple[int, ...]
    trainings: tuple[Record, ...]
    resets: tuple[Record, ...]  # of the trainings' layers, on dev speech
    rankings: tuple[tuple[int, ...], ...]  # by seed; layers, from 1, from the most ambient
    before: tuple[Record, ...]  # by seed
    centralised: tuple[Record, ...]  # by seed
    plans: tuple[PlanRecords, ...]
    sensitivity: Mapping[Varied, VariedRecords]  # of what has been varied


@dataclass(frozen=True)
class _Planned:
    """The adaptations by one plan, as PlanRecords has them."""

    name: str
    plans: tuple[DropoutPlan, ...]
    studies: tuple[AdaptationStudy, ...]

    def records(self, store: Store) -> PlanRecords:
        records = tuple(record_of(study, store) for study in self.studies)
        return PlanRecords(self.name, draws_of(self.name), self.plans, records)


@dataclass(frozen=True)
class AdaptationPlan(StudyPlan):
    """What the chapter wants to know; adaptations can be named once the rankings that their plans need are stored."""

    seeds: int
    names: tuple[str, ...]
    own: str | None
    elsewhere: float
    federated: FederatedSettings

    @property
    def by_model(self) -> list[tuple[str, Measurement]]:
        """What can be named now: the trainings and their rankings, then the adaptations of every ranked seed."""
        first: list[Measurement] = [measurement for reset in self._resets for measurement in (reset.run, reset)]
        then = chain.from_iterable(self._of_seed(seed, ranking) for seed, ranking in self.rankings().items())
        return [(self._settings.model_name, measurement) for measurement in (*first, *then)]

    @property
    def unnamed(self) -> list[Measurement]:
        """Stands for what can be named when more rankings are stored: as many adaptations, of layers in any order."""
        anyhow = range(1, self._settings.model.encoder.layers + 1)
        seeds = sorted(set(range(self.seeds)) - self.rankings().keys())
        named = chain.from_iterable(self._of_seed(seed, anyhow) for seed in seeds)
        return list({study.digest(): study for study in named}.values())

    def rankings(self) -> dict[int, list[int]]:
        """Returns the layers, from the most ambient, of the training of every seed whose resets are stored."""
        store = store_of(self.profile)
        with looking():
            found = [stored(reset, store) for reset in self._resets]
        ranked = [ranking_of(harm_of(record.result).tolist()) if record else None for record in found]
        of_seed = {seed: ranked[seed % self._settings.trainings] for seed in range(self.seeds)}
        return {seed: ranking for seed, ranking in of_seed.items() if ranking}

    def records(self, workers: int | None = None) -> AdaptationRecords:
        """Returns all records, measured now where they are not stored, `workers` at a time.

        Of a profile whose records are published, nothing is measured here: it returns those of the seeds of which all
        plans are there. Raises NotMeasuredError where there is none.
        """
        store = store_of(self.profile)
        if not is_published(self.profile):
            self.measure(workers)
        rankings = self.rankings()
        whole = stored_seeds({seed: self._compared(seed, ranking) for seed, ranking in rankings.items()}, store)
        if not whole:
            raise not_measured(self.profile)
        resets = [self._resets[number] for number in sorted({seed % self._settings.trainings for seed in whole})]
        by_seed = [rankings[seed] for seed in whole]
        return AdaptationRecords(
            held_out=self._settings.held_out,
            seeds=tuple(whole),
            trainings=tuple(record_of(reset.run, store) for reset in resets),
            resets=tuple(record_of(reset, store) for reset in resets),
            rankings=tuple(map(tuple, by_seed)),
            before=tuple(self._before(seed, store) for seed in whole),
            centralised=tuple(record_of(centralised(self._settings, seed, self.federated), store) for seed in whole),
            plans=tuple(planned.records(store) for planned in self._plans(dict(zip(whole, by_seed, strict=True)))),
            sensitivity=self._varied_records(rankings, store),
        )

    def summary(self) -> list[str]:
        """Returns a line per plan with its WER on the held-out domain and the names of its records, measured now."""
        self.measure()
        records = self.records()
        named = {plan.name: plan for plan in records.plans} | {
            f"{varied} {value:g}, {plan.name}": plan
            for varied, of in records.sensitivity.items()
            for value, plans in of.by_value.items()
            for plan in plans
        }
        lines = []
        for name, plan in named.items():
            results = [record.result for record in plan.adaptations]
            wer = Adapted.of(results, (records.held_out,), plan.draws).mean.estimate()
            interval = f"{100 * wer.value:.2f} % [{100 * wer.low:.2f}, {100 * wer.high:.2f}]"
            names = " ".join(f"{record.kind}/{record.digest}.json" for record in plan.adaptations)
            lines.append(f"{name}: WER on {records.held_out} {interval}  {names}")
        return lines

    @property
    def _settings(self) -> AdaptationProfile:
        return self.profile.adaptation

    @property
    def _resets(self) -> list[ResetStudy]:
        return [self._reset(training) for training in range(min(self.seeds, self._settings.trainings))]

    def _reset(self, seed: int) -> ResetStudy:
        return ResetStudy(run=self._settings.run(seed), reset=self._settings.reset)

    @property
    def _sensitivity_seeds(self) -> list[int]:
        """The seeds from which what the paper does not tell is varied."""
        return [seed for seed in self._settings.sensitivity_seeds or () if seed < self.seeds]

    def _of_seed(self, seed: int, ranking: Sequence[int]) -> list[Measurement]:
        varied = self._varied(seed, ranking) if seed in self._sensitivity_seeds else {}
        return [*self._compared(seed, ranking), *chain.from_iterable(varied.values())]

    def _compared(self, seed: int, ranking: Sequence[int]) -> list[Measurement]:
        by_plan = chain.from_iterable(planned.studies for planned in self._plans({seed: ranking}))
        before = unadapted(self._settings, seed, self.federated)
        return [before, *by_plan, centralised(self._settings, seed, self.federated)]

    def _varied(self, seed: int, ranking: Sequence[int]) -> dict[Varied, list[Measurement]]:
        before = unadapted(self._settings, seed, self.federated)
        return {
            varied: [before, *(study for group in groups.values() for planned in group for study in planned.studies)]
            for varied, groups in self._sensitivity({seed: ranking}).items()
        }

    def _varied_records(self, rankings: Rankings, store: Store) -> dict[Varied, VariedRecords]:
        wanted = {seed: self._varied(seed, rankings[seed]) for seed in self._sensitivity_seeds if seed in rankings}
        names: list[Varied] = list(next(iter(wanted.values()), {}))
        seeds = {name: stored_seeds({seed: of[name] for seed, of in wanted.items()}, store) for name in names}
        return {
            name: VariedRecords(
                seeds=tuple(few),
                before=tuple(self._before(seed, store) for seed in few),
                by_value={
                    value: tuple(planned.records(store) for planned in group)
                    for value, group in self._sensitivity({seed: rankings[seed] for seed in few})[name].items()
                },
            )
            for name, few in seeds.items()
            if few
        }

    def _before(self, seed: int, store: Store) -> Record:
        return record_of(unadapted(self._settings, seed, self.federated), store)

    def _plans(self, rankings: Rankings) -> list[_Planned]:
        planned = [self._planned(name, rankings, self.elsewhere, self.federated) for name in self.names]
        if self.own is None:
            return planned
        own = {seed: own_plan(self.own, len(ranking)) for seed, ranking in rankings.items()}
        studies = [adaptation(self._settings, seed, plan, self.federated) for seed, plan in own.items()]
        return [*planned, _Planned("own", tuple(own.values()), tuple(studies))]

    def _planned(self, name: str, rankings: Rankings, elsewhere: float, federated: FederatedSettings) -> _Planned:
        """Returns the adaptations by the plan called `name` from the seeds that `rankings` are of."""
        drawn = [(seed, draw) for seed in rankings for draw in range(draws_of(name))]
        plans = [named_plan(name, rankings[seed], seed, elsewhere, draw) for seed, draw in drawn]
        studies = [
            adaptation(self._settings, seed, plan, federated) for (seed, _), plan in zip(drawn, plans, strict=True)
        ]
        return _Planned(name, tuple(plans), tuple(studies))

    def _sensitivity(self, rankings: Rankings) -> dict[Varied, dict[float, list[_Planned]]]:
        def planned(names: Sequence[str], elsewhere: float = self.elsewhere, **changes: Any) -> list[_Planned]:
            federated = self.federated.model_copy(update=changes)
            return [self._planned(name, rankings, elsewhere, federated) for name in names]

        rate = self.federated.server.learning_rate
        servers = {
            share: self.federated.server.model_copy(update={"learning_rate": share * rate}) for share in SERVER_SHARES
        }
        return {
            "base rate": {base: planned(SENSITIVE_PLANS, base) for base in BASE_RATES},
            "rescaling": {
                scaled: planned(SENSITIVE_PLANS, kept_units="scaled" if scaled else None) for scaled in RESCALING
            },
            "server rate": {share: planned(("none",), server=server) for share, server in servers.items()},
        }


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
