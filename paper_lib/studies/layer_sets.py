"""Beyond the paper: layers of a trained model that are reset together, in pairs, by a search, and exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from paper_lib.inference import rate
from paper_lib.layers.orders import RANDOM_ORDERS, SearchedModel, sets_to_judge
from paper_lib.layers.sets import LayerSet, neighbours, pairs_of
from paper_lib.profiles import Profile
from paper_lib.results import Record, looking
from paper_lib.settings import ResetSettings
from paper_lib.studies.beyond import SIZE, BeyondPlan
from paper_lib.studies.measurements import (
    GreedyStudy,
    Measurement,
    ResetStudy,
    SetStudy,
    not_measured,
    record_of,
    store_of,
    stored,
    stored_seeds,
)


@dataclass(frozen=True)
class LayerSetRecords:
    """One trained model, and what was heard with sets of its layers reset."""

    seed: int
    training: Record
    reset: Record  # of single layers
    pairs: Record  # all pairs, neighbours in threes, neighbours exchanged
    greedy: Record  # the search, on dev speech
    judged: Record  # the sets that were chosen on dev speech

    @property
    def searched(self) -> SearchedModel:
        """What was chosen on dev speech, and heard on test speech."""
        on_test = [record.result for record in (self.reset, self.pairs, self.judged)]
        return SearchedModel.of(self.seed, self.greedy.result, on_test)


@dataclass(frozen=True)
class LayerSetsPlan(BeyondPlan):
    """What the chapter wants to know; the sets that a search comes to can be named once it is stored."""

    @property
    def by_model(self) -> list[tuple[str, Measurement]]:
        """What can be named now, by seed: a training, its resets, its pairs, the search, and what this has chosen."""
        name = self.profile.model_name(SIZE)
        return [(name, one) for one in chain.from_iterable(self._of_seed(seed) for seed in self.seeds)]

    @property
    def unnamed(self) -> list[Measurement]:
        """Stands for the sets that searches will come to: one for each, of as many as there may be."""
        layers = tuple(range(1, self._layers + 1))
        most = (layers,) * (self._layers * (2 + RANDOM_ORDERS) + 1)
        return [self._sets(seed, most) for seed in self.seeds if not self._judged(seed)]

    def records(self, workers: int | None = None) -> list[LayerSetRecords]:
        """Returns the records of every training, measured now where they are not stored, `workers` models at a time.

        Of a profile whose records are published, nothing is measured here: it returns those of the seeds of which all
        is there. Raises NotMeasuredError where there is none.
        """
        store = self.filled_store(workers)
        searched = {seed: self._of_seed(seed) for seed in self.seeds}
        if not (whole := stored_seeds(searched, store)):
            raise not_measured(self.profile)
        return [LayerSetRecords(seed, *(record_of(m, store) for m in searched[seed])) for seed in whole]

    def summary(self) -> list[str]:
        """Returns a line per training with what its ambient layers add together and its records' names.

        What is not stored is measured now.
        """
        self.measure()
        lines = []
        for records in self.records():
            model = records.searched
            found = f"{len(model.ambient)} layers ambient alone"
            if model.ambient:
                harm = rate(model.heard.added[model.ambient][None], model.heard.words).estimate()
                found += f", together {100 * harm.value:+.2f} points [{100 * harm.low:+.2f}, {100 * harm.high:+.2f}]"
            of_seed = (records.training, records.reset, records.pairs, records.greedy, records.judged)
            names = " ".join(f"{record.kind}/{record.digest}.json" for record in of_seed)
            lines.append(f"{SIZE} seed {records.seed}: {found}  {names}")
        return lines

    @property
    def _layers(self) -> int:
        return self.profile.models[SIZE].encoder.layers

    @property
    def _once(self) -> ResetSettings:
        """The profile's reset, of which only re-initialisation is asked."""
        return self.profile.reset.model_copy(update={"draws": 0})

    def _of_seed(self, seed: int) -> list[Measurement]:
        """Returns what LayerSetRecords has of a seed, in its order; without the last where the search is not stored."""
        run = self.profile.run(SIZE, seed)
        layers = range(1, self._layers + 1)
        sets = (*pairs_of(layers), *neighbours(self._layers, 3))
        return [
            run,
            ResetStudy(run=run, reset=self.profile.reset),
            self._sets(seed, sets, exchanges=layers[:-1]),
            self._search(seed),
            *self._judged(seed),
        ]

    def _search(self, seed: int) -> GreedyStudy:
        return GreedyStudy(run=self.profile.run(SIZE, seed), reset=self._once.model_copy(update={"split": "dev"}))

    def _judged(self, seed: int) -> list[SetStudy]:
        """Returns the study of the sets that the search from `seed` names; nothing where it is not stored."""
        with looking():
            record = stored(self._search(seed), store_of(self.profile))
        return [self._sets(seed, sets_to_judge(record.result, seed))] if record else []

    def _sets(self, seed: int, sets: Sequence[LayerSet], exchanges: Sequence[int] = ()) -> SetStudy:
        run = self.profile.run(SIZE, seed)
        return SetStudy(run=run, reset=self._once, sets=tuple(sets), exchanges=tuple(exchanges))


def layer_sets(profile: Profile) -> LayerSetsPlan:
    """Resets sets of layers of size S, from each of the profile's beyond_seeds."""
    return LayerSetsPlan(profile)
