"""One Conformer layer (Gulati et al. 2020, figure 1 and equation 1).

    x ─► +½ FFN1 ─► + self-attention ─► + convolution ─► +½ FFN2 ─► LayerNorm ─► y

With width d and kernel 32 it has 24 d² + 64 d weights: 16 d² in the two feed-forward modules, 5 d² in the attention,
3 d² in the convolution. A streaming layer (Li et al. 2021) has its convolution before its attention.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn

from paper_lib.conformer.attention import RelativeAttention
from paper_lib.conformer.dropout import Dropout
from paper_lib.conformer.normalization import make_norm
from paper_lib.settings import EncoderSettings


class FeedForward(nn.Module):
    """LayerNorm, d → 4 d, Swish, 4 d → d (Gulati et al. 2020, figure 4); a sub-model has fewer `hidden` units.

    It may multiply them by a `scale`, to make up for those that it lacks.
    """

    def __init__(self, dim: int, dropout: float, hidden: int | None = None, scale: float = 1.0) -> None:
        super().__init__()
        hidden = 4 * dim if hidden is None else hidden
        self.scale = scale
        self.norm = nn.LayerNorm(dim)
        self.w1 = nn.Linear(dim, hidden)
        self.w2 = nn.Linear(hidden, dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `x` [batch, time, dim] to the same shape."""
        units = nn.functional.silu(self.w1(self.norm(x)))
        if self.scale != 1:
            units = self.scale * units
        return self.dropout(self.w2(self.dropout(units)))


class Convolution(nn.Module):
    """LayerNorm, pointwise, GLU, depthwise, norm, Swish, pointwise (Gulati et al. 2020, figure 2)."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        dim = settings.dim
        self.norm = nn.LayerNorm(dim)
        self.pointwise1 = nn.Linear(dim, 2 * dim)
        self.depthwise = nn.Conv1d(dim, dim, settings.kernel, groups=dim)
        self.depthwise_norm = make_norm(settings)
        self.pointwise2 = nn.Linear(dim, dim)
        self.dropout = Dropout(settings.dropout)
        self.before = settings.kernel - 1 if settings.streaming else (settings.kernel - 1) // 2

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Maps `x` [batch, time, dim] to the same shape; `valid` [batch, time, 1] is 1 for frames, 0 for padding.

        The GLU's output is zeroed in the padding: there the kernel must see what it sees beyond an utterance's end.
        """
        x = nn.functional.glu(self.pointwise1(self.norm(x)), -1) * valid
        x = depthwise(x, self.depthwise.weight, self.depthwise.bias, self.before) * valid
        return self._after(x, valid)

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Maps the next `x` [batch, n, dim] of a stream; returns with it the `past` [batch, kernel - 1, dim] to come.

        `past` is what the kernel has seen last, zeros at first.
        """
        seen = torch.cat([past, nn.functional.glu(self.pointwise1(self.norm(x)), -1)], 1)
        # Convolved with the past in view, then without the past's own outputs.
        y = depthwise(seen, self.depthwise.weight, self.depthwise.bias, self.before)[:, past.shape[1] :]
        return self._after(y, torch.ones_like(y[..., :1])), seen[:, seen.shape[1] - past.shape[1] :]

    def _after(self, x: Tensor, valid: Tensor) -> Tensor:
        mapped: Tensor = self.pointwise2(nn.functional.silu(self.depthwise_norm(x, valid)))
        return self.dropout(mapped)


def depthwise(x: Tensor, weight: Tensor, bias: Tensor | None, before: int) -> Tensor:
    """Convolves each channel of `x` [batch, time, dim] with its row of `weight` [dim, 1, kernel], zero-padded.

    A kernel sees `before` frames before its own, and the rest after it: a centred even kernel one more than before.
    """
    y: Tensor = _Depthwise.apply(x, weight, before)  # type: ignore[no-untyped-call]
    return y if bias is None else y + bias


def _correlate(x: Tensor, weight: Tensor, before: int) -> Tensor:
    """Returns the convolution of `depthwise`: that of an image one frame high, whose memory holds channels last."""
    after = weight.shape[-1] - 1 - before
    image = nn.functional.pad(x, (0, 0, before, after)).unsqueeze(1).permute(0, 3, 1, 2)
    return nn.functional.conv2d(image, weight.unsqueeze(2), groups=x.shape[2]).squeeze(2).transpose(1, 2)


class _Depthwise(torch.autograd.Function):
    """The gradient of `x` is a convolution with the kernel reversed; that of the kernel a product of spectra.

    On a CPU torch's own gradient of the kernel takes two to three times as long.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, before: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.before = before
        return _correlate(x, weight, before)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        kernel = weight.shape[-1]
        reversed_ = weight.flip(-1).to(grads[0].dtype)
        of_x = _correlate(grads[0], reversed_, kernel - 1 - ctx.before).to(x.dtype)
        if not ctx.needs_input_grad[1]:
            return of_x, None, None
        n = next_fast_len(x.shape[1] + kernel - 1, real=True)
        exact = torch.promote_types(x.dtype, torch.float32)
        spectrum, of_grad = (torch.fft.rfft(tensor.to(exact).transpose(1, 2), n) for tensor in (x, grads[0]))
        lags = torch.fft.irfft((spectrum * of_grad.conj()).sum(0), n)
        of_weight = lags.roll(ctx.before, 1)[:, None, :kernel].to(weight.dtype)
        return of_x, of_weight, None


class LayerState(NamedTuple):
    """What a streaming layer remembers: the inputs of its kernel, and the normalised inputs of its attention."""

    convolution: Tensor  # [batch, kernel - 1, dim]
    attention: Tensor  # [batch, at most left_context, dim]


class ConformerLayer(nn.Module):
    """The unit that the paper resets: everything between two residual streams, norm statistics included."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        self.ffn1 = FeedForward(settings.dim, settings.dropout)
        self.attention = RelativeAttention(settings.dim, settings.heads, settings.dropout)
        self.convolution = Convolution(settings)
        self.ffn2 = FeedForward(settings.dim, settings.dropout)
        self.norm = nn.LayerNorm(settings.dim)
        self.streaming = settings.streaming

    def forward(self, x: Tensor, positions: Tensor, valid: Tensor, key_bias: Tensor) -> Tensor:
        """Maps `x` [batch, time, dim] to the same shape; the other arguments as the modules take them."""
        x = torch.add(x, self.ffn1(x), alpha=0.5)
        if self.streaming:
            x = x + self.convolution(x, valid)
            x = x + self.attention(x, positions, key_bias)
        else:
            x = x + self.attention(x, positions, key_bias)
            x = x + self.convolution(x, valid)
        x = torch.add(x, self.ffn2(x), alpha=0.5)
        return self.norm(x)

    def step(self, x: Tensor, past: LayerState) -> tuple[Tensor, LayerState]:
        """Maps the next `x` [batch, n, dim] of a stream; only of a streaming layer."""
        assert self.streaming is not None
        x = torch.add(x, self.ffn1(x), alpha=0.5)
        convolved, convolution = self.convolution.step(x, past.convolution)
        x = x + convolved
        attended, attention = self.attention.step(x, past.attention, self.streaming.left_context)
        x = x + attended
        x = torch.add(x, self.ffn2(x), alpha=0.5)
        return self.norm(x), LayerState(convolution, attention)
