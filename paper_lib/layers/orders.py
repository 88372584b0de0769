"""Orders in which layers join a set that is reset: how many can be reset together?

An order is made on dev speech and judged on test speech, by other speakers: a search that takes the best of many sets
takes those whose errors chance made few, and on the speech that it searched on it promises too much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Any

import numpy as np

from paper_lib.inference import Estimate, Floats, rate, together
from paper_lib.layers.ranking import MARGIN, classify, reinitialised
from paper_lib.layers.sets import HeardSets, LayerSet
from paper_lib.layers.sweeps import Sweeps, harm_of

GREEDY, SINGLE, RANDOM = "greedy search", "single ranks", "random"
RANDOM_ORDERS = 3
# Beyond a WER change of so much on dev speech most words are wrong, whichever layers are reset: no larger set is asked
# for.
BROKEN = 0.5

Order = tuple[int, ...]  # all layers, from 1


def orders_from(greedy: Mapping[str, Any], seed: int) -> dict[str, tuple[Order, ...]]:
    """Returns the orders that are compared, by name, from the result of a greedy search; `seed` draws the random ones.

    By single ranks, layers join by the harm of their own reset, on the same dev speech. Of random orders there are
    several, and one of each other name.
    """
    ranked = np.argsort(harm_of(greedy), kind="stable") + 1
    layers = range(1, len(ranked) + 1)
    return {
        GREEDY: (tuple(step["layer"] for step in greedy["steps"]),),
        SINGLE: (tuple(ranked.tolist()),),
        RANDOM: tuple(tuple(Random(f"{seed} {draw}").sample(layers, len(layers))) for draw in range(RANDOM_ORDERS)),
    }


def nested(order: Order, sizes: int) -> list[LayerSet]:
    """Returns the sets of the first 1, 2, ... `sizes` layers of `order`."""
    return [tuple(sorted(order[:size])) for size in range(1, sizes + 1)]


def dev_changes(greedy: Mapping[str, Any]) -> list[float]:
    """Returns the WER changes on dev speech of the sets that a greedy search came to, from the first layer on."""
    words = sum(len(said.split()) for said in greedy["spoken"]["references"])
    before, *errors = (
        sum(count for _, count, _ in misheard)
        for misheard in (greedy["intact"], *(step["misheard"] for step in greedy["steps"]))
    )
    return [(after - before) / words for after in errors]


def sizes_asked(greedy: Mapping[str, Any]) -> int:
    """Returns up to which size sets are asked for: the first at which greedily chosen ones leave most words wrong."""
    changes = dev_changes(greedy)
    return next((size for size, change in enumerate(changes, 1) if change > BROKEN), len(changes))


def ambient_alone(greedy: Mapping[str, Any]) -> LayerSet:
    """Returns the layers that are ambient one by one on the dev speech of a greedy search."""
    return tuple(e.layer for e in reinitialised(Sweeps.of([greedy])) if e.classification == "ambient")


def sets_to_judge(greedy: Mapping[str, Any], seed: int) -> tuple[LayerSet, ...]:
    """Returns the sets that are judged on test speech: those nested in the orders, and all layers ambient alone."""
    sizes = sizes_asked(greedy)
    orders = chain.from_iterable(orders_from(greedy, seed).values())
    sets = {chosen for order in orders for chosen in nested(order, sizes)}
    return tuple(sorted({*sets, *([ambient] if (ambient := ambient_alone(greedy)) else [])}))


@dataclass(frozen=True)
class SearchedModel:
    """A trained model: what was heard on test speech, and what was chosen on dev speech."""

    seed: int
    heard: HeardSets
    orders: Mapping[str, tuple[Order, ...]]
    sizes: int  # of the largest sets that were heard of every order
    ambient: LayerSet  # layers that are ambient alone, on dev speech
    dev_changes: tuple[float, ...]  # of the WER on dev speech, by the size of the greedily chosen set

    @classmethod
    def of(cls, seed: int, greedy: Mapping[str, Any], on_test: Sequence[Mapping[str, Any]]) -> SearchedModel:
        """Reads the result of a greedy search on dev speech, and those on test speech; raises as `HeardSets.of`."""
        return cls(
            seed=seed,
            heard=HeardSets.of(on_test),
            orders=orders_from(greedy, seed),
            sizes=sizes_asked(greedy),
            ambient=ambient_alone(greedy),
            dev_changes=tuple(dev_changes(greedy)),
        )

    def nested_errors(self, name: str) -> Floats:
        """Returns the errors that nested sets add on test speech, [sizes, speakers], mean over the orders of a name."""
        by_order = [[self.heard.added[chosen] for chosen in nested(order, self.sizes)] for order in self.orders[name]]
        return np.mean(by_order, axis=0)


def nested_changes(model: SearchedModel, name: str) -> list[Estimate]:
    """Returns the WER change of nested sets, by size, mean over the orders called `name`.

    Intervals are over speakers, and hold together for all sizes (Bonferroni).
    """
    confidence = together(model.sizes)
    return [rate(errors[None], model.heard.words).estimate(confidence) for errors in model.nested_errors(name)]


def largest_ambient(model: SearchedModel, name: str, margin: float = MARGIN) -> int:
    """Returns the size of the largest nested set, by GREEDY or SINGLE, that is ambient together; 0 where none is."""
    changes = nested_changes(model, name)
    return max((size for size, change in enumerate(changes, 1) if classify(change, margin) == "ambient"), default=0)
