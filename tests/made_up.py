"""Made-up results of trainings and reset sweeps, in the form in which records hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_lib.evaluation import Misheard
from paper_lib.layers.matrices import MATRICES
from paper_lib.layers.sweeps import Sweeps

SPEAKERS, EACH, WORDS = 40, 10, 5  # every speaker says EACH sentences of WORDS words
SAID = "put on the kitchen light"


def spoken(each: int = EACH) -> dict[str, list[str]]:
    """Returns what a record keeps of the test; speakers take turns, and every other sentence comes by telephone."""
    places = range(SPEAKERS * each)
    return {
        "ids": [f"u{place}" for place in places],
        "speakers": [f"s{place % SPEAKERS}" for place in places],
        "domains": ["telephone" if place // SPEAKERS % 2 else "short_form" for place in places],
        "references": [SAID for _ in places],
    }


def difficulty(each: int = EACH) -> NDArray[np.float64]:
    """Returns by how much more than the mean errors befall an utterance, [utterances]: every fifth speaker errs more.

    The mean is 1.
    """
    return np.where(np.arange(SPEAKERS * each) % SPEAKERS % 5 == 0, 2.0, 0.75)


def misheard(errors: Sequence[int] | NDArray[np.int64]) -> list[Misheard]:
    """Returns what a record keeps of hypotheses with so many word errors, [utterances]: first words get lost."""
    said = SAID.split()
    wrong = {
        int(e): " ".join(["uh"] * max(int(e) - WORDS, 0) + ["um"] * min(int(e), WORDS) + said[int(e) :])
        for e in np.unique(errors)
    }
    return [(place, int(e), wrong[int(e)]) for place, e in enumerate(errors) if e]


def sweep(first: list[float], second: list[float] | None = None, seed: int = 0, scale: int = 1) -> dict[str, Any]:
    """Returns a sweep whose layers add the WERs `first` when re-initialised, and `second` when re-randomised.

    Every fifth speaker is harmed more than twice as much as the others, up to all words. `scale` multiplies the
    sentences of a speaker.
    """
    rng = np.random.default_rng(seed)
    harder = difficulty(EACH * scale)
    intact = rng.binomial(1, 0.1 * harder)

    def heard(change: float) -> list[Misheard]:
        return misheard(intact + rng.binomial(WORDS, np.clip(change * harder, 0, 1)))

    return {
        "spoken": spoken(EACH * scale),
        "intact": misheard(intact),
        "resets": [
            {"layer": layer, "kind": kind, "draw": 0, "module": None, "misheard": heard(change)}
            for kind, changes in (("re-initialisation", first), ("re-randomisation", second or first))
            for layer, change in enumerate(changes, 1)
        ],
    }


def sweeps(changes: Sequence[list[float]], second: Sequence[list[float]] | None = None, scale: int = 1) -> Sweeps:
    """Returns the sweeps of several trainings of a model, whose seeds count from 0; otherwise as `sweep`."""
    randomised = changes if second is None else second
    pairs = enumerate(zip(changes, randomised, strict=True))
    return Sweeps.of([sweep(one, other, seed, scale) for seed, (one, other) in pairs])


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
