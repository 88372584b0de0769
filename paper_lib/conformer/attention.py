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

        `positions` is `relative_positions(time, dim)`; `key_bias` [batch, 1, 1 or time, time] is 0 for keys that a
        query may see and -inf for others, padding for example.
        """
        x = self.norm(x)
        content, position = self._scores(x, x, positions)
        return self._mix((content + shift_to_keys(position)) * self.head_dim**-0.5 + key_bias, x)

    def step(self, x: Tensor, past: Tensor, left_context: int) -> tuple[Tensor, Tensor]:
        """Maps the next `x` [batch, n, dim] of a stream, and returns with it the `past` to come.

        `past` [batch, p, dim] holds the last inputs, normalised, at most `left_context` of them.
        """
        x = self.norm(x)
        memory = torch.cat([past, x], 1)
        keys, queries = memory.shape[1], x.shape[1]
        content, position = self._scores(x, memory, relative_positions(keys, x.shape[2], x.device))
        # How far back each key lies of each query; negative ahead.
        back = torch.arange(keys - queries, keys, device=x.device)[:, None] - torch.arange(keys, device=x.device)
        index = (keys - 1 - back).expand(*position.shape[:2], -1, -1)
        scores = (content + position.gather(-1, index)) * self.head_dim**-0.5
        scores = scores.masked_fill((back < 0) | (back > left_context), float("-inf"))
        return self._mix(scores, memory), memory[:, max(0, keys - left_context) :]

    def _scores(self, x: Tensor, memory: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the queries' scores by content, [batch, heads, queries, keys], and by distance, [..., distances]."""
        batch, time, _ = x.shape
        q = self.q(x).view(batch, time, self.heads, self.head_dim)
        k = self.k(memory).view(batch, -1, self.heads, self.head_dim).permute(0, 2, 3, 1)
        r = self.pos(positions).view(-1, self.heads, self.head_dim).permute(1, 2, 0)
        return (q + self.content_bias).transpose(1, 2) @ k, (q + self.position_bias).transpose(1, 2) @ r

    def _mix(self, scores: Tensor, memory: Tensor) -> Tensor:
        """Returns the values of `memory` [batch, keys, dim], mixed by the scores [batch, heads, queries, keys]."""
        batch, keys, dim = memory.shape
        v = self.v(memory).view(batch, keys, self.heads, self.head_dim).transpose(1, 2)
        mixed = (self.dropout(scores.softmax(-1)) @ v).transpose(1, 2).reshape(batch, -1, dim)
        return self.dropout(self.out(mixed))
