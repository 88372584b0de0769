"""What ranks are good for: bits by importance, training some layers alone, dropout planned without ablations.

Bits are first taken from models of size S after their training, which the dev speech has ranked and the test speech
judges. Then clients adapt their first model, with the settings of Federated Dropout and from its seeds: what only one
of the two chapters asks for is measured for it, the rest is shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random

from paper_lib.federated.choices import BITS, TRAINED, bits_plan, by_lot, trained_layers
from paper_lib.federated.client_ranks import client_quantities
from paper_lib.federated.plans import draws_of, named_plan, ranking_of
from paper_lib.layers.cheap_ranks import Quantity, without_variants
from paper_lib.layers.sweeps import harm_of
from paper_lib.profiles import AdaptationProfile, Profile
from paper_lib.results import Record, consult, looking
from paper_lib.settings import BitsPlan, DropoutPlan
from paper_lib.studies.adaptations import adaptation, unadapted
from paper_lib.studies.beyond import SIZE, BeyondPlan
from paper_lib.studies.measurements import (
    AdaptationStudy,
    Measurement,
    ProbeStudy,
    QuantisedStudy,
    ResetStudy,
    not_measured,
    record_of,
    run_of,
    seed_of,
    store_of,
    stored,
    stored_seeds,
)
from paper_lib.studies.use_records import (
    KINDS,
    RANKED_BY,
    Choice,
    Kind,
    QuantisedRecords,
    Rankings,
    Use,
    UseGroup,
    UsesRecords,
    alone,
)

# Plans of three layers at 50 %, of which the chapter on Federated Dropout has five draws by lot; by its name there, or
# by what ranks the layers in the place of resets.
DROPPED = ("amb-3", *RANKED_BY, "low-3", "random-3", "crit-3")
# A server that plans by what it sees in the rounds waits for so many of them.
WATCHED = 0.25
# Lots that are drawn after training, and in the rounds, which cost more.
DRAWS, ROUND_DRAWS = 5, 2


@dataclass(frozen=True)
class UsesPlan(BeyondPlan):
    """What the chapter wants to know.

    Choices are named once the records that rank the layers are stored.
    """

    @property
    def by_model(self) -> list[tuple[str, Measurement]]:
        """What can be named now, seed by seed."""
        named = chain.from_iterable(self._of_seed(seed, self._rankings(seed)) for seed in self.seeds)
        size_s, clients = self.profile.model_name(SIZE), self.profile.adaptation.model_name
        return [(size_s if run_of(m) == self.profile.run(SIZE, seed_of(m)) else clients, m) for m in named]

    @property
    def unnamed(self) -> list[Measurement]:
        """Stands for what can be named when more rankings are stored: the same, of layers in any order."""
        found = []
        for seed in self.seeds:
            rankings = self._rankings(seed)
            named = {one.digest() for one in self._of_seed(seed, rankings)}
            found += [one for one in self._of_seed(seed, self._anyhow | rankings) if one.digest() not in named]
        return list({one.digest(): one for one in found}.values())

    def records(self, workers: int | None = None) -> UsesRecords:
        """Returns all records, measured now where they are not stored, `workers` at a time.

        Of a profile whose records are published, nothing is measured here: of every kind of choice it returns those
        of the seeds of which all is there. Raises NotMeasuredError where that is nothing.
        """
        self.filled_store(workers)
        groups = {kind: group for kind in KINDS if (group := self._group(kind))}
        quantised = self._quantised_records()
        if not groups and not quantised:
            raise not_measured(self.profile)
        return UsesRecords(self._settings.held_out, quantised, groups)

    def summary(self) -> list[str]:
        """Returns a line per choice with its WER and the names of its records, measured now where not stored."""
        self.measure()
        records = self.records()
        lines = []
        if quantised := records.quantised:
            wer = quantised.intact.mean.estimate()
            names = " ".join(_file(record) for record in (*quantised.resets, *quantised.quantised))
            lines.append(f"S in few bits: {100 * wer.value:.2f} % in float32  {names}")
        for kind, group in records.groups.items():
            for use in (group.none, *group.uses):
                wer = use.adapted((records.held_out,)).mean.estimate()
                interval = f"{100 * wer.value:.2f} % [{100 * wer.low:.2f}, {100 * wer.high:.2f}]"
                names = " ".join(map(_file, use.adaptations))
                lines.append(f"{kind}, {use.name}: WER on {records.held_out} {interval}  {names}")
        return lines

    @property
    def _settings(self) -> AdaptationProfile:
        return self.profile.adaptation

    @property
    def _anyhow(self) -> dict[str, Sequence[int]]:
        """Rankings in no order, of all that is ranked."""
        of_clients, of_size = self._settings.model.encoder.layers, self.profile.models[SIZE].encoder.layers
        counts = {"S": of_size, **dict.fromkeys(("resets", *RANKED_BY.values()), of_clients)}
        # Unlike each other, as those to come will be.
        return {source: Random(source).sample(range(1, count + 1), count) for source, count in counts.items()}

    def _rankings(self, seed: int) -> dict[str, Sequence[int]]:
        """Returns the rankings whose records are stored: of the model of size S, and of the clients' first model."""
        store = store_of(self.profile)
        found: dict[str, Sequence[int]] = {}
        with looking():
            for name, reset in (("S", self._ranked(seed)), ("resets", self._reset(seed))):
                if record := stored(reset, store):
                    found[name] = ranking_of(harm_of(record.result).tolist())
            training, probe = stored(self._settings.run(seed), store), stored(self._probe(seed), store)
            quantities: list[Quantity] = []
            if training and probe:
                quantities += without_variants([training.result], [probe.result], probe.result["utterances"])
            if record := stored(self._adaptation(seed, Choice()), store):
                watched = max(1, round(WATCHED * self._settings.federated.rounds))
                quantities += client_quantities([{"reports": record.result["reports"][:watched]}])
        return found | {one.name: ranking_of(one.values[0].tolist()) for one in quantities}

    def _ranked(self, seed: int) -> ResetStudy:
        """Returns the resets that rank a model of size S: on dev speech, for the test speech is what is judged by."""
        reset = self.profile.reset.model_copy(update={"split": "dev", "draws": 0})
        return ResetStudy(run=self.profile.run(SIZE, seed), reset=reset)

    def _reset(self, seed: int) -> ResetStudy:
        return ResetStudy(run=self._settings.run(seed), reset=self._settings.reset)

    def _probe(self, seed: int) -> ProbeStudy:
        return ProbeStudy(run=self._settings.run(seed))

    def _of_seed(self, seed: int, rankings: Rankings) -> list[Measurement]:
        first, ranked = self._reset(seed), self._ranked(seed)
        found: list[Measurement] = [ranked.run, ranked, first.run, first, self._probe(seed)]
        if "S" in rankings:
            found.append(self._quantised(seed, rankings))
        if "resets" in rankings:
            found += [unadapted(self._settings, seed, self._settings.federated), self._adaptation(seed, Choice())]
            choices = chain.from_iterable(self._choices(kind, seed, rankings).values() for kind in KINDS)
            found += [self._adaptation(seed, choice) for choice in chain.from_iterable(choices)]
        return found

    def _adaptation(self, seed: int, choice: Choice) -> AdaptationStudy:
        return adaptation(self._settings, seed, choice.plan, self._settings.federated, choice.bits, choice.trained)

    def _quantised(self, seed: int, rankings: Rankings) -> QuantisedStudy:
        named = chain.from_iterable(self._bits(seed, rankings).values())
        layers = range(1, self.profile.models[SIZE].encoder.layers + 1)
        plans = {plan.name: plan for plan in (*named, *map(alone, layers))}
        return QuantisedStudy(
            run=self.profile.run(SIZE, seed), plans=tuple(plans.values()), batch_frames=self.profile.reset.batch_frames
        )

    def _bits(self, seed: int, rankings: Rankings) -> dict[str, list[BitsPlan]]:
        """Returns the plans of a model of size S by name and draw."""
        return {
            name: [bits_plan(name, rankings["S"], seed, draw).by_bits() for draw in range(DRAWS if by_lot(name) else 1)]
            for name in BITS
        }

    def _choices(self, kind: Kind, seed: int, rankings: Rankings) -> dict[str, list[Choice]]:
        """Returns the choices of a kind that can be named, by name and draw."""

        def draws(name: str) -> range:
            return range(ROUND_DRAWS if by_lot(name) else 1)

        ranking = rankings["resets"]
        if kind == "bits":
            return {name: [Choice(bits=bits_plan(name, ranking, seed, draw)) for draw in draws(name)] for name in BITS}
        if kind == "trained":
            return {
                name: [Choice(trained=trained_layers(name, ranking, seed, draw)) for draw in draws(name)]
                for name in TRAINED
            }
        return {
            name: [Choice(_dropped(name, rankings, seed, draw)) for draw in range(draws_of(name))]
            for name in DROPPED
            if RANKED_BY.get(name, "resets") in rankings
        }

    def _group(self, kind: Kind) -> UseGroup | None:
        """Returns the records of a kind of choices from the seeds of which all is stored, or nothing."""
        store, settings = store_of(self.profile), self._settings
        rankings = {seed: self._rankings(seed) for seed in self.seeds}
        names = {"bits": BITS, "trained": TRAINED, "dropout": DROPPED}[kind]
        choices = {seed: self._choices(kind, seed, of) for seed, of in rankings.items() if "resets" in of}
        wanted: dict[int, Sequence[Measurement]] = {
            seed: [
                unadapted(settings, seed, settings.federated),
                self._adaptation(seed, Choice()),
                *(self._adaptation(seed, choice) for choice in chain.from_iterable(of.values())),
            ]
            for seed, of in choices.items()
            if set(names) <= of.keys()
        }
        if not (whole := stored_seeds(wanted, store)):
            return None
        # Rankings rest on these, which are not shown.
        unseen: list[Measurement] = [one for seed in whole for one in (self._reset(seed), settings.run(seed))]
        if kind == "dropout":
            unseen += map(self._probe, whole)
        consult(record_of(one, store) for one in unseen)

        def use(name: str, drawn: Mapping[int, Sequence[Choice]]) -> Use:
            pairs = [(seed, choice) for seed in whole for choice in drawn[seed]]
            records = tuple(record_of(self._adaptation(seed, choice), store) for seed, choice in pairs)
            return Use(name, len(pairs) // len(whole), tuple(choice for _, choice in pairs), records)

        return UseGroup(
            before=tuple(record_of(unadapted(settings, seed, settings.federated), store) for seed in whole),
            none=use("none", {seed: [Choice()] for seed in whole}),
            uses=tuple(use(name, {seed: choices[seed][name] for seed in whole}) for name in names),
            rankings=tuple(rankings[seed] for seed in whole),
        )

    def _quantised_records(self) -> QuantisedRecords | None:
        store = store_of(self.profile)
        rankings = {seed: of for seed in self.seeds if "S" in (of := self._rankings(seed))}
        whole = stored_seeds({seed: [self._quantised(seed, of)] for seed, of in rankings.items()}, store)
        if not whole:
            return None
        return QuantisedRecords(
            resets=tuple(record_of(self._ranked(seed), store) for seed in whole),
            quantised=tuple(record_of(self._quantised(seed, rankings[seed]), store) for seed in whole),
            plans=tuple(self._bits(seed, rankings[seed]) for seed in whole),
        )


def _dropped(name: str, rankings: Rankings, seed: int, draw: int) -> DropoutPlan:
    source = RANKED_BY.get(name)
    return named_plan("amb-3" if source else name, rankings[source or "resets"], seed, draw=draw)


def _file(record: Record) -> str:
    return f"{record.kind}/{record.digest}.json"


def uses(profile: Profile) -> UsesPlan:
    """Rounds, trains and drops by rank, from each of the profile's beyond_seeds."""
    return UsesPlan(profile)
