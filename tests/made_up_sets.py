"""Made-up results of trained models whose sets of layers were reset, in the form in which records hold them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from made_up import WORDS, difficulty, misheard, spoken

from paper_lib.layers.orders import SearchedModel, sets_to_judge
from paper_lib.layers.sets import LayerSet, neighbours, pairs_of

# Of a set of layers, the WER change by its reset; a fraction.
Harm = Callable[[LayerSet], float]


def additive(single: Sequence[float], interaction: float = 0.0) -> Harm:
    """Returns the harm of sets whose layers add `single` each, and every pair among them `interaction` more."""
    return lambda chosen: sum(single[layer - 1] for layer in chosen) + interaction * len(pairs_of(chosen))


def results_of(harm: Harm, layers: int, seed: int = 0, exchange: float = 0.0) -> tuple[dict[str, Any], ...]:
    """Returns a search on dev speech, and on test speech a reset sweep, all pairs with threes, and the judged sets.

    An exchange of neighbours adds `exchange`, a WER.
    """
    rng = np.random.default_rng(seed)
    harder = difficulty()

    def heard(change: float) -> Any:
        return misheard(intact + rng.binomial(WORDS, np.clip(change * harder, 0, 1)))

    def sweep() -> dict[str, Any]:
        return base() | {
            "resets": [
                {"layer": k, "kind": "re-initialisation", "draw": 0, "module": None, "misheard": heard(harm((k,)))}
                for k in range(1, layers + 1)
            ]
        }

    def base() -> dict[str, Any]:
        return {"spoken": spoken(), "intact": misheard(intact), "checkpoint": f"model {seed}"}

    def sets(of: Sequence[LayerSet]) -> list[dict[str, Any]]:
        return [{"layers": list(chosen), "misheard": heard(harm(chosen))} for chosen in of]

    intact = rng.binomial(1, 0.1 * harder)
    chosen: list[int] = []
    steps = []
    while len(chosen) < layers:
        left = [layer for layer in range(1, layers + 1) if layer not in chosen]
        chosen.append(min(left, key=lambda layer: (harm(tuple(sorted([*chosen, layer]))), layer)))
        steps.append({"layer": chosen[-1], "misheard": heard(harm(tuple(sorted(chosen)))), "errors": []})
    greedy = sweep() | {"steps": steps}
    intact = rng.binomial(1, 0.1 * harder)  # other speech
    every = [*pairs_of(range(1, layers + 1)), *neighbours(layers, 3)]
    exchanges = [{"layer": layer, "misheard": heard(exchange)} for layer in range(1, layers)]
    judged = base() | {"sets": sets(sets_to_judge(greedy, seed)), "exchanges": []}
    return greedy, sweep(), base() | {"sets": sets(every), "exchanges": exchanges}, judged


def searched(harm: Harm, layers: int, seed: int = 0, exchange: float = 0.0) -> SearchedModel:
    """Returns a trained model of these results."""
    greedy, *on_test = results_of(harm, layers, seed, exchange)
    return SearchedModel.of(seed, greedy, on_test)
