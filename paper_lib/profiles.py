"""The profiles: how much is computed, on what corpus, with which models. What is computed is the same in all."""

from __future__ import annotations

from functools import cache
from typing import Literal

from pydantic import Field

from paper_lib.settings import (
    CorpusSettings,
    Domain,
    EncoderSettings,
    LibriSpeechSettings,
    Norm,
    Positive,
    ResetSettings,
    Settings,
    Size,
    SpecAugmentSettings,
    SyntheticSettings,
    TokenSettings,
    TrainingRun,
    TrainingSettings,
    TransducerSettings,
)

ProfileName = Literal["smoke", "quick", "laptop", "gpu", "librispeech"]

CHARACTERS = TokenSettings(kind="characters", vocabulary=29)
WORD_PIECES = TokenSettings(kind="word_pieces", vocabulary=1024)


def paper_size(size: Size, norm: Norm = "group", vocabulary: int = 1024) -> TransducerSettings:
    """Returns the paper's ConformerS, M or L (Gulati et al. 2020, table 1), which reproduce the slides' counts."""
    dim, heads, layers = {"S": (144, 4, 16), "M": (256, 4, 16), "L": (512, 8, 17)}[size]
    embedding, units = (320, 320) if size == "S" else (128, 640)
    encoder = EncoderSettings(dim=dim, heads=heads, layers=layers, kernel=32, norm=norm, groups=8, dropout=0.1)
    return TransducerSettings(
        encoder=encoder, vocabulary=vocabulary, embedding=embedding, prediction=units, joint=units
    )


def mini_size(size: Size, norm: Norm = "group") -> TransducerSettings:
    """Returns a model with the paper's proportions that learns in minutes on one core.

    Widths keep the paper's 1 : 1.8 : 3.6, heads its 1 : 1 : 2, and L is a layer deeper. The subsampling, no layer that
    is reset, has 32 channels at every size.
    """
    dim, heads, layers = {"S": (32, 2, 6), "M": (56, 2, 6), "L": (112, 4, 7)}[size]
    encoder = EncoderSettings(
        dim=dim, heads=heads, layers=layers, kernel=15, channels=32, norm=norm, groups=4, dropout=0.0
    )
    return TransducerSettings(encoder=encoder, vocabulary=CHARACTERS.vocabulary, embedding=32, prediction=64, joint=64)


class Profile(Settings):
    """Everything that a study needs to know beside its own question."""

    name: ProfileName
    corpus: CorpusSettings
    tokens: TokenSettings
    models: dict[Size, TransducerSettings]
    training: dict[Size, TrainingSettings]
    reset: ResetSettings
    seeds: Positive = Field(description="trainings per model, from seeds 0, 1, ...")
    repeats: int = Field(ge=2, description="trainings per model where trainings are compared, from seeds 0, 1, ...")
    module_repeats: Positive = Field(description="trainings per model of which single modules are reset")

    def run(self, size: Size, seed: int) -> TrainingRun:
        """Returns the training of one size from one seed."""
        return TrainingRun(
            corpus=self.corpus, tokens=self.tokens, model=self.models[size], training=self.training[size], seed=seed
        )


SIZES: tuple[Size, ...] = ("S", "M", "L")

NO_AUGMENT = SpecAugmentSettings(frequency_masks=0, time_masks=0)
MINI_AUGMENT = SpecAugmentSettings(frequency_masks=1, frequency_bins=15, time_masks=2, time_fraction=0.05)


