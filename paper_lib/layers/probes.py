"""Readings of a trained model's layers that change nothing in it: one pass forward and one back over some speech.

- *Block influence* (Men et al. 2024, "ShortGPT", arXiv 2403.03853): 1 − the cosine of what enters a layer and what
  leaves it, mean over frames. 0: the layer hands on the direction of its input.
- *Gradient norm*: of the mean transducer loss, in a layer's parameters. Near 0 where training has come to rest.
- *Fisher information*, the trace of its diagonal: the squared gradient of one utterance's loss, summed over a layer's
  parameters, mean over utterances. It is the empirical one: labels are the reference texts, where the Fisher
  information itself takes labels that the model draws.

The model is in eval mode, without dropout, and in float32. Utterances come one by one, so that none is padded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from paper_lib.conformer.loss import transducer_loss
from paper_lib.conformer.transducer import BLANK, Transducer
from paper_lib.corpus.batches import Item, collate
from paper_lib.corpus.tokens import Tokenizer
from paper_lib.layers.matrices import MATRICES
from paper_lib.layers.variants import name_of


@dataclass(frozen=True)
class Probes:
    """One number per layer each, [layers], the first layer first."""

    influence: list[float]  # from 0 to 2
    gradient: list[float]  # norm, of nats per utterance
    fisher: list[float]  # squares of the same


def probe(
    model: Transducer, items: Sequence[Item], tokenizer: Tokenizer, device: torch.device, position: int = 0
) -> Probes:
    """Returns the readings on the utterances of `items`; `position` is the progress bar's line."""
    model.eval()
    weights = [list(layer.parameters()) for layer in model.encoder.layers]
    flat = [weight for of_layer in weights for weight in of_layer]
    mean = [torch.zeros_like(weight) for weight in flat]
    turned, squares = (torch.zeros(len(weights), dtype=torch.float64) for _ in range(2))
    frames = 0
    for item in tqdm(items, desc=f"probe {model.encoder.settings.dim}x{len(weights)}", position=position, unit="utt"):
        batch = collate([item], tokenizer).to(device)
        hidden = model.encoder.subsample(model.normalize(batch.features), batch.frames)
        for number, layer in enumerate(model.encoder.layers):
            before, hidden = hidden.x, model.encoder.run(layer, hidden)
            turned[number] += float((1 - nn.functional.cosine_similarity(before, hidden.x, dim=-1)).sum().detach())
        frames += int(hidden.frames)
        logits = model.logits(hidden.x, batch.targets)
        loss = transducer_loss(logits, batch.targets, hidden.frames, batch.lengths, BLANK).sum()
        gradients = torch.autograd.grad(loss, flat)
        for total, gradient in zip(mean, gradients, strict=True):
            total.add_(gradient, alpha=1 / len(items))
        squares += _squares(gradients, weights) / len(items)
    return Probes((turned / frames).tolist(), _squares(mean, weights).sqrt().tolist(), squares.tolist())


def _squares(gradients: Sequence[Tensor], weights: Sequence[Sequence[Tensor]]) -> Tensor:
    """Returns the squared norm of `gradients` [weights of all layers] by layer, [layers]."""
    left = iter(gradients)
    return torch.tensor(
        [sum(float(next(left).double().square().sum()) for _ in of_layer) for of_layer in weights], dtype=torch.float64
    )


def initial_norms(initial: Mapping[str, Tensor], layers: int) -> dict[str, list[float]]:
    """Returns ‖W(0)‖_F by the name of the weight matrix, [layers]; `initial` are the whole model's step-0 weights."""
    return {
        matrix: [
            float(torch.linalg.vector_norm(initial[f"encoder.{name_of(layer)}.{matrix}.weight"]))
            for layer in range(1, layers + 1)
        ]
        for matrix in MATRICES
    }
