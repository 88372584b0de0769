"""The experiments of the slides: which models are trained, and what is measured on each.

A chapter asks a study for its records and draws them; `python -m paper_lib run` computes the same records in a
terminal. Studies share what they have in common: a training that two of them name is one record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from paper_lib.layers.ranking import intact_wer
from paper_lib.layers.sweeps import Sweeps
from paper_lib.profiles import SIZES, Profile
from paper_lib.results import Record, Store, consult, looking
from paper_lib.settings import ResetSettings, Size, TrainingRun
from paper_lib.studies.cheaper_ranks import cheaper_ranks
from paper_lib.studies.federated import federated_dropout
from paper_lib.studies.layer_sets import layer_sets
from paper_lib.studies.measurements import (
    ActivationStudy,
    Measurement,
    ResetStudy,
    StudyPlan,
    is_published,
    not_measured,
    store_of,
    stored,
)
from paper_lib.studies.norms import federated_norms
from paper_lib.studies.uses import uses


@dataclass(frozen=True)
class ModelPlan:
    """One model, and the measurements that a study wants of it; None for one that it does not want."""

    size: Size
    run: TrainingRun
    reset: ResetStudy
    kept: ResetStudy | None = None
    modules: ResetStudy | None = None
    activations: ActivationStudy | None = None
    rewound: Mapping[int, ResetStudy] = field(default_factory=dict)  # by the step that layers are rewound to
    base: ResetStudy | None = None  # of the training that this one began with, on this one's speech
    unlearnt: ResetStudy | None = None  # layers as they were when this training began, its base
    other_voices: ResetStudy | None = None  # heard, with each layer reset

    @property
    def measurements(self) -> list[Measurement]:
        of_layers = (self.kept, self.modules, self.activations, *self.rewound.values())
        optional = (*of_layers, self.base, self.unlearnt, self.other_voices)
        return [self.run, self.reset, *(one for one in optional if one)]


@dataclass(frozen=True)
class ModelRecords:
    """One trained model, how it was trained, and what was measured on it."""

    size: Size
    norm: str
    seed: int
    training: Record
    reset: Record  # what is heard with each layer reset
    kept: Record | None = None  # the same, BatchNorm's running statistics kept
    modules: Record | None = None  # what is heard with each module of each layer reset
    activations: Record | None = None  # of the norms above a reset layer
    rewound: Mapping[int, Record] = field(default_factory=dict)  # each layer as at a step, from the first of these
    base: Record | None = None  # what the training that this one began with hears of this one's speech
    unlearnt: Record | None = None  # what is heard with each layer as it was in that training
    other_voices: Record | None = None  # what is heard of the profile's other voices with each layer reset

    @property
    def records(self) -> list[Record]:
        """What was measured, the training first."""
        of_layers = (self.kept, self.modules, self.activations, *self.rewound.values())
        optional = (*of_layers, self.base, self.unlearnt, self.other_voices)
        return [self.training, self.reset, *(one for one in optional if one)]


@dataclass(frozen=True)
class Study(StudyPlan):
    """What a chapter wants to know, of which models.

    Records of a published profile come one by one. Where models of one seed are `paired`, to be compared with each
    other, a seed counts once all its models have been measured; and a size once it has `least` trainings.
    """

    models: Sequence[ModelPlan]
    paired: bool = False
    least: int = 1

    @property
    def by_model(self) -> list[tuple[str, Measurement]]:
        names = [f"{model.size} {model.run.model.encoder.norm_name}" for model in self.models]
        return [(name, m) for name, model in zip(names, self.models, strict=True) for m in model.measurements]

    def records(self, workers: int | None = None) -> list[ModelRecords]:
        """Returns the records of every model, measured now where they are not stored, `workers` models at a time.

        Of a profile whose records are published, nothing is measured here: it returns what is there. Raises
        NotMeasuredError where that is nothing.
        """
        store = store_of(self.profile)
        if not is_published(self.profile):
            self.measure(workers)
        with looking():
            found = [records for model in self.models if (records := _stored_records(model, store))]
        if self.paired:
            counts = Counter(model.run.seed for model in self.models)
            there = Counter(records.seed for records in found)
            found = [records for records in found if there[records.seed] == counts[records.seed]]
        trainings = Counter(records.size for records in found)
        found = [records for records in found if trainings[records.size] >= self.least]
        if not found:
            raise not_measured(self.profile)
        consult(chain.from_iterable(records.records for records in found))
        return found

    def summary(self) -> list[str]:
        """Returns a line per model with its intact WER and its records' names, measured now where not stored."""
        self.measure()
        lines = []
        for records in self.records():
            wer = intact_wer(Sweeps.of([records.reset.result]))
            interval = f"{100 * wer.value:.2f} % [{100 * wer.low:.2f}, {100 * wer.high:.2f}]"
            lines.append(
                f"{records.size} {records.norm} seed {records.seed}: WER {interval}  "
                + " ".join(f"{record.kind}/{record.digest}.json" for record in records.records)
            )
        return lines


