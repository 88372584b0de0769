"""Which quick reading of a layer predicts the harm of its reset: what is measured on the trainings that are there.

On trainings of one size, their layers' ways from W(0) to W(T) and probes. Of the clients' models nothing is measured
anew: what a server sees of its clients' updates stands in the adaptations without dropout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from paper_lib.federated.plans import named_plan
from paper_lib.layers.criticality import Path
from paper_lib.profiles import Profile
from paper_lib.results import Record
from paper_lib.studies.adaptations import adaptation
from paper_lib.studies.beyond import SIZE, BeyondPlan
from paper_lib.studies.measurements import (
    Measurement,
    PathStudy,
    ProbeStudy,
    ResetStudy,
    not_measured,
    record_of,
    store_of,
    stored,
    stored_seeds,
)


@dataclass(frozen=True)
class LayerRecords:
    """One training, what resets of its layers do on test speech, and the readings that should tell it."""

    training: Record
    reset: Record
    path: Record
    probe: Record


@dataclass(frozen=True)
class ClientRecords:
    """The training that clients began with, what resets of its layers do, and their rounds without dropout."""

    training: Record
    reset: Record
    adaptation: Record


@dataclass(frozen=True)
class CheaperRanksRecords:
    """What has been measured, by seed; there may be no clients."""

    models: tuple[LayerRecords, ...]
    clients: tuple[ClientRecords, ...]


@dataclass(frozen=True)
class CheaperRanksPlan(BeyondPlan):
    """What the chapter wants to know."""

    @property
    def of_models(self) -> list[Measurement]:
        """The trainings of size S, and what is measured on each."""
        return list(chain.from_iterable(map(self._of_model, self.seeds)))

    @property
    def of_clients(self) -> list[Measurement]:
        """The trainings that clients begin with, their resets, and the first adaptation of each: none is of this alone.

        Those of the page on Federated Dropout, whose order they keep: first the resets, then the adaptation. Further
        adaptations from the same training would tell of no more layers.
        """
        store = store_of(self.profile)
        found: list[Measurement] = []
        for run, reset, adapted in map(self._of_client, self._client_seeds):
            found += [run, reset, *([adapted] if stored(reset, store) else ())]
        return found

    @property
    def by_model(self) -> list[tuple[str, Measurement]]:
        name, clients = self.profile.model_name(SIZE), self.profile.adaptation.model_name
        return [*((name, m) for m in self.of_models), *((clients, m) for m in self.of_clients)]

    def records(self, workers: int | None = None) -> CheaperRanksRecords:
        """Returns all records, measured now where they are not stored, `workers` at a time.

        Of a profile whose records are published, nothing is measured here: it returns those of the seeds of which all
        is there. Raises NotMeasuredError where no training is.
        """
        store = self.filled_store(workers)

        def whole(by_seed: Mapping[int, Sequence[Measurement]]) -> list[list[Record]]:
            return [[record_of(one, store) for one in by_seed[seed]] for seed in stored_seeds(by_seed, store)]

        models = whole({seed: self._of_model(seed) for seed in self.seeds})
        if not models:
            raise not_measured(self.profile)
        clients = whole({seed: self._of_client(seed) for seed in self._client_seeds})
        return CheaperRanksRecords(
            tuple(LayerRecords(*of_seed) for of_seed in models), tuple(ClientRecords(*of_seed) for of_seed in clients)
        )

    def summary(self) -> list[str]:
        """Returns a line per training with its most critical layer by the way, and its records' names, measured now."""
        self.measure()
        records = self.records()
        lines = []
        for one in records.models:
            path = Path.read(one.path.result)
            of_model = (one.training, one.reset, one.path, one.probe)
            names = " ".join(f"{record.kind}/{record.digest}.json" for record in of_model)
            lines.append(
                f"{SIZE} seed {one.training.settings['seed']}: on its way to W(T) layer {path.mean_rise.argmax() + 1} "
                f"costs most, {100 * path.mean_rise.max():+.1f} points of dev WER  {names}"
            )
        for client in records.clients:
            of_client = (client.training, client.reset, client.adaptation)
            names = " ".join(f"{record.kind}/{record.digest}.json" for record in of_client)
            lines.append(f"clients seed {client.training.settings['seed']}:  {names}")
        return lines

    @property
    def _client_seeds(self) -> range:
        settings = self.profile.adaptation
        return range(min(settings.seeds, settings.trainings)) if self.seeds else range(0)

    def _of_model(self, seed: int) -> list[Measurement]:
        """Returns what LayerRecords has, in its order."""
        run = self.profile.run(SIZE, seed)
        return [run, ResetStudy(run=run, reset=self.profile.reset), PathStudy(run=run), ProbeStudy(run=run)]

    def _of_client(self, seed: int) -> list[Measurement]:
        """Returns what ClientRecords has, in its order."""
        settings = self.profile.adaptation
        run = settings.run(seed)
        return [
            run,
            ResetStudy(run=run, reset=settings.reset),
            adaptation(settings, seed, named_plan("none", ()), settings.federated),
        ]


def cheaper_ranks(profile: Profile) -> CheaperRanksPlan:
    """Measures cheap readings of the layers of size S, from each of the profile's beyond_seeds."""
    return CheaperRanksPlan(profile)
