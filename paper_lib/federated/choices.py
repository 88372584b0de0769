"""Bits by layer, and layers that are trained alone, by name: uses of a ranking of layers, without torch.

Bits, on the way to a client and back:

    uniform-B  B bits in every layer
    amb-low    2 bits in the more ambient half of the layers, 6 in the more critical half: in all the bytes of uniform-4
    crit-low   the reverse
    lot-low    2 bits in a half that is drawn by lot, 6 in the other

Of an odd number of layers the one in the middle of the order has 4.

Layers that are trained alone, a quarter of all, one at least:

    critical, ambient   the ends of the ranking
    first, last         those nearest to the input, to the output
    random              drawn by lot
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from paper_lib.federated.plans import PlanError
from paper_lib.settings import BitsPlan

UNIFORM = (8, 4, 3, 2)
BITS = (*(f"uniform-{bits}" for bits in UNIFORM), "amb-low", "crit-low", "lot-low")
TRAINED = ("critical", "ambient", "first", "last", "random")
LOW, EVEN, HIGH = 2, 4, 6


def by_lot(name: str) -> bool:
    """Returns whether lots are drawn for the choice called `name`."""
    return name in ("lot-low", "random")


def bits_plan(name: str, ranking: Sequence[int], seed: int = 0, draw: int = 0) -> BitsPlan:
    """Returns the bits called `name` for a model whose layers, from 1, are ranked so, the most ambient first.

    `seed` and `draw`, from 0, draw the half of lot-low. Raises PlanError.
    """
    if found := re.match(r"uniform-([1-9][0-9]?)$", name):
        return BitsPlan(name=name, elsewhere=int(found[1]))
    if name not in BITS:
        raise PlanError(f"there are no bits {name!r}; there are uniform-B, amb-low, crit-low and lot-low")
    layers = len(ranking)
    order = {
        "amb-low": ranking,
        "crit-low": ranking[::-1],
        "lot-low": Random(f"{seed} bits {draw}").sample(range(1, layers + 1), layers),
    }[name]
    half = layers // 2
    bits = dict.fromkeys(order[:half], LOW) | dict.fromkeys(order[layers - half :], HIGH)
    return BitsPlan(name=name, bits=bits, elsewhere=EVEN)


def quarter(layers: int) -> int:
    """Returns how many of so many layers are trained alone."""
    return max(1, layers // 4)


def trained_layers(name: str, ranking: Sequence[int], seed: int = 0, draw: int = 0) -> tuple[int, ...]:
    """Returns the layers, from 1, that are trained alone under `name`; other arguments as in `bits_plan`.

    Raises PlanError.
    """
    if name not in TRAINED:
        raise PlanError(f"there are no layers {name!r}; there are {', '.join(TRAINED)}")
    layers = len(ranking)
    count, by_depth = quarter(layers), range(1, layers + 1)
    chosen = {
        "critical": ranking[layers - count :],
        "ambient": ranking[:count],
        "first": by_depth[:count],
        "last": by_depth[layers - count :],
        "random": Random(f"{seed} trained {draw}").sample(by_depth, count),
    }[name]
    return tuple(sorted(chosen))
