"""Made-up results of trainings and reset sweeps, in the form in which records hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from paper_lib.layers.matrices import MATRICES

UTTERANCES, WORDS = 400, 5


def sweep(first: list[float], second: list[float] | None = None, seed: int = 0, scale: int = 1) -> dict[str, Any]:
    """Returns a sweep whose layers add the WERs `first` when re-initialised, and `second` when re-randomised."""
    rng = np.random.default_rng(seed)
    intact = rng.binomial(1, 0.1, UTTERANCES * scale)

    def errors(change: float) -> list[int]:
        return [int(e) for e in intact + rng.binomial(WORDS, max(change, 0), len(intact))]

    return {
        "words": [WORDS] * len(intact),
        "intact": intact.tolist(),
        "resets": [
            {"layer": layer, "kind": kind, "draw": 0, "errors": errors(change)}
            for kind, changes in (("re-initialisation", first), ("re-randomisation", second or first))
            for layer, change in enumerate(changes)
        ],
    }


def training(signatures: Mapping[str, Sequence[float]], layers: int = 4, noise: float = 0.0, seed: int = 0) -> Any:
    """Returns a training of two recorded steps: all layers alike at the first, the signatures of modules at the last.

    `signatures` are by module, "attention" for example; modules that are not named stay alike.
    """
    rng = np.random.default_rng(seed)
    distances = {}
    for matrix in MATRICES:
        moved = np.array(signatures.get(matrix.partition(".")[0], [1.0] * layers))
        for layer, value in enumerate(moved + noise * rng.random(layers)):
            distances[f"layers.{layer}.{matrix}.weight"] = [1.0, 7.0 * float(value)]
    return {"distance_steps": [10, 20], "distances": distances}
