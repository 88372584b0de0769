"""The transducer loss with its gradient, against torchaudio's, in time and in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks.timing import OURS, Row, by_turns, check_close, in_process, peak_memory, threads
from paper_lib.conformer.loss import transducer_loss
from paper_lib.conformer.transducer import BLANK

TORCHAUDIO = "torchaudio"
# Batch, frames, labels, vocabulary: the training step of the mini models is the first.
SHAPES = ((16, 22, 6, 320), (16, 60, 20, 128), (16, 60, 20, 1024), (16, 45, 25, 29))
# Of the largest value; float32 sums over a lattice of a thousand cells.
TOLERANCE = 1e-3
Sample = tuple[Tensor, Tensor, Tensor, Tensor]


def sample(batch: int, time: int, labels: int, vocabulary: int) -> Sample:
    """Returns logits [batch, time, labels + 1, vocabulary], targets, frames and lengths; the lengths differ."""
    torch.manual_seed(0)
    frames = torch.linspace(0.7 * time, time, batch).round().long()
    lengths = torch.linspace(0.5 * labels, labels, batch).round().long()
    logits = torch.randn(batch, time, labels + 1, vocabulary)
    return logits, torch.randint(1, vocabulary, (batch, labels)), frames, lengths


def ours(logits: Tensor, targets: Tensor, frames: Tensor, lengths: Tensor) -> Tensor:
    """Returns the summed loss, nats."""
    return transducer_loss(logits, targets, frames, lengths, BLANK).sum()


def theirs(logits: Tensor, targets: Tensor, frames: Tensor, lengths: Tensor) -> Tensor:
    """Returns the summed loss by torchaudio, nats; it takes 32-bit counts."""
    import torchaudio

    counts = (tensor.int() for tensor in (targets, frames, lengths))
    return torchaudio.functional.rnnt_loss(logits, *counts, blank=BLANK, reduction="sum")


LOSSES: dict[str, Callable[..., Tensor]] = {OURS: ours, TORCHAUDIO: theirs}


def value_and_gradient(loss: Callable[..., Tensor], drawn: Sample) -> tuple[Tensor, Tensor]:
    """Returns a loss and its gradient by the logits."""
    logits = drawn[0].detach().requires_grad_()
    value = loss(logits, *drawn[1:])
    (gradient,) = torch.autograd.grad(value, logits)
    return value, gradient


def exact(logits: Tensor, targets: Tensor, frames: Tensor, lengths: Tensor) -> Tensor:
    """Returns the summed loss, nats, by the recursion as it is printed (Graves 2012, equation 16), in float64."""
    scores = logits.double().log_softmax(-1)
    batch, time, cells = scores.shape[:3]
    blanks = scores[..., BLANK]
    labels = scores[:, :, :-1].gather(-1, targets[:, None, :, None].expand(-1, time, -1, 1)).squeeze(-1)
    alpha: list[list[Tensor]] = []
    for t in range(time):
        alpha.append([])
        for u in range(cells):
            ways = [alpha[t - 1][u] + blanks[:, t - 1, u]] if t else []
            ways += [alpha[t][u - 1] + labels[:, t, u - 1]] if u else []
            alpha[t].append(torch.stack(ways).logsumexp(0) if ways else scores.new_zeros(batch))
    lattice = torch.stack([torch.stack(row, -1) for row in alpha], 1)
    return -(lattice + blanks)[torch.arange(batch), frames - 1, lengths].sum()


def errors(shape: tuple[int, int, int, int]) -> dict[str, float]:
    """Returns how far each one's value and gradient are from the exact ones, relative; raises UnequalError."""
    drawn = sample(*shape)
    true = value_and_gradient(exact, drawn)
    apart = {}
    for name, loss in LOSSES.items():
        pairs = zip(("value", "gradient"), true, value_and_gradient(loss, drawn), strict=True)
        apart[name] = max(check_close(f"{name} at {shape}, {part}", a, b, TOLERANCE) for part, a, b in pairs)
    return apart


def extra_memory(name: str, shape: tuple[int, int, int, int]) -> int:
    """Returns the bytes at the peak of value and gradient beyond the logits, in this process, which must be new."""
    torch.set_num_threads(1)
    value_and_gradient(LOSSES[name], sample(2, 4, 2, 8))  # what is loaded once
    drawn = sample(*shape)
    before = peak_memory()
    value_and_gradient(LOSSES[name], drawn)
    return peak_memory() - before


def rows() -> Iterator[Row]:
    """Yields every shape, on one thread."""
    for shape in SHAPES:
        apart = " and ".join(f"{name} to {error:.0e}" for name, error in errors(shape).items())
        drawn = sample(*shape)
        peaks = {name: in_process(extra_memory, name, shape) / 2**20 for name in LOSSES}
        more = {
            "logits MiB": round(drawn[0].numel() * 4 / 2**20, 1),
            **{f"{name} peak MiB": round(peak, 1) for name, peak in peaks.items()},
        }
        with threads(1):
            calls = {name: partial(value_and_gradient, loss, drawn) for name, loss in LOSSES.items()}
            what = "{} × {} frames × {} labels × {} tokens".format(*shape)
            yield Row("loss", what, 1, by_turns(calls, 4), f"value and gradient as in float64: {apart}", more)
