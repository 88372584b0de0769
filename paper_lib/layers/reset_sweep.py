"""What a transducer of ours recognises with each layer or module reset, all resets in one pass over the data.

It makes the resets that `sweep` makes of any model, with the same seeds, and hears the same. It is faster, for it knows
the encoder: the layers below a reset one are computed once for all resets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from paper_lib.conformer.layer import ConformerLayer
from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus.batches import Item
from paper_lib.corpus.tokens import Tokenizer
from paper_lib.layers.places import Place
from paper_lib.layers.planning import plan_resets
from paper_lib.layers.reset import reinitialized, rerandomized, with_module_of, with_statistics_of
from paper_lib.layers.results import SweepResult
from paper_lib.layers.side_by_side import Changes, hear
from paper_lib.layers.variants import KINDS, MODULES, Variant, name_of
from paper_lib.settings import ResetSettings


def replacements(
    model: Transducer, initial: dict[str, Tensor], settings: ResetSettings, seed: int
) -> dict[Variant, ConformerLayer]:
    """Returns the layers that take the trained ones' places, by layer from the first to the last.

    `seed` is that of the training: another training's layers are re-randomised by other draws. The modules of a layer
    have the weights of one draw of the layer.
    """
    encoder = model.encoder.settings
    layers = cast("list[ConformerLayer]", list(model.encoder.layers))
    places = [Place(f"encoder.{name_of(layer)}", layer) for layer in range(1, len(layers) + 1)]
    replaced: dict[Variant, ConformerLayer] = {}
    for variant, reset in plan_resets(places, KINDS, settings.draws, seed).items():
        trained = layers[variant.layer - 1]
        if reset.seed is None:
            fresh = reinitialized(encoder, initial, variant.layer)
        else:
            fresh = rerandomized(encoder, reset.seed)
        if settings.statistics == "kept":
            fresh = with_statistics_of(trained, fresh)
        if settings.unit == "layer":
            replaced[variant] = fresh
        else:
            for module in MODULES:
                replaced[replace(variant, module=module)] = with_module_of(fresh, module, trained, encoder)
    return replaced


def reset_sweep(
    model: Transducer,
    initial: dict[str, Tensor],
    batches: Sequence[Sequence[Item]],
    tokenizer: Tokenizer,
    settings: ResetSettings,
    seed: int,
    device: torch.device,
    position: int = 0,
) -> SweepResult:
    """Decodes `batches` with the intact model, trained from `seed`, and under every reset."""
    replaced = replacements(model, initial, settings, seed)
    variants: dict[Variant | None, Changes] = {None: {}}
    variants |= {variant: {variant.layer: module} for variant, module in replaced.items()}
    label = f"reset {model.encoder.settings.dim}x{model.encoder.settings.layers}"
    return SweepResult(*hear(model, variants, batches, tokenizer, device, label, position))
