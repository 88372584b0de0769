"""The transducer loss, exact and vectorised: one `logaddexp` per anti-diagonal of the lattice.

Graves (2012), section 2.4, sums over all alignments with a recursion over the T x (U + 1) lattice. A cell (t, u), with
u labels written in frame t, is entered by a blank from the frame before or by a label from the cell below:

    α(t, u) = logaddexp( α(t-1, u) + blank(t-1, u),  α(t, u-1) + label(t, u-1) ).

All cells with the same t + u depend on the diagonal before only, so that T + U vector steps replace T · (U + 1) scalar
ones. β(t, u), the sum over all ways from a cell to the end, is the same recursion in the lattice turned by 180 degrees,
and runs beside α as a second batch. With both, the probability that an alignment leaves a cell by its blank or label is

    exp( α(t, u) + blank(t, u) + β(t+1, u) - log P )    and    exp( α(t, u) + label(t, u) + β(t, u+1) - log P ).

Their sum times the softmax, minus each at its own symbol, is the gradient in the logits.

The logits are most of the memory and of the time. They are read in pieces that stay in the cache, once for the value
and once, in the backward pass, for the gradient, which is the only other tensor of their size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

# Finite, so that differences of two impossible cells are no NaN.
IMPOSSIBLE = -1e30
# Logits in a piece: 128 kB, and less than what torch shares among threads, whose meeting costs more than the work.
PIECE = 32_000


def transducer_loss(logits: Tensor, targets: Tensor, frames: Tensor, lengths: Tensor, blank: int = 0) -> Tensor:
    """Returns -log P(targets | audio) [batch], in nats, differentiable in `logits`.

    `logits` [batch, time, labels + 1, vocabulary] need not be normalised; `targets` [batch, labels]; `frames` and
    `lengths` [batch] count the valid frames (at least one) and labels. Padding contributes neither value nor gradient.
    Computed in float32, or in float64 if the logits are.
    Raises ValueError for shapes that do not fit together and for counts out of range.
    """
    batch, time, cells = logits.shape[:3]
    for name, tensor, shape in (
        ("targets", targets, (batch, cells - 1)),
        ("frames", frames, (batch,)),
        ("lengths", lengths, (batch,)),
    ):
        if tensor.shape != shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}; logits {tuple(logits.shape)} need {shape}")
    _check_counts("frames", frames, 1, time)
    _check_counts("lengths", lengths, 0, cells - 1)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    tracked = torch.is_grad_enabled() and logits.requires_grad
    loss: Tensor = _LatticeLoss.apply(  # type: ignore[no-untyped-call]
        logits, targets, frames, lengths, blank, tracked
    )
    return loss


def _check_counts(name: str, counts: Tensor, least: int, most: int) -> None:
    """Raises ValueError for a count out of range; on the device "meta" there are none to look at."""
    if not counts.is_meta and (wrong := (counts < least) | (counts > most)).any():
        utterance = int(wrong.nonzero()[0])
        raise ValueError(f"{name}[{utterance}] is {int(counts[utterance])}; from {least} to {most} are allowed")


class _LatticeLoss(torch.autograd.Function):
    """Forward runs the lattice and keeps how alignments leave each cell; backward passes that through the softmax."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, targets: Tensor, frames: Tensor, lengths: Tensor, blank: int, tracked: bool
    ) -> Tensor:
        top, total = _normaliser(logits)
        shift = (top + torch.xlogy(1, total)).squeeze(-1)  # `log` starts threads, like `exp`
        index = targets[:, None, :, None].expand(-1, logits.shape[1], -1, 1)
        blanks = logits[..., blank] - shift
        labels = torch.full_like(blanks, IMPOSSIBLE)
        torch.sub(logits[:, :, :-1].gather(-1, index).squeeze(-1), shift[..., :-1], out=labels[..., :-1])
        score, leaves = _alignments(blanks, labels, frames, lengths, tracked)
        ctx.blank = blank
        ctx.save_for_backward(logits, top, total, index, *leaves)
        return -score

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        logits, top, total, index, *leaves = ctx.saved_tensors
        by_label, by_blank = (leave * grads[0][:, None, None] for leave in leaves)
        grad = torch.empty_like(logits, memory_format=torch.contiguous_format)
        for out, piece, most, weight in _pieces(grad, logits, top, (by_blank + by_label)[..., None].div_(total)):
            _exp_(torch.sub(piece, most, out=out)).mul_(weight)
        grad[..., ctx.blank] -= by_blank
        grad[:, :, :-1].scatter_add_(-1, index, -by_label[:, :, :-1, None])
        return grad, None, None, None, None, None


