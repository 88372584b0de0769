"""The records of a profile as tables, for a notebook, a spreadsheet or a script of one's own.

    from paper_lib import tables

    tables.load("laptop").table("reset_sweep")

Tables are pandas DataFrames of what has been measured so far, read from records alone: nothing is computed, and no
torch is needed. WERs are fractions, changes are in points of per cent; layers count from 1. What does not apply is NA.
`run` names the training that a row is about, in every table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from paper_lib.evaluation import Spoken
from paper_lib.federated.plans import draws_of, named_plan
from paper_lib.layers.matrices import MATRICES
from paper_lib.layers.signature import signature
from paper_lib.profiles import SIZES, profile_of
from paper_lib.results import Record, by_step, record_digest
from paper_lib.settings import DropoutPlan, TrainingRun
from paper_lib.studies.federated import BASE_RATES, AdaptationPlan
from paper_lib.studies.inventory import Inventory, Wanted
from paper_lib.studies.measurements import KINDS, AdaptationStudy, ResetStudy, corpus_of, run_of

if TYPE_CHECKING:
    from pandas import DataFrame

INSTALL = "python -m pip install pandas pyarrow"

# Of the training that a row is about.
_RUN = {
    "run": "string",  # digest of the training's record
    "model": "string",  # as the list of records calls it: "S GroupNorm, 4 groups"
    "size": "string",
    "dim": "Int64",
    "layers": "Int64",
    "norm": "string",
    "groups": "Int64",  # of GroupNorm
    "seed": "Int64",  # of the training; of an adaptation, its own
    "trained_on": "string",  # source of the corpus
}
# Of every table, the columns with their types, in order.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    # One row per reset of a layer or a module, draw, and training.
    "reset_sweep": {
        "digest": "string",
        **_RUN,
        "layer": "Int64",
        "module": "string",  # NA: the whole layer
        "kind": "string",  # re-initialisation or re-randomisation
        "draw": "Int64",  # of a re-randomisation
        "rewound_to": "Int64",  # step whose weights are put back; NA: the initial ones
        "statistics": "string",  # of BatchNorm: reset with the layer, or kept
        "heard": "string",  # source of the corpus that was recognised
        "split": "string",
        "wer": "float64",
        "errors": "Int64",
        "words": "Int64",
        "intact_wer": "float64",
        "change_points": "float64",  # WER with the reset less WER without
    },
    # One row per measurement of the dev WER while a model was trained.
    "training": {**_RUN, "step": "Int64", "dev_wer": "float64"},
    # One row per weight matrix, layer and recorded step of a training.
    "signatures": {
        **_RUN,
        "step": "Int64",
        "layer": "Int64",
        "matrix": "string",
        "distance": "float64",  # Frobenius norm of the change since step 0
        "signature": "float64",  # the same over the maximum across layers
    },
    # One row per adaptation and domain of the test.
    "adaptation": {
        "digest": "string",
        **_RUN,
        "plan": "string",  # all names that a plan of these rates has, from this seed; NA: your own
        "rates": "string",  # "5:0.5 6:0.5 rest:0.1"
        "bits": "string",  # of what is sent, "1:2 2:6 rest:4"; NA: float32
        "trained": "string",  # layers that clients train alone, "1 2"; NA: all of the model
        "method": "string",  # federated or centralised
        "rounds": "Int64",  # 0: before adaptation
        "masks": "string",
        "kept_units": "string",
        "server_learning_rate": "float64",
        "domain": "string",
        "held_out": "boolean",
        "wer": "float64",
        "errors": "Int64",
        "words": "Int64",
    },
}


class TablesError(RuntimeError):
    """A table cannot be had; the message, one line, says what is needed or what there is."""


@dataclass(frozen=True)
class Intact:
    """What a trained model heard of a test: the sweep that tells it, and (id, speaker, text, hypothesis) each."""

    digest: str
    heard: tuple[tuple[str, str, str, str], ...]


class Tables:
    """What has been measured at a profile."""

    def __init__(self, profile: str) -> None:
        self._inventory = Inventory(profile_of(profile))
        self._stored = [one for one in self._inventory.wanted() if one.record]
        if not self._stored:
            raise TablesError(f"profile {profile_of(profile).name} has no records yet, of which tables could be made")

    def table(self, name: str) -> DataFrame:
        """Returns the table called `name`, with the columns of `COLUMNS`; it may be empty.

        Raises TablesError where there is no such table, or no pandas.
        """
        if name not in COLUMNS:
            raise TablesError(f"there is no table {name!r}; there are {', '.join(COLUMNS)}")
        try:
            import pandas
        except ImportError:
            raise TablesError(f"tables are made by pandas, which is not installed: {INSTALL}") from None
        rows = [row for one in self._stored for row in _ROWS[name](self, one, _record(one))]
        return pandas.DataFrame(rows, columns=list(COLUMNS[name])).astype(dict(COLUMNS[name]))

    def intact(self) -> Iterator[Intact]:
        """Yields what was heard in every reset sweep with nothing reset."""
        for one in self._stored:
            if isinstance(one.measurement, ResetStudy):
                record = _record(one)
                spoken = Spoken.read(record.result)
                hypotheses = spoken.hypotheses(record.result["intact"])
                heard = zip(spoken.ids, spoken.speakers, spoken.references, hypotheses, strict=True)
                yield Intact(record.digest, tuple(heard))

    def plans(self) -> list[dict[str, Any]]:
        """Returns the plans of Federated Dropout of every seed whose training is ranked, each with the rate by layer.

        {"plan": "amb-2", "seed": 0, "draw": 0, "rates": {1: 0.1, 2: 0.5, ...}}; `draw` counts those of random-N.
        """
        return [
            {
                "plan": name,
                "seed": seed,
                "draw": draw,
                "rates": {layer: plan.rate(layer) for layer in sorted(ranking)},
            }
            for seed, ranking in self._rankings.items()
            for name, draw, plan in _named(self._adaptations, ranking, seed, self._adaptations.elsewhere)
        ]

    @property
    def _adaptations(self) -> AdaptationPlan:
        (plan,) = (plan for plan in self._inventory.plans.values() if isinstance(plan, AdaptationPlan))
        return plan

    @cached_property
    def _rankings(self) -> dict[int, list[int]]:
        return self._adaptations.rankings()

    @cached_property
    def _plan_names(self) -> dict[tuple[int, str], list[str]]:
        """The names of plans, by seed and by what they drop where."""
        found: dict[tuple[int, str], list[str]] = {}
        for seed, ranking in self._rankings.items():
            for elsewhere in {self._adaptations.elsewhere, *BASE_RATES}:
                for name, _, plan in _named(self._adaptations, ranking, seed, elsewhere):
                    names = found.setdefault((seed, plan.by_rates().name), [])
                    if name not in names:
                        names.append(name)
        return found

    def _resets(self, one: Wanted, record: Record) -> Iterator[dict[str, Any]]:
        if not isinstance(study := one.measurement, ResetStudy):
            return
        about, words = _run(one), int(Spoken.read(record.result).words.sum())
        intact = _errors(record.result["intact"])
        for reset in record.result["resets"]:
            errors = _errors(reset["misheard"])
            yield {
                "digest": record.digest,
                **about,
                **{name: reset[name] for name in ("layer", "module", "kind")},
                "draw": reset["draw"] if reset["kind"] == "re-randomisation" else None,
                "rewound_to": study.reset.rewind,
                "statistics": study.reset.statistics if study.run.model.encoder.norm == "batch" else None,
                "heard": (study.corpus or study.run.corpus).source,
                "split": study.reset.split or "test",
                "wer": errors / words,
                "errors": errors,
                "words": words,
                "intact_wer": intact / words,
                "change_points": 100 * (errors - intact) / words,
            }

    def _curves(self, one: Wanted, record: Record) -> Iterator[dict[str, Any]]:
        if isinstance(one.measurement, TrainingRun):
            about = _run(one)
            for step, wer in by_step(record.result["dev_wer"]).items():
                yield {**about, "step": step, "dev_wer": wer}

    def _signatures(self, one: Wanted, record: Record) -> Iterator[dict[str, Any]]:
        if not isinstance(one.measurement, TrainingRun):
            return
        about = _run(one)
        for place, step in enumerate(record.result["distance_steps"]):
            signatures = signature(record.result, step=step)
            for matrix, by_layer in zip(MATRICES, signatures.tolist(), strict=True):
                for layer, value in enumerate(by_layer, 1):
                    distance = record.result["distances"][f"layers.{layer - 1}.{matrix}.weight"][place]
                    told = {"layer": layer, "matrix": matrix, "distance": distance, "signature": value}
                    yield {**about, "step": step, **told}

    def _adapted(self, one: Wanted, record: Record) -> Iterator[dict[str, Any]]:
        if not isinstance(study := one.measurement, AdaptationStudy):
            return
        spoken = Spoken.read(record.result)
        errors = spoken.errors(record.result["misheard"])
        federated = study.method == "federated" and study.federated.rounds > 0
        about, names = _run(one), self._plan_names.get((study.federated.seed, study.plan.name), [])
        for domain in sorted(set(spoken.domains)):
            chosen = spoken.of_domains((domain,))
            yield {
                "digest": record.digest,
                **about,
                "plan": (", ".join(names) or None) if federated else None,
                "rates": study.plan.name if federated else None,
                "bits": study.bits.name if study.bits else None,
                "trained": " ".join(map(str, study.trained)) if study.trained else None,
                "method": study.method,
                "rounds": study.federated.rounds,
                "masks": study.federated.masks if federated else None,
                "kept_units": study.federated.kept_units,
                "server_learning_rate": study.federated.server.learning_rate,
                "domain": domain,
                "held_out": domain == study.held_out,
                "wer": errors[chosen].sum() / spoken.words[chosen].sum(),
                "errors": int(errors[chosen].sum()),
                "words": int(spoken.words[chosen].sum()),
            }


_ROWS = {
    "reset_sweep": Tables._resets,
    "training": Tables._curves,
    "signatures": Tables._signatures,
    "adaptation": Tables._adapted,
}


def load(profile: str) -> Tables:
    """Returns what has been measured at `profile`, a built-in one or a file.

    Raises ProfileError where there is no such profile, and TablesError where nothing has been measured.
    """
    return Tables(profile)


def _record(one: Wanted) -> Record:
    assert one.record is not None  # of those that are stored
    return one.record


def _errors(misheard: Sequence[Sequence[Any]]) -> int:
    return sum(errors for _, errors, _ in misheard)


def _run(one: Wanted) -> dict[str, Any]:
    """Returns the columns of the training that a measurement is about."""
    run, encoder = run_of(one.measurement), run_of(one.measurement).model.encoder
    size = one.model.partition(" ")[0]
    return {
        "run": record_digest(KINDS[TrainingRun], run, corpus_of(run).digest),
        "model": one.model,
        "size": size if size in SIZES else None,
        "dim": encoder.dim,
        "layers": encoder.layers,
        "norm": encoder.norm,
        "groups": encoder.groups if encoder.norm == "group" else None,
        "seed": one.seed,
        "trained_on": run.corpus.source,
    }


def _named(
    adaptations: AdaptationPlan, ranking: Sequence[int], seed: int, elsewhere: float
) -> Iterator[tuple[str, int, DropoutPlan]]:
    """Yields the plans that are compared, by name and draw, from 0."""
    for name in adaptations.names:
        for draw in range(draws_of(name)):
            yield name, draw, named_plan(name, ranking, seed, elsewhere, draw)
