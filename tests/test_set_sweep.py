"""Sets of layers that are reset together, and the greedy search, against whole models that are built one by one."""

from __future__ import annotations

from functools import cache

import pytest
from tiny_runs import CPU, Words, babbling, heard_by

from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus import Corpus
from paper_lib.corpus.batches import Item, evaluation_batches
from paper_lib.evaluation import Spoken, word_errors
from paper_lib.layers.reset import reinitialized
from paper_lib.layers.set_sweep import Resets, greedy_sets, layer_resets, set_sweep
from paper_lib.layers.sets import neighbours, pairs_of
from paper_lib.settings import ResetSettings

LAYERS = 4


@pytest.fixture(scope="module")
def batches(tiny_corpus: Corpus) -> list[list[Item]]:
    return evaluation_batches(tiny_corpus, "test", 500)


@pytest.fixture(scope="module")
def model_and_resets(tiny_corpus: Corpus) -> tuple[Transducer, Resets]:
    model, initial = babbling("group", tiny_corpus, layers=LAYERS)
    resets = layer_resets(model, initial, ResetSettings(draws=3))
    for layer, reset in resets.items():
        alone = reinitialized(model.encoder.settings, initial, layer)
        assert all(tensor.equal(alone.state_dict()[name]) for name, tensor in reset.state_dict().items())
    return model, resets


def test_sets_and_exchanges_are_heard_as_by_models_so_built(
    model_and_resets: tuple[Transducer, Resets], batches: list[list[Item]]
) -> None:
    model, resets = model_and_resets
    sets = [*pairs_of(resets), *neighbours(LAYERS, 3), tuple(resets)]
    result = set_sweep(model, resets, sets, [1, 2, 3], batches, Words(), CPU)

    spoken = Spoken.read(result)
    assert spoken.hypotheses(result["intact"]) == heard_by(model, {}, batches)
    assert [tuple(of["layers"]) for of in result["sets"]] == sets
    for of in result["sets"]:
        changed = {layer: resets[layer] for layer in of["layers"]}
        assert spoken.hypotheses(of["misheard"]) == heard_by(model, changed, batches)
    own = model.encoder.layers
    assert [of["layer"] for of in result["exchanges"]] == [1, 2, 3]
    for of in result["exchanges"]:
        first = of["layer"]
        changed = {first: own[first], first + 1: own[first - 1]}
        assert spoken.hypotheses(of["misheard"]) == heard_by(model, changed, batches)
    heard = {str(of["misheard"]) for of in (*result["sets"], *result["exchanges"])}
    assert len(heard) > len(sets) // 2  # they do hear different things


def test_the_search_adds_the_layer_that_leaves_the_fewest_errors(
    model_and_resets: tuple[Transducer, Resets], batches: list[list[Item]]
) -> None:
    model, resets = model_and_resets
    result = greedy_sets(model, resets, batches, Words(), CPU)
    spoken = Spoken.read(result)

    @cache
    def heard(chosen: frozenset[int]) -> list[str]:
        return heard_by(model, {layer: resets[layer] for layer in chosen}, batches)

    def errors(*chosen: int) -> int:
        return sum(map(word_errors, spoken.references, heard(frozenset(chosen))))

    alone = {layer: errors(layer) for layer in resets}
    chosen: list[int] = []
    for step in result["steps"]:
        found = {layer: errors(*chosen, layer) for layer in resets if layer not in chosen}
        assert dict(step["errors"]) == found
        chosen.append(min(found, key=lambda layer, found=found: (found[layer], alone[layer], layer)))  # type: ignore[misc]
        assert step["layer"] == chosen[-1]
        assert spoken.hypotheses(step["misheard"]) == heard(frozenset(chosen))
    assert sorted(chosen) == list(resets)
    assert len(set(alone.values())) > 1
    # The first step is a reset sweep of single layers.
    singles = {reset["layer"]: spoken.hypotheses(reset["misheard"]) for reset in result["resets"]}
    assert singles == {layer: heard(frozenset([layer])) for layer in resets}
    assert {reset["kind"] for reset in result["resets"]} == {"re-initialisation"}


def test_of_equals_the_search_takes_the_lower_layer(
    model_and_resets: tuple[Transducer, Resets], batches: list[list[Item]]
) -> None:
    model, _ = model_and_resets
    trained = dict(enumerate(model.encoder.layers, 1))  # put back to what they are: no set adds an error
    result = greedy_sets(model, trained, batches, Words(), CPU)  # type: ignore[arg-type]
    assert [step["layer"] for step in result["steps"]] == [1, 2, 3, 4]
    assert all(step["misheard"] == result["intact"] for step in result["steps"])
