"""The two resets of the paper (slide "Methodology"), after Zhang, Bengio & Singer (2019).

A layer's buffers, BatchNorm's running statistics, belong to it and are reset with its weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from paper_lib.conformer.layer import ConformerLayer
from paper_lib.settings import EncoderSettings


def reinitialized(settings: EncoderSettings, initial: Mapping[str, Tensor], layer: int) -> ConformerLayer:
    """Returns encoder layer `layer` (from 0) with this run's own step-0 weights, `initial` of the whole transducer."""
    prefix = f"encoder.layers.{layer}."
    with torch.device("meta"):  # draws no weights that would be thrown away
        fresh = ConformerLayer(settings)
    fresh.load_state_dict({k.removeprefix(prefix): t for k, t in initial.items() if k.startswith(prefix)}, assign=True)
    return fresh.eval()


def rerandomized(settings: EncoderSettings, seed: int) -> ConformerLayer:
    """Returns a layer with weights drawn anew, from `seed`, by the initialiser that drew the step-0 weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ConformerLayer(settings).eval()
