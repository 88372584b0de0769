"""What a transducer of ours recognises with sets of layers re-initialised together, or with two neighbours exchanged.

A greedy search asks which layers can be reset together: from none on, it adds the layer whose reset, together with
those of the layers that it has, leaves the fewest word errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from paper_lib.conformer.layer import ConformerLayer
from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus.batches import Item
from paper_lib.corpus.tokens import Tokenizer
from paper_lib.evaluation import Misheard
from paper_lib.layers.reset_sweep import replacements
from paper_lib.layers.results import SweepResult
from paper_lib.layers.side_by_side import Changes, hear
from paper_lib.layers.variants import Variant
from paper_lib.settings import ResetSettings

Resets = Mapping[int, ConformerLayer]  # by layer, from 1, what takes its place


def layer_resets(model: Transducer, initial: dict[str, Tensor], settings: ResetSettings) -> Resets:
    """Returns every layer re-initialised; `initial` are the weights of the whole transducer that are put back."""
    once = settings.model_copy(update={"draws": 0, "unit": "layer"})
    return {variant.layer: module for variant, module in replacements(model, initial, once, seed=0).items()}


def set_sweep(
    model: Transducer,
    resets: Resets,
    sets: Sequence[Sequence[int]],
    exchanges: Sequence[int],
    batches: Sequence[Sequence[Item]],
    tokenizer: Tokenizer,
    device: torch.device,
    position: int = 0,
) -> dict[str, Any]:
    """Returns what a record keeps of `batches` heard by the intact model, with the layers of each of `sets` reset, and
    with each layer of `exchanges` and the next one in each other's place. Layers count from 1.
    """
    own = dict(enumerate(model.encoder.layers, 1))
    variants: dict[tuple[str, tuple[int, ...]], Changes] = {("intact", ()): {}}
    variants |= {("set", tuple(chosen)): {layer: resets[layer] for layer in chosen} for chosen in sets}
    variants |= {("exchange", (layer,)): {layer: own[layer + 1], layer + 1: own[layer]} for layer in exchanges}
    # A batch of 3000 frames and 150 variants at dim 144: 65 MB of the encoder's stream, 150 MB of the joint's keys.
    spoken, heard = hear(model, variants, batches, tokenizer, device, f"{len(sets)} sets of layers", position)
    misheard = {variant: spoken.misheard(texts) for variant, texts in heard.items()}
    return {
        **spoken.record(),
        "intact": misheard["intact", ()],
        "sets": [{"layers": list(chosen), "misheard": misheard["set", tuple(chosen)]} for chosen in sets],
        "exchanges": [{"layer": layer, "misheard": misheard["exchange", (layer,)]} for layer in exchanges],
    }


def greedy_sets(
    model: Transducer,
    resets: Resets,
    batches: Sequence[Sequence[Item]],
    tokenizer: Tokenizer,
    device: torch.device,
    position: int = 0,
) -> dict[str, Any]:
    """Returns what a record keeps of the search: a reset sweep of single layers, and its `steps` until all are reset.

    A step has the `layer` that it adds, what is `misheard` with it, and the word `errors` of all candidates, as pairs
    of layer and errors. Of equals, the layer with fewer errors alone is added, then the lower one.
    """
    chosen: list[int] = []
    steps: list[dict[str, Any]] = []
    alone: dict[int, int] = {}
    sweep: dict[str, Any] = {}
    while len(chosen) < len(resets):
        candidates = [layer for layer in resets if layer not in chosen]
        variants: dict[int | None, Changes] = {} if chosen else {None: {}}
        variants |= {layer: {each: resets[each] for each in (*chosen, layer)} for layer in candidates}
        label = f"greedy set of {len(chosen) + 1} layers"
        spoken, heard = hear(model, variants, batches, tokenizer, device, label, position)
        misheard = {layer: spoken.misheard(heard[layer]) for layer in candidates}
        errors = {layer: _errors(of_layer) for layer, of_layer in misheard.items()}
        if not chosen:
            alone = errors
            singles: dict[Variant | None, list[str]] = {None: heard[None]}
            singles |= {Variant(layer, "re-initialisation"): heard[layer] for layer in candidates}
            sweep = SweepResult(spoken, singles).record()
        added = min(candidates, key=lambda layer, errors=errors: (errors[layer], alone[layer], layer))  # type: ignore[misc]
        chosen.append(added)
        steps.append({"layer": added, "misheard": misheard[added], "errors": [list(pair) for pair in errors.items()]})
    return {**sweep, "steps": steps}


def _errors(misheard: Sequence[Misheard]) -> int:
    return sum(errors for _, errors, _ in misheard)
