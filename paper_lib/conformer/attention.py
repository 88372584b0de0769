"""Multi-head self-attention with relative positions (Dai et al. 2019, Transformer-XL, section 3.3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from paper_lib.conformer.dropout import Dropout

# Queries whose positions are scored together.
BLOCK = 64


def relative_positions(time: int, dim: int, device: torch.device) -> Tensor:
    """Returns sinusoids [2 * time - 1, dim] for the distances time - 1, ..., 0, ..., -(time - 1)."""
    distance = torch.arange(time - 1, -time, -1.0, device=device)
    rate = torch.exp(torch.arange(0, dim, 2, device=device) * (-math.log(10_000.0) / dim))
    angle = distance[:, None] * rate
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(1)


def by_key(scores: Tensor) -> Tensor:
    """Returns contiguous `scores` [..., queries, distances] seen by key: [..., queries, distances - queries + 1].

    The last query sees the first of its keys at the first distance, each one before it a place further on: in memory
    its row begins one place less than a row of distances before the next.
    """
    *_, queries, distances = scores.shape
    strides = (*scores.stride()[:-2], distances - 1, 1)
    return scores.as_strided((*scores.shape[:-1], distances - queries + 1), strides, queries - 1)


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
        self.content_bias = nn.Parameter(torch.empty(heads, self.head_dim))
        self.position_bias = nn.Parameter(torch.empty(heads, self.head_dim))
        self.dropout = Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Gives the weights that are the module's own, and no part's, the values of a new module."""
        nn.init.zeros_(self.content_bias)
        nn.init.zeros_(self.position_bias)

    def forward(self, x: Tensor, positions: Tensor, key_bias: Tensor) -> Tensor:
        """Maps `x` [batch, time, dim] to the same shape.

        `positions` is `relative_positions(time, dim)`; `key_bias` [batch, 1, 1 or time, time] is 0 for keys that a
        query may see and -inf for others, padding for example.
        """
        # One product for all three.
        weights, biases = zip(*((part.weight, part.bias) for part in (self.q, self.k, self.v)), strict=True)
        projected = nn.functional.linear(self.norm(x), torch.cat(weights), torch.cat(biases))
        q, k, v = projected.unflatten(-1, (3, self.heads, self.head_dim)).permute(2, 0, 3, 1, 4)
        return self._mix(self._scores(q, k, self.pos(positions)).add_(key_bias), v)

    def step(self, x: Tensor, past: Tensor, left_context: int) -> tuple[Tensor, Tensor]:
        """Maps the next `x` [batch, n, dim] of a stream, and returns with it the `past` to come.

        `past` [batch, p, dim] holds the last inputs, normalised, at most `left_context` of them.
        """
        x = self.norm(x)
        memory = torch.cat([past, x], 1)
        keys, queries = memory.shape[1], x.shape[1]
        q, k, v = self._heads(self.q(x)), self._heads(self.k(memory)), self._heads(self.v(memory))
        # From the last query's distance of the first key to the first query's of the last.
        positions = relative_positions(keys, x.shape[2], x.device)[: keys + queries - 1]
        # How far back each key lies of each query; negative ahead.
        back = torch.arange(keys - queries, keys, device=x.device)[:, None] - torch.arange(keys, device=x.device)
        scores = self._scores(q, k, self.pos(positions))
        scores = scores.masked_fill((back < 0) | (back > left_context), float("-inf"))
        return self._mix(scores, v), memory[:, max(0, keys - left_context) :]

    def _heads(self, projected: Tensor) -> Tensor:
        """Returns `projected` [..., time, dim] as [..., heads, time, dim of a head]."""
        return projected.unflatten(-1, (self.heads, self.head_dim)).transpose(-3, -2)

    def _scores(self, q: Tensor, k: Tensor, r: Tensor) -> Tensor:
        """Returns scores [batch, heads, queries, keys] of `q` and `k` [batch, heads, queries or keys, dim of a head].

        `r` [keys + queries - 1, dim] are the projected sinusoids, from the last query's distance of the first key on.
        """
        queries, distances = q.shape[2], len(r)
        scale = self.head_dim**-0.5
        content = (q + self.content_bias[:, None]) * scale
        position = (q + self.position_bias[:, None]) * scale
        r = self._heads(r).transpose(-2, -1)
        # Each query needs only `keys` of the distances. In blocks of queries, little more than those is computed.
        parts = []
        for first in range(0, queries, BLOCK):
            block = position[:, :, first : first + BLOCK]
            last = first + block.shape[2]
            parts.append(by_key(block @ r[..., queries - last : distances - first]))
        scores = torch.cat(parts, 2)
        # Under autocast the products are of lower precision than what was added to the queries.
        content, k = content.to(scores.dtype), k.to(scores.dtype)
        scores.view(-1, *scores.shape[2:]).baddbmm_(content.flatten(0, 1), k.flatten(0, 1).mT)
        return scores

    def _mix(self, scores: Tensor, v: Tensor) -> Tensor:
        """Returns `v` [batch, heads, keys, dim of a head], mixed by the scores, as [batch, queries, dim]."""
        mixed = self.dropout(scores.softmax(-1)) @ v
        return self.dropout(self.out(mixed.transpose(1, 2).flatten(2)))
