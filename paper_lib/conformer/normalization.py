"""Batch and group normalisation over the valid frames only, so that padding never changes an answer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from paper_lib.settings import EncoderSettings


class MaskedBatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015) whose statistics leave padded frames out.

    Attributes:
        total: sums over the processes of a training; None where this one has the whole batch.
    """

    total: Callable[[Tensor], Tensor] | None = None
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, dim: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.empty(dim))
        self.bias = nn.Parameter(torch.empty(dim))
        self.register_buffer("running_mean", torch.empty(dim))
        self.register_buffer("running_var", torch.empty(dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Gives weights and running statistics the values of a new module."""
        for ones, zeros in ((self.weight, self.bias), (self.running_var, self.running_mean)):
            nn.init.ones_(ones)
            nn.init.zeros_(zeros)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Normalises `x` [batch, time, dim], zero where `valid` [batch, time, 1] is zero."""
        if self.training:
            total = self.total or (lambda own: own)
            count = total(valid.sum())
            mean = total(x.sum((0, 1))) / count
            var = total((((x - mean) * valid) ** 2).sum((0, 1))) / count
            with torch.no_grad():
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
                unbiased = var * count / (count - 1).clamp(min=1)
                self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        else:
            mean, var = self.running_mean, self.running_var
        scale = self.weight * torch.rsqrt(var + self.eps)
        return (x - mean) * scale + self.bias


class MaskedGroupNorm(nn.Module):
    """Group normalisation (Wu & He 2018): statistics per utterance and group of channels, over its valid frames."""

    def __init__(self, dim: int, groups: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.groups, self.eps = groups, eps
        self.weight = nn.Parameter(torch.empty(dim))
        self.bias = nn.Parameter(torch.empty(dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Gives the weights the values of a new module."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Normalises `x` [batch, time, dim], zero where `valid` [batch, time, 1] is zero."""
        batch, time, dim = x.shape
        size = dim // self.groups
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        grouped = exact.view(batch, time, self.groups, size)
        count = valid.sum(1) * size  # [batch, 1]
        mean = grouped.sum((1, 3)) / count
        var = (grouped.square().sum((1, 3)) / count - mean.square()).clamp(min=0)
        std = torch.rsqrt(var + self.eps)
        # x * scale + shift is one pass over the frames.
        scale = std.repeat_interleave(size, 1) * self.weight
        shift = self.bias - mean.repeat_interleave(size, 1) * scale
        return torch.addcmul(shift[:, None], x, scale[:, None])


class FrameGroupNorm(MaskedGroupNorm):
    """Group normalisation with the statistics of one frame at a time: nothing of the past or the future enters."""

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Normalises `x` [batch, time, dim]; `valid` plays no part."""
        return nn.functional.group_norm(x.flatten(0, 1), self.groups, self.weight, self.bias, self.eps).view_as(x)


Norm = MaskedBatchNorm | MaskedGroupNorm


def make_norm(settings: EncoderSettings) -> Norm:
    """Returns the convolution module's norm; the paper's models differ in nothing else."""
    if settings.norm == "batch":
        return MaskedBatchNorm(settings.dim)
    if settings.streaming:
        return FrameGroupNorm(settings.dim, settings.groups)
    return MaskedGroupNorm(settings.dim, settings.groups)
