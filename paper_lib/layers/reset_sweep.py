"""What a transducer of ours recognises with each layer or module reset, all resets in one pass over the data.

It makes the resets that `sweep` makes of any model, with the same seeds, and hears the same. It is faster, for it knows
the encoder: the layers below a reset one are computed once for all resets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn
from tqdm import tqdm

from paper_lib.conformer.decoding import greedy_decode
from paper_lib.conformer.encoder import Encoder, Hidden
from paper_lib.conformer.layer import ConformerLayer
from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus import Utterance
from paper_lib.corpus.batches import Item, collate
from paper_lib.corpus.tokens import Tokenizer
from paper_lib.evaluation import Spoken
from paper_lib.layers.places import Place
from paper_lib.layers.planning import plan_resets
from paper_lib.layers.reset import reinitialized, rerandomized, with_module_of, with_statistics_of
from paper_lib.layers.results import SweepResult
from paper_lib.layers.variants import KINDS, MODULES, Variant, name_of
from paper_lib.settings import ResetSettings

# Frames of 40 ms that a CPU takes through a layer at a time: a whole stack took twice as long at size S, and 1.3 times
# at mini size L.
PIECE = 1500


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


def encode_all(model: Transducer, resets: dict[Variant, ConformerLayer], features: Tensor, frames: Tensor) -> Hidden:
    """Returns the encoder's output for the intact model and then every reset, stacked along the batch.

    `features` [batch, time, 80] give x [(1 + resets) * batch, ceil(time / 4), dim]. What lies below a reset layer is
    computed once: the stack grows by a layer's own resets, each fed with the intact stream, after that layer.
    """
    batch = len(frames)
    stack = model.encoder.subsample(model.normalize(features), frames)
    for index, layer in enumerate(model.encoder.layers, 1):
        intact = _select(stack, slice(0, batch))
        own = [model.encoder.run(module, intact) for variant, module in resets.items() if variant.layer == index]
        stack = _concatenate([*_run_in_pieces(model.encoder, layer, stack), *own])
    return stack


def _run_in_pieces(encoder: Encoder, layer: nn.Module, stack: Hidden) -> list[Hidden]:
    """Returns `stack` after `layer`; a CPU computes it in pieces whose intermediate results stay in its caches."""
    batch, time, _ = stack.x.shape
    rows = batch if stack.x.is_cuda else max(1, PIECE // time)
    return [encoder.run(layer, _select(stack, slice(at, at + rows))) for at in range(0, batch, rows)]


def _select(hidden: Hidden, rows: slice) -> Hidden:
    return Hidden(hidden.x[rows], hidden.frames[rows], hidden.positions, hidden.valid[rows], hidden.key_bias[rows])


def _concatenate(parts: Sequence[Hidden]) -> Hidden:
    return Hidden(
        torch.cat([part.x for part in parts]),
        torch.cat([part.frames for part in parts]),
        parts[0].positions,
        torch.cat([part.valid for part in parts]),
        torch.cat([part.key_bias for part in parts]),
    )


@torch.inference_mode()
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
    model.eval()
    resets = replacements(model, initial, settings, seed)
    for module in resets.values():
        module.to(device)
    utterances: list[Utterance] = []
    hypotheses: dict[Variant | None, list[str]] = {variant: [] for variant in (None, *resets)}
    label = f"reset {model.encoder.settings.dim}x{model.encoder.settings.layers}"
    for items in tqdm(batches, desc=label, position=position, unit="batch"):
        batch = collate(items, tokenizer).to(device)
        stack = encode_all(model, resets, batch.features, batch.frames)
        texts = iter([tokenizer.decode(ids) for ids in greedy_decode(model, stack.x, stack.frames)])
        utterances += batch.utterances
        for heard in hypotheses.values():
            heard += islice(texts, len(items))
    return SweepResult(Spoken.of(utterances), hypotheses)