def _pieces(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yields the same few cells of all `tensors` [batch, time, cells, any]; where launches cost, all cells at once."""
    rows = [tensor.flatten(0, 2) for tensor in tensors]
    size = max(1, PIECE // rows[0].shape[1]) if rows[0].is_cpu else max(1, len(rows[0]))
    return zip(*(row.split(size) for row in rows), strict=True)


def _exp_(scores: Tensor) -> Tensor:
    """Returns e to the `scores`, in place; as a power of two because torch's `exp` starts threads for any size."""
    return scores.mul_(1 / math.log(2)).exp2_()


def _normaliser(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Returns each cell's greatest logit and the sum of all exponentials relative to it [batch, time, cells, 1]."""
    top, total = torch.empty((2, *logits.shape[:3], 1), dtype=logits.dtype, device=logits.device)
    for piece, most, sums in _pieces(logits, top, total):
        # torch's maximum is vectorised along rows of at least 64, or across rows.
        rows = piece if piece.shape[1] >= 64 else piece.t().contiguous().t()
        torch.amax(rows, -1, keepdim=True, out=most)
        torch.sum(_exp_(rows - most), -1, keepdim=True, out=sums)
    return top, total


def _alignments(
    blanks: Tensor, labels: Tensor, frames: Tensor, lengths: Tensor, with_leaves: bool
) -> tuple[Tensor, list[Tensor]]:
    """Returns log P [batch] and, if asked, the probabilities to leave each cell by its label and by its blank.

    `blanks` and `labels` [batch, time, cells] are the log-probabilities of the two steps out of each cell.
    """
    batch, time, cells = blanks.shape
    t, u = torch.arange(time, device=blanks.device), torch.arange(cells, device=blanks.device)
    # What leaves a cell enters the next one, and enters the cell itself in the turned lattice.
    entering = [labels.roll(1, 2), blanks.roll(1, 1)]
    entering[1][:, 0, 0] = 0
    steps = [entering]
    if with_leaves:
        # Turns the valid part of each lattice onto itself, the rest onto the rest: its own inverse.
        turned = ((frames[:, None] - 1 - t) % time * cells)[..., None] + ((lengths[:, None] - u) % cells)[:, None]

        def turn(scores: Tensor) -> Tensor:
            return scores.flatten(1).gather(1, turned.flatten(1)).view(batch, time, cells)

        steps.append([turn(labels), turn(blanks)])
    reached, *ways = _diagonals(steps)
    alpha = reached[0]
    utterance = torch.arange(batch, device=blanks.device)
    last = (utterance, frames - 1, lengths)
    score = alpha[last] + blanks[last]
    if not with_leaves:
        return score, []
    outside = ((t >= frames[:, None])[..., None]) | (u > lengths[:, None])[:, None]
    reach = (alpha - score[:, None, None]).masked_fill_(outside, IMPOSSIBLE)
    return score, [_exp_(turn(way[1]).add_(reach)) for way in ways]


def _diagonals(steps: list[list[Tensor]]) -> list[list[Tensor]]:
    """Runs the recursion on several lattices side by side; returns the sums into each cell, by its label, by its blank.

    Each of `steps` holds the scores of the label and the blank that enter each cell [batch, time, cells]; the first
    cell is entered by its blank.
    """
    batch, time, cells = steps[0][0].shape
    width = batch * len(steps)

    def skewed(grid: Tensor) -> list[Tensor]:
        """Views the cells of `grid` [diagonal, cell, lattice and batch] as [batch, time, cells] of each lattice."""
        row, cell, _ = grid.stride()
        lattices = grid.as_strided((len(steps), batch, time, cells), (batch, 1, row, row + cell))
        return list(lattices.unbind())

    ways = steps[0][0].new_empty(time + cells - 1, 2, cells, width)
    sums = ways.new_empty(time + cells, cells + 1, width)
    by_label, by_blank = ways.unbind(1)
    for way, scores in zip((by_label, by_blank), zip(*steps, strict=True), strict=True):
        way[: cells - 1] = IMPOSSIBLE  # before the first frame
        for part, score in zip(skewed(way), scores, strict=True):
            part.copy_(score)
    sums[0] = IMPOSSIBLE
    sums[:, 0] = IMPOSSIBLE
    sums[0, 1] = 0
    # For each cell the sums of the cell with one label less and of its own, both a diagonal before.
    before = sums[:-1].unfold(1, cells, 1).movedim(3, 2)
    reached = sums[1:, 1:]
    for into, source, label, blank, both in zip(ways, before, by_label, by_blank, reached, strict=True):
        into.add_(source)
        torch.logaddexp(label, blank, out=both)
    return [skewed(reached), skewed(by_label), skewed(by_blank)]
