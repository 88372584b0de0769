"""How long a training lasts, and its learning rate: linear warm-up, a plateau, linear fall towards zero.

With so few steps the plateau matters: a cosine over all of them leaves half as much time at a rate that learns.
"""

from __future__ import annotations

from collections.abc import Mapping

from paper_lib.settings import TrainingSettings

LEARNT = 0.5  # dev WER; before it is lower a model has not stopped learning: it has not begun


def last_step(settings: TrainingSettings, dev_wer: Mapping[int, float]) -> int:
    """Returns the number of steps after which a training ends, as far as its dev WERs, by step, tell.

    With `patience`, the fall of the rate begins at that many measurements in a row of which none is lower than all
    before them, if that is earlier than planned. It takes as many steps as was planned.
    """
    if settings.patience is None:
        return settings.steps
    falling = round(settings.decay_fraction * settings.steps)
    lowest, since = LEARNT, 0
    for step, wer in sorted(dev_wer.items()):
        if step + falling >= settings.steps:
            break
        if wer < lowest:
            lowest, since = wer, 0
        elif lowest < LEARNT:
            since += 1
        if since == settings.patience:
            return step + falling
    return settings.steps


def learning_rate(settings: TrainingSettings, step: int, last: int) -> float:
    """Returns the rate of update `step` (from 0) of a training of `last` steps."""
    rising = (step + 1) / max(1, settings.warmup_steps)
    falling = (last - step) / (settings.decay_fraction * settings.steps)
    return settings.learning_rate * min(1.0, rising, falling)
