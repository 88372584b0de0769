"""The trainings of the models that come with the library."""

from __future__ import annotations

from paper_lib.profiles.reading import profile_of
from paper_lib.settings import (
    SpecAugmentSettings,
    SpeechCommandsSettings,
    SyntheticSettings,
    TrainingRun,
    TrainingSettings,
)

AUGMENT = SpecAugmentSettings(frequency_masks=1, frequency_bins=15, time_masks=2, time_fraction=0.05)


def shipped_run() -> TrainingRun:
    """Returns the training of a mini streaming model, that of profile `quick`, on messages and calls."""
    quick = profile_of("quick").adaptation
    return TrainingRun(
        corpus=SyntheticSettings(
            domains={"short_form": 0.09, "dictation": 0.34, "telephone": 0.57},
            evaluation_domains=quick.corpus.evaluation_domains,
            most_words=8,
            utterances={"train": 8800, "dev": 600, "test": 1600},
            speakers={"train": 80, "dev": 80, "test": 80},
            unseen_speakers=False,
        ),
        domains=("dictation", "telephone"),
        tokens=quick.tokens,
        model=quick.model,
        training=quick.training.model_copy(update={"steps": 3000, "checkpoint_every": 600, "augment": AUGMENT}),
        seed=0,
    )


def shipped_people_run() -> TrainingRun:
    """Returns the training of the model of people that comes with the library: `shipped_run`, fine-tuned on them.

    WER of dev people: 24 % after 400 steps, 16 % after 600 and 8.5 % after all of them.
    """
    base = shipped_run()
    return TrainingRun(
        corpus=SpeechCommandsSettings(),
        tokens=base.tokens,
        model=base.model,
        training=TrainingSettings(
            steps=1000,
            batch_frames=2000,
            learning_rate=3e-3,
            warmup_steps=100,
            weight_decay=1e-2,
            augment=AUGMENT,
            distance_every=25,
            checkpoint_every=200,
        ),
        base=base,
        seed=0,
    )
