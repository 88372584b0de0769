"""The two resets of the paper (slide "Methodology"), after Zhang, Bengio & Singer (2019), of a layer or of one module.

A layer's buffers, BatchNorm's running statistics, belong to it and are reset with its weights, unless they are kept.
With the weights of a later step in place of those of step 0, a layer is rewound (Zhang et al.; Frankle et al. 2020).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from paper_lib.conformer.layer import ConformerLayer
from paper_lib.conformer.skeleton import skeleton
from paper_lib.layers.variants import Module, name_of
from paper_lib.settings import EncoderSettings


def reinitialized(settings: EncoderSettings, initial: Mapping[str, Tensor], layer: int) -> ConformerLayer:
    """Returns encoder layer `layer`, from 1, with this run's own step-0 weights, `initial` of the whole transducer."""
    prefix = f"encoder.{name_of(layer)}."
    with skeleton():
        fresh = ConformerLayer(settings)
    fresh.load_state_dict({k.removeprefix(prefix): t for k, t in initial.items() if k.startswith(prefix)}, assign=True)
    return fresh.eval()


def rerandomized(settings: EncoderSettings, seed: int) -> ConformerLayer:
    """Returns a layer with weights drawn anew, from `seed`, by the initialiser that drew the step-0 weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ConformerLayer(settings).eval()


def with_statistics_of(trained: ConformerLayer, reset: ConformerLayer) -> ConformerLayer:
    """Returns `reset`, now with the running statistics of `trained`; without BatchNorm nothing changes."""
    reset.load_state_dict(dict(trained.named_buffers()), strict=False, assign=True)
    return reset


def with_module_of(
    reset: ConformerLayer, module: Module, trained: ConformerLayer, settings: EncoderSettings
) -> ConformerLayer:
    """Returns a layer that is `trained` but for `module`, which is that of `reset`. It shares their weights."""
    with skeleton():
        mixed = ConformerLayer(settings)
    for name, part in trained.named_children():
        setattr(mixed, name, getattr(reset, module) if name == module else part)
    return mixed.eval()