def _mini_training(
    steps: int, batch_frames: int, learning_rate: float, augment: SpecAugmentSettings
) -> TrainingSettings:
    return TrainingSettings(
        steps=steps,
        batch_frames=batch_frames,
        learning_rate=learning_rate,
        warmup_steps=min(100, steps // 4),
        weight_decay=1e-2,
        augment=augment,
        distance_every=min(25, steps // 4),  # the same steps at every size
        checkpoint_every=max(1, steps // 5),
    )


def _paper_training(size: Size, steps: int, batch_frames: int) -> TrainingSettings:
    """Returns Gulati et al. 2020, section 3.2, but for the length, the batch and the decay by a cosine."""
    return TrainingSettings(
        steps=steps,
        batch_frames=batch_frames,
        learning_rate=0.05 / paper_size(size).encoder.dim ** 0.5,
        warmup_steps=steps // 10,
        augment=SpecAugmentSettings(),
        distance_every=max(1, steps // 40),
        checkpoint_every=max(1, steps // 10),
    )


def _smoke() -> Profile:
    encoder = EncoderSettings(dim=16, heads=2, layers=2, kernel=7, channels=4, groups=2, dropout=0.0)
    model = TransducerSettings(encoder=encoder, vocabulary=CHARACTERS.vocabulary, embedding=8, prediction=16, joint=16)
    return Profile(
        name="smoke",
        corpus=SyntheticSettings(
            domains={"short_form": 1.0},
            utterances={"train": 24, "dev": 8, "test": 12},
            speakers={"train": 8, "dev": 4, "test": 4},
        ),
        tokens=CHARACTERS,
        models=dict.fromkeys(SIZES, model),
        training=dict.fromkeys(SIZES, _mini_training(4, 1500, 2e-3, MINI_AUGMENT)),
        reset=ResetSettings(draws=2),
        seeds=1,
        repeats=2,
        module_repeats=1,
    )


def _quick() -> Profile:
    return Profile(
        name="quick",
        corpus=SyntheticSettings(
            domains={"short_form": 1.0},
            utterances={"train": 3600, "dev": 300, "test": 500},
            speakers={"train": 40, "dev": 40, "test": 40},
            unseen_speakers=False,
        ),
        tokens=CHARACTERS,
        models={size: mini_size(size) for size in SIZES},
        training={
            "S": _mini_training(750, 2400, 5e-3, NO_AUGMENT),
            "M": _mini_training(750, 2400, 4e-3, NO_AUGMENT),
            "L": _mini_training(800, 2000, 2.5e-3, NO_AUGMENT),
        },
        reset=ResetSettings(draws=2),
        seeds=1,
        repeats=2,
        module_repeats=1,
    )


def _laptop() -> Profile:
    return Profile(
        name="laptop",
        corpus=SyntheticSettings(
            domains={"short_form": 1.0},
            utterances={"train": 6000, "dev": 400, "test": 1200},
            speakers={"train": 120, "dev": 40, "test": 80},
        ),
        tokens=CHARACTERS,
        models={size: mini_size(size) for size in SIZES},
        training={
            "S": _mini_training(2000, 2400, 5e-3, MINI_AUGMENT),
            "M": _mini_training(2000, 2400, 4e-3, MINI_AUGMENT),
            "L": _mini_training(2000, 2000, 2.5e-3, MINI_AUGMENT),
        },
        reset=ResetSettings(draws=3),
        seeds=5,
        repeats=5,
        module_repeats=5,
    )


def _gpu() -> Profile:
    return Profile(
        name="gpu",
        corpus=SyntheticSettings(
            domains=ALL_DOMAINS,
            channels={"clean": 0.4, "telephone": 0.2, "far_field": 0.2, "noise": 0.2},
            utterances={"train": 160_000, "dev": 1000, "test": 2000},
            speakers={"train": 400, "dev": 60, "test": 100},
        ),
        tokens=WORD_PIECES,
        models={size: paper_size(size) for size in SIZES},
        training={size: _paper_training(size, 8000, 6000) for size in SIZES},
        reset=ResetSettings(draws=3, batch_frames=12_000),
        seeds=1,
        repeats=2,
        module_repeats=1,
    )


def _librispeech() -> Profile:
    return Profile(
        name="librispeech",
        corpus=LibriSpeechSettings(),
        tokens=WORD_PIECES,
        models={size: paper_size(size) for size in SIZES},
        training={size: _paper_training(size, 100_000, 60_000) for size in SIZES},
        reset=ResetSettings(draws=3, batch_frames=12_000),
        seeds=5,
        repeats=5,
        module_repeats=5,
    )


ALL_DOMAINS: dict[Domain, float] = {"short_form": 0.4, "prose": 0.2, "dictation": 0.2, "telephone": 0.2}

_MAKERS = {"smoke": _smoke, "quick": _quick, "laptop": _laptop, "gpu": _gpu, "librispeech": _librispeech}


@cache
def profile_of(name: ProfileName) -> Profile:
    """Returns the profile called `name`."""
    return _MAKERS[name]()