def _stored_records(model: ModelPlan, store: Store) -> ModelRecords | None:
    """Returns what the store has of `model`, or nothing where a record is missing that no page does without."""

    def of(measurement: Measurement | None) -> Record | None:
        return stored(measurement, store) if measurement else None

    training, reset, kept, activations = map(of, (model.run, model.reset, model.kept, model.activations))
    if training is None or reset is None or (model.kept and not kept) or (model.activations and not activations):
        return None
    rewound = {step: record for step, study in model.rewound.items() if (record := of(study))}
    return ModelRecords(
        size=model.size,
        norm=model.run.model.encoder.norm_name,
        seed=model.run.seed,
        training=training,
        reset=reset,
        kept=kept,
        modules=of(model.modules),
        activations=activations,
        rewound=rewound if len(rewound) == len(model.rewound) else {},
        base=of(model.base),
        unlearnt=of(model.unlearnt),
        other_voices=of(model.other_voices),
    )


def model_size(
    profile: Profile, seeds: int | None = None, draws: int | None = None, sizes: Sequence[Size] = SIZES
) -> Study:
    """Trains every size from every seed and resets its layers (slides "Model Size" and "Stability").

    `seeds` and `draws` default to the profile's, which may train some sizes only. First trainings hear the profile's
    other voices, too. Of a training that began with another's weights, layers are also put back to those, and that
    other model is tested on the same speech.
    """
    reset = _reset_settings(profile, draws)
    models = []
    for size in sizes:
        for seed in range(seeds or profile.seeds.get(size, 0)):
            run = profile.run(size, seed)
            model = ModelPlan(size, run, ResetStudy(run=run, reset=reset))
            once = reset.model_copy(update={"draws": 0})
            if profile.other_voices and seed < profile.module_repeats:
                model = replace(model, other_voices=ResetStudy(run=run, reset=once, corpus=profile.other_voices))
            if run.base:
                model = replace(
                    model,
                    base=ResetStudy(run=run.base, reset=once, corpus=run.corpus),
                    unlearnt=ResetStudy(run=run, reset=once.model_copy(update={"rewind": 0})),
                )
            models.append(model)
    return Study(profile, models)


def stability(
    profile: Profile, seeds: int | None = None, draws: int | None = None, sizes: Sequence[Size] = SIZES
) -> Study:
    """Compares the trainings of `model_size` of a size with each other (slide "Stability")."""
    return replace(model_size(profile, seeds, draws, sizes), least=2)


def group_norm(profile: Profile, seeds: int | None = None, draws: int | None = None, size: Size = "S") -> Study:
    """Trains one size with BatchNorm, GroupNorm of one group and GroupNorm of the profile's groups, all else equal.

    BatchNorm's layers are reset with their running statistics and again without (slide "Batch Normalization vs Group
    Normalization").
    """
    reset = _reset_settings(profile, draws)
    kept = reset.model_copy(update={"statistics": "kept"})
    models = []
    for change in ({"norm": "batch"}, {"norm": "group", "groups": 1}, {"norm": "group"}):
        for seed in range(seeds or profile.norm_seeds):
            run = _with_encoder(profile.run(size, seed), change)
            models.append(
                ModelPlan(
                    size,
                    run,
                    ResetStudy(run=run, reset=reset),
                    kept=ResetStudy(run=run, reset=kept) if run.model.encoder.norm == "batch" else None,
                    activations=ActivationStudy(run=run),
                )
            )
    return Study(profile, models, paired=True)


def signatures(profile: Profile, seeds: int | None = None, sizes: Sequence[Size] = SIZES) -> Study:
    """Adds to the trainings of `model_size` resets of single modules, re-initialised (slides "Numerical Signatures").

    Their layers are also rewound to each step whose weights the training keeps. Both in the profile's `module_repeats`
    first trainings of every size.
    """
    module = profile.reset.model_copy(update={"unit": "module", "draws": 0})
    models = []
    for model in model_size(profile, seeds, sizes=sizes).models:
        run = model.run
        if run.seed < profile.module_repeats:
            rewinds = {
                step: profile.reset.model_copy(update={"rewind": step, "draws": 0})
                for step in sorted(run.training.snapshots or ())
                if step
            }
            model = replace(
                model,
                modules=ResetStudy(run=run, reset=module),
                rewound={step: ResetStudy(run=run, reset=rewind) for step, rewind in rewinds.items()},
            )
        models.append(model)
    return Study(profile, models, least=2)


def explore(profile: Profile) -> Study:
    """Takes the models of `signatures`, and of `group_norm` those with another norm."""
    layers = signatures(profile).models
    known = [model.run for model in layers]
    return Study(profile, [*layers, *(model for model in group_norm(profile).models if model.run not in known)])


# By the chapter whose records they are; parameters as the chapter's. Other chapters read what these have measured.
STUDIES: dict[str, Callable[..., StudyPlan]] = {
    "model_size": model_size,
    "group_norm": group_norm,
    "stability": stability,
    "signatures": signatures,
    "federated_dropout": federated_dropout,
    "explore": explore,
    "human_speech": federated_norms,
    "cheaper_ranks": cheaper_ranks,
    "layer_sets": layer_sets,
    "uses": uses,
}


def _with_encoder(run: TrainingRun, change: Mapping[str, Any]) -> TrainingRun:
    """Returns `run` with other settings of the encoder, and so its base."""
    encoder = run.model.encoder.model_copy(update=change)
    model = run.model.model_copy(update={"encoder": encoder})
    return run.model_copy(update={"model": model, "base": run.base and _with_encoder(run.base, change)})


def _reset_settings(profile: Profile, draws: int | None) -> ResetSettings:
    return profile.reset if draws is None else profile.reset.model_copy(update={"draws": draws})
