"""The slide's column "Params Dropped", and which readings of Federated Dropout would print its values.

The slide does not say which matrices lose units, what the other layers lose, or of which total the share is. A reading
fixes the three. All plausible ones are counted on the streaming model, and compared with the seven printed values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import floor

from paper_lib.settings import TransducerSettings

# Slide "Applications: Federated Dropout": per cent of parameters dropped, and WER in per cent.
SLIDE_DROPPED: dict[str, int] = {
    "crit-2": 8,
    "amb-2": 9,
    "crit-3": 9,
    "amb-3": 10,
    "crit-4": 10,
    "flat": 11,
    "amb-4": 12,
}
SLIDE_WER: dict[str, float] = {
    "crit-2": 6.9,
    "amb-2": 6.3,
    "crit-3": 7.0,
    "amb-3": 6.5,
    "crit-4": 7.3,
    "flat": 6.6,
    "amb-4": 6.6,
}
BASE_RATES = (0.0, 0.05, 0.1, 0.15, 0.2)
# The layers that a plan with N in its name has at 50 %: N, or for the ambient ones N + 1.
COUNTS = ("N of either kind", "N critical, N + 1 ambient")


@dataclass(frozen=True)
class Reading:
    """One reading and, by plan, the per cent of parameters that it drops."""

    matrices: str
    elsewhere: float
    counts: str
    of: str
    dropped: dict[str, float]

    @property
    def agreeing(self) -> tuple[str, ...]:
        """The plans whose printed value this reading rounds to (half up)."""
        return tuple(plan for plan, printed in SLIDE_DROPPED.items() if floor(self.dropped[plan] + 0.5) == printed)

    @property
    def distance(self) -> float:
        """Mean difference from the printed values, in points of per cent."""
        return sum(abs(self.dropped[plan] - printed) for plan, printed in SLIDE_DROPPED.items()) / len(SLIDE_DROPPED)


def droppable(dim: int, kernel: int) -> dict[str, tuple[int, int]]:
    """Returns, by choice of matrices, a layer's parameters that go with a unit of one and of two dropped axes.

    Of a unit between two matrices (the hidden units of a feed-forward module), a share p of the units takes a share p
    of the parameters. Where all axes of a matrix are cut, as Caldas et al. do between two layers that are both cut, it
    takes 1 - (1 - p)².
    """
    feed_forward = 2 * 4 * dim * (2 * dim + 1)
    projections = 4 * dim * dim + 3 * dim  # query, key, value and output, along the heads
    convolution = 2 * dim * (dim + 1) + dim * (kernel + 3) + dim * dim  # GLU, kernel with norm, and the way back
    return {
        "feed-forward modules": (feed_forward, 0),
        "one feed-forward module": (feed_forward // 2, 0),
        "feed-forward and attention": (feed_forward + projections, 0),
        "feed-forward and convolution": (feed_forward + convolution, 0),
        "attention": (projections, 0),
        "all modules": (feed_forward + projections + convolution, 0),
        "feed-forward modules, both axes": (0, feed_forward),
        "all modules, both axes": (0, feed_forward + projections + convolution),
    }


def readings(settings: TransducerSettings, totals: Mapping[str, int]) -> list[Reading]:
    """Returns all readings on a model with `settings`, the best first; `totals` are what the shares may be of.

    Best is what rounds to most of the printed values, then what is nearest to them.
    """
    found = []
    encoder = settings.encoder
    matrices = droppable(encoder.dim, encoder.kernel)
    for (name, (one, two)), elsewhere, counts, (of, total) in product(
        matrices.items(), BASE_RATES, COUNTS, totals.items()
    ):

        def lost(rate: float, one: int = one, two: int = two) -> float:
            return one * rate + two * (1 - (1 - rate) ** 2)

        def share(chosen: int, base: float, lost=lost, total: int = total) -> float:  # type: ignore[no-untyped-def]
            value: float = 100 * (chosen * lost(0.5) + (encoder.layers - chosen) * lost(base)) / total
            return value

        more = counts == COUNTS[1]
        dropped = {
            plan: share(0, 0.2) if plan == "flat" else share(int(plan[-1]) + (more and plan[:3] == "amb"), elsewhere)
            for plan in SLIDE_DROPPED
        }
        found.append(Reading(name, elsewhere, counts, of, dropped))
    return sorted(found, key=lambda reading: (-len(reading.agreeing), reading.distance))
