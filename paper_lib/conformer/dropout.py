"""Dropout (Srivastava et al. 2014) whose masks cost little on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

LEVELS = 256  # a byte of chance for every value


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
        if x.device.type not in ("cpu", "meta"):
            return nn.functional.dropout(x, self.p)
        dropped: Tensor = _Dropout.apply(x, round(self.p * LEVELS))  # type: ignore[no-untyped-call]
        return dropped

    def extra_repr(self) -> str:
        return f"p={self.p}"


class _Dropout(torch.autograd.Function):
    """Keeps a byte a value for the backward pass; a mask of floats would be four, and no faster."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dropped: int) -> Tensor:
        mask = _draw_mask(x, dropped)
        ctx.save_for_backward(mask)
        ctx.scale = LEVELS / (LEVELS - dropped)
        return mask.to(x.dtype).mul_(x).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return mask.to(grads[0].dtype).mul_(grads[0]).mul_(ctx.scale), None


def _draw_mask(x: Tensor, dropped: int) -> Tensor:
    """Returns bytes in the shape of `x`: 0 for `dropped` values of 256, 1 for the others."""
    if x.is_meta:  # memory is counted there, without values
        return torch.empty_like(x, dtype=torch.uint8)
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    # numpy compares bytes twenty times as fast as torch does.
    kept = words.numpy().view(np.uint8)[: x.numel()] >= dropped
    return torch.from_numpy(kept.view(np.uint8)).view(x.shape)
