"""What is heard while one layer is on its way from its step-0 weights to the trained ones, all others trained.

At the share α a layer has the weights (1 − α) W(0) + α W(T): 0 is its re-initialisation, 1 the trained model
(Chatterji, Neyshabur & Sedghi 2020, "The intriguing role of module criticality in the generalization of deep
networks", section 2). BatchNorm's running statistics go the same way. Beside it each layer is skipped, which is no
point of the way.

`criticality` reads the results, without torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from paper_lib.conformer.layer import ConformerLayer
from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus.batches import Item
from paper_lib.corpus.tokens import Tokenizer
from paper_lib.evaluation import Spoken
from paper_lib.layers.reset import reinitialized
from paper_lib.layers.side_by_side import Changes, Skip, hear


@dataclass(frozen=True)
class PathResult:
    """What was recognised, [utterances] each; layers count from 1."""

    spoken: Spoken
    intact: list[str]
    points: dict[tuple[int, float], list[str]]  # by layer and share
    skips: dict[int, list[str]]  # by layer
    distances: list[float]  # ‖W(T) − W(0)‖_F over all parameters of a layer, [layers]

    def record(self) -> dict[str, Any]:
        """Returns what a record keeps: what was said, and what was heard where that differs."""
        return {
            **self.spoken.record(),
            "intact": self.spoken.misheard(self.intact),
            "points": [
                {"layer": layer, "share": share, "misheard": self.spoken.misheard(heard)}
                for (layer, share), heard in self.points.items()
            ],
            "skips": [{"layer": layer, "misheard": self.spoken.misheard(heard)} for layer, heard in self.skips.items()],
            "distances": [float(f"{distance:.6g}") for distance in self.distances],
        }


def between(model: Transducer, initial: Mapping[str, Tensor], layer: int, share: float) -> ConformerLayer:
    """Returns encoder layer `layer`, from 1, at `share` of its way from `initial`, the whole model's step-0 weights."""
    mixed = reinitialized(model.encoder.settings, initial, layer)
    trained = model.encoder.layers[layer - 1].state_dict()
    on_the_way = {
        name: torch.lerp(start.to(trained[name]), trained[name], share) for name, start in mixed.state_dict().items()
    }
    mixed.load_state_dict(on_the_way, assign=True)
    return mixed


def layer_distances(model: Transducer, initial: Mapping[str, Tensor]) -> list[float]:
    """Returns ‖W(T) − W(0)‖_F of every layer, over all its parameters; running statistics are none. [layers]"""
    distances = []
    for number, trained in enumerate(model.encoder.layers, 1):
        start = dict(reinitialized(model.encoder.settings, initial, number).named_parameters())
        changes = [parameter - start[name].to(parameter) for name, parameter in trained.named_parameters()]
        distances.append(float(torch.linalg.vector_norm(torch.cat([change.detach().flatten() for change in changes]))))
    return distances


def path_sweep(
    model: Transducer,
    initial: Mapping[str, Tensor],
    shares: Sequence[float],
    batches: Sequence[Sequence[Item]],
    tokenizer: Tokenizer,
    device: torch.device,
    position: int = 0,
) -> PathResult:
    """Decodes `batches` with the trained model, with each layer at each of `shares`, and with each layer skipped."""
    layers = range(1, model.encoder.settings.layers + 1)
    points = {(layer, share): {layer: between(model, initial, layer, share)} for layer in layers for share in shares}
    variants: dict[tuple[int, float] | int | None, Changes] = {None: {}}
    variants |= cast("dict[tuple[int, float] | int | None, Changes]", points)
    variants |= {layer: {layer: Skip()} for layer in layers}
    label = f"path {model.encoder.settings.dim}x{len(layers)}"
    spoken, heard = hear(model, variants, batches, tokenizer, device, label, position)
    return PathResult(
        spoken,
        heard[None],
        {point: heard[point] for point in points},
        {layer: heard[layer] for layer in layers},
        layer_distances(model, initial),
    )
