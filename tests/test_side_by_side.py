"""Variants of a model side by side, against whole models that are built and decoded one by one."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from tiny_runs import CPU, Words, babbling, heard_by
from torch import nn

from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus import Corpus
from paper_lib.corpus.batches import Item, collate, evaluation_batches
from paper_lib.layers.reset_sweep import replacements
from paper_lib.layers.side_by_side import Changes, Skip, encode_variants, hear
from paper_lib.settings import ResetSettings


@pytest.fixture(scope="module")
def batches(tiny_corpus: Corpus) -> list[list[Item]]:
    return evaluation_batches(tiny_corpus, "test", 500)


@pytest.fixture(scope="module")
def model_and_resets(tiny_corpus: Corpus) -> tuple[Transducer, dict[int, nn.Module]]:
    model, initial = babbling("group", tiny_corpus)
    settings = ResetSettings(draws=0)
    return model, {v.layer: module for v, module in replacements(model, initial, settings, 0).items()}


def test_sets_of_layers_and_skipped_and_exchanged_ones_are_heard_as_by_models_so_built(
    model_and_resets: tuple[Transducer, dict[int, nn.Module]], batches: list[list[Item]]
) -> None:
    model, resets = model_and_resets
    layers = range(1, len(resets) + 1)
    variants: dict[str, Changes] = {"intact": {}}
    for count in layers:
        variants |= {f"reset {chosen}": {k: resets[k] for k in chosen} for chosen in combinations(layers, count)}
    variants |= {f"skip {k}": {k: Skip()} for k in layers}
    own = dict(enumerate(model.encoder.layers, 1))
    variants |= {f"exchange {k}": {k: own[k + 1], k + 1: own[k]} for k in layers[:-1]}
    variants["intact again"] = {}

    spoken, heard = hear(model, variants, batches, Words(), CPU, "variants")

    assert list(heard) == list(variants)
    for name, changes in variants.items():
        assert heard[name] == heard_by(model, changes, batches), name
    assert len(spoken.ids) == len(heard["intact"])
    assert len({tuple(texts) for texts in heard.values()}) > len(variants) // 2  # the variants do hear different things


def test_what_variants_have_in_common_is_computed_once(
    model_and_resets: tuple[Transducer, dict[int, nn.Module]], batches: list[list[Item]]
) -> None:
    model, resets = model_and_resets
    rows = {"trained": 0, "reset": 0}

    def count(kind: str) -> object:
        def hook(_: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
            rows[kind] += len(arguments[0])

        return hook

    hooks = [layer.register_forward_pre_hook(count("trained")) for layer in model.encoder.layers]
    hooks += [layer.register_forward_pre_hook(count("reset")) for layer in resets.values()]
    batch = collate(batches[0], Words())
    last = max(resets)
    pairs = [{first: resets[first], second: resets[second]} for first, second in combinations(resets, 2)]
    with torch.inference_mode():
        encode_variants(model, [{}, *pairs], batch.features, batch.frames)
    for hook in hooks:
        hook.remove()

    assert rows["reset"] == len(batches[0]) * (last - 1 + len(pairs))
    # Once through all trained layers; from each first reset on to the last layer but one that can be a second; and each
    # pair from its second reset to the end.
    from_first = sum(second - first - 1 for first in resets for second in [last] if first < last)
    from_second = sum(last - max(pair) for pair in pairs)
    assert rows["trained"] == len(batches[0]) * (last + from_first + from_second)
