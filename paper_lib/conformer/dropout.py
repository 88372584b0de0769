"""Dropout (Srivastava et al. 2014) whose masks cost little on a CPU."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

LEVELS = 256  # a byte of chance for every unit


class Dropout(nn.Module):
    """Zeroes each value with probability `p`, rounded to a 256th, and scales the others so that their mean stays.

    On a CPU torch draws a double for each value, a sixth of the time of a training step; a byte each is enough. The
    generator is torch's own: `torch.manual_seed` decides the masks.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Maps `x`, of any shape, to the same shape."""
        if not self.training or self.p == 0:
            return x
        if not x.is_cpu:
            return nn.functional.dropout(x, self.p)
        return x * _mask(x.shape, round(self.p * LEVELS))

    def extra_repr(self) -> str:
        return f"p={self.p}"


def _mask(shape: torch.Size, dropped: int) -> Tensor:
    """Returns a random float mask of 0, for `dropped` values of 256, and LEVELS / (LEVELS - dropped)."""
    # Another generator, seeded by torch's, is twice as fast. numpy compares bytes twenty times as fast as torch does;
    # torch makes floats of them faster.
    seed = int(torch.empty((), dtype=torch.int64).random_())
    words = np.random.SFC64(seed).random_raw(-(-shape.numel() // 8))
    kept = words.view(np.uint8)[: shape.numel()] >= dropped
    return torch.from_numpy(kept.view(np.uint8)).float().mul_(LEVELS / (LEVELS - dropped)).view(shape)
