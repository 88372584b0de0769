"""SpecAugment (Park et al. 2019), all masks of a batch at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from paper_lib.settings import SpecAugmentSettings


def spec_augment(
    features: Tensor,
    frames: Tensor,
    settings: SpecAugmentSettings,
    generator: torch.Generator,
    rows: Sequence[int] | None = None,
) -> Tensor:
    """Returns normalised `features` [batch, time, bins] with bands of bins and spans of frames set to zero, their mean.

    A mask's width is uniform over the whole numbers from 0 to its largest: `frequency_bins`, or `time_fraction` of
    the utterance's own `frames` [batch]. `generator` lives on the CPU, so that every device draws the same masks.
    Where `features` are some `rows` of a batch, `frames` are of the whole batch, and they get the masks that they have
    there.
    """
    _, time, bins = features.shape
    batch = len(frames)
    widest = torch.full((batch, 1), float(settings.frequency_bins))
    bands = _masks(torch.full((batch, 1), float(bins)), widest, settings.frequency_masks, bins, generator)
    length = frames.cpu()[:, None].float()
    spans = _masks(length, length * settings.time_fraction, settings.time_masks, time, generator)
    masked = bands[:, None, :] | spans[:, :, None]
    if rows is not None:
        masked = masked[rows]
    return features.masked_fill(masked.to(features.device), 0.0)


def _masks(length: Tensor, widest: Tensor, count: int, size: int, generator: torch.Generator) -> Tensor:
    """Returns [batch, size], true under any of `count` random intervals within `length` [batch, 1]."""
    batch = len(length)
    width = torch.rand(batch, count, generator=generator) * (widest.floor() + 1)
    start = torch.rand(batch, count, generator=generator) * (length - width).clamp(min=0)
    place = torch.arange(size)
    first, last = start.floor()[..., None], (start.floor() + width.floor())[..., None]
    return ((place >= first) & (place < last)).any(1)
