"""How the models are trained: steps, rates and masks that were found to work at their sizes."""

from __future__ import annotations

from paper_lib.models import paper_size
from paper_lib.settings import Size, SpecAugmentSettings, TrainingSettings

NO_AUGMENT = SpecAugmentSettings(frequency_masks=0, time_masks=0)
MINI_AUGMENT = SpecAugmentSettings(frequency_masks=1, frequency_bins=15, time_masks=2, time_fraction=0.05)


def mini_training(
    steps: int,
    batch_frames: int,
    learning_rate: float,
    augment: SpecAugmentSettings,
    sorted_epochs: int | None = None,
    snapshots: tuple[int, ...] | None = None,
) -> TrainingSettings:
    """Returns how six or seven layers learn in a minute or two: a short warm-up to a high rate."""
    return TrainingSettings(
        steps=steps,
        batch_frames=batch_frames,
        learning_rate=learning_rate,
        warmup_steps=min(100, steps // 4),
        weight_decay=1e-2,
        augment=augment,
        sorted_epochs=sorted_epochs,
        distance_every=min(25, steps // 4),  # the same steps at every size
        checkpoint_every=max(1, steps // 5),
        snapshots=snapshots,
    )


def deep_training(learning_rate: float, warmup_steps: int) -> TrainingSettings:
    """Returns how the paper's encoders learn in minutes: a longer warm-up to a lower rate, short utterances first.

    SpecAugment would keep them from beginning to learn; weight decay and dropout are there.
    """
    return TrainingSettings(
        steps=4000,
        batch_frames=2000,
        learning_rate=learning_rate,
        warmup_steps=warmup_steps,
        decay_fraction=0.2,
        patience=3,
        weight_decay=1e-2,
        precision="bf16",
        augment=NO_AUGMENT,
        sorted_epochs=1,
        distance_every=50,
        checkpoint_every=150,
        snapshots=(50, 150, 300, 600, 1200),
    )


def fine_tuning(steps: int) -> TrainingSettings:
    """Returns how a trained model of the paper's sizes learns another kind of speech, in minutes, from little of it.

    Without the CTC head, which the training threw away. Step 0 is kept: the weights that the fine-tuning began with.
    """
    return TrainingSettings(
        steps=steps,
        batch_frames=2400,
        learning_rate=5e-4,
        warmup_steps=50,
        weight_decay=1e-2,
        precision="bf16",
        ctc_weight=0.0,
        augment=NO_AUGMENT,
        distance_every=20,
        checkpoint_every=60,
        snapshots=(0, 60, 180),
    )


def scarce_training(learning_rate: float) -> TrainingSettings:
    """Returns a guess at how the paper's encoders learn from five hours of read speech; no model was trained by it.

    It is `deep_training` for a GPU: batches of a minute, as utterances last 12 s; a longer warm-up; some sixty epochs,
    and SpecAugment against learning them by heart.
    """
    return TrainingSettings(
        steps=20_000,
        batch_frames=6000,
        learning_rate=learning_rate,
        warmup_steps=2000,
        weight_decay=1e-2,
        augment=SpecAugmentSettings(),
        sorted_epochs=1,
        distance_every=250,
        checkpoint_every=1000,
        snapshots=(250, 500, 1000, 2000, 5000),
    )


def paper_training(size: Size, steps: int, batch_frames: int) -> TrainingSettings:
    """Returns Gulati et al. 2020, section 3.2, but for the length, the batch and a rate that falls in a line."""
    return TrainingSettings(
        steps=steps,
        batch_frames=batch_frames,
        learning_rate=0.05 / paper_size(size).encoder.dim ** 0.5,
        warmup_steps=steps // 10,
        augment=SpecAugmentSettings(),
        distance_every=max(1, steps // 40),
        checkpoint_every=max(1, steps // 10),
    )
