"""What sets of layers do when they are re-initialised together, beside what each of their layers does alone.

The interaction of a set is the WER that its reset adds, less the sum of what its layers' resets add one by one: above 0
the set does more harm than its parts together, below 0 less. It is a difference of sums of word errors, paired by
speaker, so its interval is that of any other WER change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from paper_lib.evaluation import Spoken
from paper_lib.inference import Estimate, Floats, Mean, rate, survives_holm, together
from paper_lib.layers.ranking import Class, classify

LayerSet = tuple[int, ...]  # layers, from 1, in order


def pairs_of(layers: Sequence[int]) -> list[LayerSet]:
    """Returns all pairs of `layers`, [L (L - 1) / 2], in the order of the upper triangle of a matrix."""
    return list(combinations(sorted(layers), 2))


def neighbours(layers: int, count: int) -> list[LayerSet]:
    """Returns every `count` neighbours in a stack of `layers`; none where it has fewer."""
    return [tuple(range(first, first + count)) for first in range(1, layers - count + 2)]


@dataclass(frozen=True)
class HeardSets:
    """Word errors by speaker of one trained model: sums over all that a speaker says."""

    words: Floats  # [speakers]
    intact: Floats  # [speakers]
    added: Mapping[LayerSet, Floats]  # by the reset of a set, single layers too: errors beyond the intact's, [speakers]
    exchanged: Mapping[int, Floats]  # with a layer and the next in each other's place, likewise

    @classmethod
    def of(cls, results: Sequence[Mapping[str, Any]]) -> HeardSets:
        """Reads the results of one model's reset sweep and of its sweeps of sets, in any order.

        Each is compared with what the intact model heard in the same sweep. Raises ValueError where they are not of one
        model and one test.
        """
        spoken = Spoken.read(results[0])
        if any(Spoken.read(result) != spoken for result in results):
            raise ValueError("sets are compared on the same test utterances; these were heard on different ones")
        if len({result["checkpoint"] for result in results}) > 1:
            raise ValueError("sets are compared in the same model; these are of different ones")
        added: dict[LayerSet, Floats] = {}
        exchanged: dict[int, Floats] = {}
        for result in results:
            intact = spoken.errors(result["intact"])
            for reset in result.get("resets", ()):
                if reset["kind"] == "re-initialisation":
                    added[(reset["layer"],)] = spoken.by_speaker(spoken.errors(reset["misheard"]) - intact)
            for reset in result.get("sets", ()):
                added[tuple(reset["layers"])] = spoken.by_speaker(spoken.errors(reset["misheard"]) - intact)
            for exchange in result.get("exchanges", ()):
                exchanged[exchange["layer"]] = spoken.by_speaker(spoken.errors(exchange["misheard"]) - intact)
        intact = spoken.by_speaker(spoken.errors(results[0]["intact"]))
        return cls(spoken.by_speaker(spoken.words), intact, added, exchanged)

    @property
    def layers(self) -> int:
        return sum(len(chosen) == 1 for chosen in self.added)

    def sum_of_parts(self, chosen: LayerSet) -> Floats:
        """Returns the errors that the layers of a set add one by one, [speakers]."""
        total: Floats = np.sum([self.added[(layer,)] for layer in chosen], axis=0)
        return total

    def interaction(self, chosen: LayerSet) -> Floats:
        """Returns the errors that a set adds beyond the sum of its parts, [speakers]."""
        return self.added[chosen] - self.sum_of_parts(chosen)

    def harm(self, sets: Sequence[LayerSet]) -> Floats:
        """Returns the WER change by the reset of each of `sets`, [sets]."""
        return np.array([self.added[chosen].sum() for chosen in sets]) / self.words.sum()

    def expected(self, sets: Sequence[LayerSet]) -> Floats:
        """Returns the WER change of each of `sets` if harm were additive, the sum of its parts', [sets]."""
        return np.array([self.sum_of_parts(chosen).sum() for chosen in sets]) / self.words.sum()


@dataclass(frozen=True)
class SetEffect:
    """What the reset of a set of layers does to the WER of one trained model; WERs are fractions.

    Intervals are over speakers, and hold together for all sets that were asked for at once (Bonferroni).
    """

    layers: LayerSet
    change: Estimate
    parts: Estimate  # the sum of what its layers do alone
    beyond: Mean  # the interaction
    interaction: Estimate
    classification: Class


def set_effects(heard: HeardSets, sets: Sequence[LayerSet]) -> list[SetEffect]:
    """Returns the effects of `sets`, of two layers or more."""
    confidence = together(len(sets))
    effects = []
    for chosen in sets:
        change, parts, beyond = (
            rate(errors[None], heard.words)
            for errors in (heard.added[chosen], heard.sum_of_parts(chosen), heard.interaction(chosen))
        )
        effects.append(
            SetEffect(
                layers=chosen,
                change=change.estimate(confidence),
                parts=parts.estimate(confidence),
                beyond=beyond,
                interaction=beyond.estimate(confidence),
                classification=classify(change.estimate(confidence)),
            )
        )
    return effects


def signs(effects: Sequence[SetEffect]) -> list[int]:
    """Returns of every effect 1 where it is more than the sum of its parts, -1 where it is less, 0 where that is open.

    All of them are tested together (Holm).
    """
    told = survives_holm([effect.beyond.p_value(0.0) for effect in effects])
    return [
        (1 if effect.beyond.value > 0 else -1) if survives else 0
        for effect, survives in zip(effects, told, strict=True)
    ]


@dataclass(frozen=True)
class ExchangeEffect:
    """What it does to the WER of a trained model that `layer` and the next one stand in each other's place.

    Intervals are over speakers; they hold together for all places (Bonferroni).
    """

    layer: int
    change: Estimate
    reset: Estimate  # both re-initialised, for comparison
    classification: Class


def exchange_effects(model: HeardSets) -> list[ExchangeEffect]:
    """Returns the effects of exchanges in a trained model by place, from the first."""
    places = sorted(model.exchanged)
    confidence = together(len(places))
    exchanged, reset = (
        [rate(errors[None], model.words).estimate(confidence) for errors in by_place]
        for by_place in (
            [model.exchanged[layer] for layer in places],
            [model.added[layer, layer + 1] for layer in places],
        )
    )
    return [
        ExchangeEffect(layer, change, both, classify(change))
        for layer, change, both in zip(places, exchanged, reset, strict=True)
    ]
