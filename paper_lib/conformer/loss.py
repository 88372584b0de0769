"""The transducer loss, exact and vectorised: one `logcumsumexp` over the labels per frame.

Graves (2012), section 2.4, sums over all alignments with a recursion over the T x (U + 1) lattice. Within one frame its
label steps are a cumulative sum, so that with c(t, u) = Σ_{v<u} label(t, v)

    α(t, u) = c(t, u) + logcumsumexp_u( α(t-1, u) + blank(t-1, u) - c(t, u) ),

and T vector steps replace T · U scalar ones. β runs the same way from the end, and both together are the gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Finite, so that differences of two impossible cells are no NaN.
IMPOSSIBLE = -1e30


def transducer_loss(logits: Tensor, targets: Tensor, frames: Tensor, lengths: Tensor, blank: int = 0) -> Tensor:
    """Returns -log P(targets | audio) [batch], in nats, differentiable in `logits`.

    `logits` [batch, time, labels + 1, vocabulary] need not be normalised; `targets` [batch, labels]; `frames` and
    `lengths` [batch] count the valid frames (at least one) and labels. Padding contributes neither value nor gradient.
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
    loss: Tensor = _LatticeLoss.apply(logits.float(), targets, frames, lengths, blank)  # type: ignore[no-untyped-call]
    return loss


def _check_counts(name: str, counts: Tensor, least: int, most: int) -> None:
    """Raises ValueError for a count out of range; on the device "meta" there are none to look at."""
    if not counts.is_meta and (wrong := (counts < least) | (counts > most)).any():
        utterance = int(wrong.nonzero()[0])
        raise ValueError(f"{name}[{utterance}] is {int(counts[utterance])}; from {least} to {most} are allowed")


class _LatticeLoss(torch.autograd.Function):
    """Forward keeps α; backward runs β and, with the alignment posteriors, passes through the softmax at once."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, frames: Tensor, lengths: Tensor, blank: int) -> Tensor:
        time = logits.shape[1]
        norm = logits.logsumexp(-1)
        index = targets[:, None, :, None].expand(-1, time, -1, 1)
        blanks = logits[..., blank] - norm
        labels = logits[:, :, :-1].gather(-1, index).squeeze(-1) - norm[..., :-1]
        before = torch.nn.functional.pad(labels.cumsum(-1), (1, 0))
        row = torch.full_like(blanks[:, 0], IMPOSSIBLE)
        row[:, 0] = 0
        alphas: list[Tensor] = []
        for t in range(time):
            if t > 0:
                row = alphas[-1] + blanks[:, t - 1]
            alphas.append((row - before[:, t]).logcumsumexp(-1) + before[:, t])
        alpha = torch.stack(alphas, 1)
        batch = torch.arange(len(frames), device=frames.device)
        total = (alpha + blanks)[batch, frames - 1, lengths]
        ctx.blank = blank
        ctx.save_for_backward(logits, norm, index, blanks, labels, frames, lengths, alpha, total)
        return -total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        logits, norm, index, blanks, labels, frames, lengths, alpha, total = ctx.saved_tensors
        time, cells = blanks.shape[1:]
        u = torch.arange(cells, device=frames.device)
        # A virtual frame after the last: only the finished hypothesis may enter it.
        final = torch.where(u == lengths[:, None], 0.0, IMPOSSIBLE).to(blanks)
        after = torch.nn.functional.pad(labels.flip(-1).cumsum(-1), (1, 0)).flip(-1)
        betas = [final]
        for t in reversed(range(time)):
            row = blanks[:, t] + betas[-1] - after[:, t]
            beta = row.flip(-1).logcumsumexp(-1).flip(-1) + after[:, t]
            betas.append(torch.where((t < frames)[:, None], beta, final))
        beta = torch.stack(betas[::-1], 1)

        heard = torch.arange(time, device=frames.device) < frames[:, None]
        inside = heard[..., None] & (u <= lengths[:, None])[:, None]
        reach = (alpha - total[:, None, None]).masked_fill(~inside, IMPOSSIBLE)
        # Posterior probabilities that an alignment leaves a cell by a blank or by its label.
        by_blank = (reach + blanks + beta[:, 1:]).exp()
        by_label = (reach[..., :-1] + labels + beta[:, :-1, 1:]).exp()
        leaves = by_blank + torch.nn.functional.pad(by_label, (0, 1))
        grad = (logits - norm[..., None]).exp_().mul_(leaves[..., None])
        grad[..., ctx.blank] -= by_blank
        grad[:, :, :-1].scatter_add_(-1, index, -by_label[..., None])
        return grad.mul_(grads[0][:, None, None, None]), None, None, None, None
