"""The weight matrices of a layer whose way from their initial values is recorded, and the steps at which it is.

Without torch: a wrong parameter is refused at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from paper_lib.settings import TrainingSettings

Matrix = Literal[
    "ffn1.w1",
    "ffn1.w2",
    "attention.q",
    "attention.k",
    "attention.v",
    "attention.pos",
    "attention.out",
    "convolution.pointwise1",
    "convolution.depthwise",
    "convolution.pointwise2",
    "ffn2.w1",
    "ffn2.w2",
]
# In the order in which a frame passes them.
MATRICES: tuple[Matrix, ...] = get_args(Matrix)
ATTENTION: tuple[Matrix, ...] = tuple(matrix for matrix in MATRICES if matrix.startswith("attention."))
CONVOLUTION: tuple[Matrix, ...] = tuple(matrix for matrix in MATRICES if matrix.startswith("convolution."))


class SignatureError(ValueError):
    """A signature was asked of a matrix or a step that was not recorded; the message names what is available."""


def recorded_steps(training: TrainingSettings) -> list[int]:
    """Returns the steps at which a training that takes all its steps records distances."""
    return sorted({1, *range(training.distance_every, training.steps + 1, training.distance_every), training.steps})


def check_step(step: int, steps: Sequence[int]) -> None:
    """Raises SignatureError unless `step` is among the recorded `steps`."""
    if step not in steps:
        nearest = min(steps, key=lambda recorded: abs(recorded - step))
        raise SignatureError(
            f"step {step} was not recorded; the {len(steps)} that were go from {steps[0]} to {steps[-1]}, "
            f"the nearest is {nearest}"
        )
