"""What a reset does to the activations that arrive at the norms of the layers above it.

BatchNorm subtracts the mean and divides by the deviation that it saw *in training*. Once a layer below is reset, what
arrives is distributed differently, and the trained statistics fit no more. GroupNorm takes its statistics from what
arrives. So the normalised activation, before the norm's own scale and shift, tells them apart: with statistics that
fit, every channel has about mean 0 and deviation 1.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from paper_lib.conformer.layer import ConformerLayer
from paper_lib.conformer.normalization import Norm
from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus.batches import Item, collate
from paper_lib.corpus.tokens import Tokenizer
from paper_lib.layers.reset import reinitialized

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class _Moments:
    """Mean and deviation of every channel of a norm's output without its own scale and shift, over valid frames."""

    def __init__(self, norm: Norm) -> None:
        self.norm = copy.deepcopy(norm)
        nn.init.ones_(self.norm.weight)
        nn.init.zeros_(self.norm.bias)
        self.frames = 0.0
        self.total, self.squares = (torch.zeros_like(norm.weight, dtype=torch.float64) for _ in range(2))

    def observe(self, x: Tensor, valid: Tensor) -> None:
        """Adds `x` [batch, time, dim], the norm's input; `valid` [batch, time, 1]."""
        z = (self.norm(x, valid) * valid).double()
        self.frames += float(valid.sum())
        self.total += z.sum((0, 1))
        self.squares += (z * z).sum((0, 1))

    def quantiles(self) -> dict[str, list[float]]:
        """Returns the QUANTILES over channels of their mean and of their standard deviation."""
        mean = self.total / self.frames
        deviation = (self.squares / self.frames - mean**2).clamp(min=0).sqrt()
        return {
            name: [round(float(q), 4) for q in np.quantile(values.cpu().numpy(), QUANTILES)]
            for name, values in (("mean", mean), ("deviation", deviation))
        }


@torch.inference_mode()
def normalised_activations(
    model: Transducer,
    initial: dict[str, Tensor],
    batches: Sequence[Sequence[Item]],
    tokenizer: Tokenizer,
    device: torch.device,
) -> list[dict[str, Any]]:
    """Returns, for the intact model (`reset` None) and with each layer re-initialised, what the norms above put out.

    Each entry has `reset` and `layer`, both from 1, and the QUANTILES over channels of the channels' `mean` and
    `deviation` over the frames of `batches`.
    """
    model.eval()
    encoder = model.encoder
    layers = cast("list[ConformerLayer]", list(encoder.layers))
    norms = [layer.convolution.depthwise_norm for layer in layers]
    resets = [None, *range(1, len(layers))]
    moments = {
        (reset, place): _Moments(norm)
        for reset in resets
        for place, norm in enumerate(norms, 1)
        if reset is None or place > reset
    }
    for reset in resets:
        stack = list(layers)
        if reset is not None:
            stack[reset - 1] = reinitialized(encoder.settings, initial, reset).to(device)
        hooks = [
            norm.register_forward_pre_hook(lambda _, inputs, seen=moments[reset, place]: seen.observe(*inputs))
            for place, norm in enumerate(norms, 1)
            if (reset, place) in moments
        ]
        for items in batches:
            batch = collate(items, tokenizer).to(device)
            hidden = encoder.subsample(model.normalize(batch.features), batch.frames)
            for layer in stack:
                hidden = encoder.run(layer, hidden)
        for hook in hooks:
            hook.remove()
    return [{"reset": reset, "layer": place, **seen.quantiles()} for (reset, place), seen in moments.items()]
