"""The profiles: how much is computed, on what corpus, with which models. What is computed is the same in all of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from paper_lib.settings import (
    CorpusSettings,
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
    return TransducerSettings(encoder=encoder, vocabulary=vocabulary, embedding=embedding, prediction=units, joint=units)


def mini_size(size: Size, norm: Norm = "group") -> TransducerSettings:
    """Returns a model with the paper's proportions that learns in minutes on one core.

    Widths keep the paper's 1 : 1.8 : 3.6, and L is a layer deeper. The subsampling has 16 channels instead of one per
    unit of width: no layer that is reset, it took a third of a training step.
    """
    dim, heads, layers = {"S": (32, 4, 6), "M": (56, 4, 6), "L": (112, 8, 7)}[size]
    encoder = EncoderSettings(
        dim=dim, heads=heads, layers=layers, kernel=15, channels=16, norm=norm, groups=4, dropout=0.0
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

    def run(self, size: Size, seed: int) -> TrainingRun:
        """Returns the training of one size from one seed."""
        return TrainingRun(
            corpus=self.corpus, tokens=self.tokens, model=self.models[size], training=self.training[size], seed=seed
        )


MINI_AUGMENT = SpecAugmentSettings(frequency_masks=1, frequency_bins=15, time_masks=2, time_fraction=0.05)


def _mini_training(steps: int) -> TrainingSettings:
    return TrainingSettings(
        steps=steps,
        batch_frames=1500,
        learning_rate=2e-3,
        warmup_steps=min(100, steps // 4),
        weight_decay=1e-2,
        augment=MINI_AUGMENT,
        distance_every=max(1, steps // 40),
        checkpoint_every=max(1, steps // 5),
    )


def _commands(train: int, heldout: int, train_speakers: int, heldout_speakers: int) -> SyntheticSettings:
    return SyntheticSettings(
        domains={"short_form": 1.0},
        utterances={"train": train, "dev": heldout, "test": heldout},
        speakers={"train": train_speakers, "dev": heldout_speakers, "test": heldout_speakers},
    )


SIZES: tuple[Size, ...] = ("S", "M", "L")

QUICK = Profile(
    name="quick",
    corpus=_commands(3600, 600, 40, 20),
    tokens=CHARACTERS,
    models={size: mini_size(size) for size in SIZES},
    training={size: _mini_training(2000) for size in SIZES},
    reset=ResetSettings(draws=3),
    seeds=1,
)
