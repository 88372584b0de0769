"""Multi-head self-attention with relative positions (Dai et al. 2019, Transformer-XL, section 3.3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def relative_positions(time: int, dim: int, device: torch.device) -> Tensor:
    """Returns sinusoids [2 * time - 1, dim] for the distances time - 1, ..., 0, ..., -(time - 1)."""
    distance = torch.arange(time - 1, -time, -1.0, device=device)
    rate = torch.exp(torch.arange(0, dim, 2, device=device) * (-math.log(10_000.0) / dim))
    angle = distance[:, None] * rate
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(1)


def shift_to_keys(scores: Tensor) -> Tensor:
    """Re-indexes `scores` [batch, heads, time, 2 * time - 1] by distance to [batch, heads, time, time] by key.

    Padding one column and viewing the rows anew moves row i by i places: no gather, no copy of the sinusoids per query.
    """
    batch, heads, time, distances = scores.shape
    padded = nn.functional.pad(scores, (1, 0)).view(batch, heads, distances + 1, time)
    return padded[:, :, 1:].reshape(batch, heads, time, distances)[..., :time]


class RelativeAttention(nn.Module):
    """softmax(((q + u) k' + (q + v) r') / sqrt(d_head)) v; r is the projected sinusoid of the distance query - key."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, dim // heads
        self.norm = nn.LayerNorm(dim)
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.pos = nn.Linear(dim, dim, bias=False)
        self.out = nn.Linear(dim, dim)
        self.content_bias = nn.Parameter(torch.zeros(heads, self.head_dim))
        self.position_bias = nn.Parameter(torch.zeros(heads, self.head_dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, positions: Tensor, key_bias: Tensor) -> Tensor:
        """Maps `x` [batch, time, dim] to the same shape.

        `positions` is `relative_positions(time, dim)`; `key_bias` [batch, 1, 1, time] is 0 for valid keys, -inf for
        padding.
        """
        batch, time, dim = x.shape
        x = self.norm(x)
        q = self.q(x).view(batch, time, self.heads, self.head_dim)
        k = self.k(x).view(batch, time, self.heads, self.head_dim).permute(0, 2, 3, 1)
        v = self.v(x).view(batch, time, self.heads, self.head_dim).transpose(1, 2)
        r = self.pos(positions).view(-1, self.heads, self.head_dim).permute(1, 2, 0)

        content = (q + self.content_bias).transpose(1, 2) @ k
        position = shift_to_keys((q + self.position_bias).transpose(1, 2) @ r)
        weights = ((content + position) * self.head_dim**-0.5 + key_bias).softmax(-1)
        mixed = (self.dropout(weights) @ v).transpose(1, 2).reshape(batch, time, dim)
        return self.dropout(self.out(mixed))
