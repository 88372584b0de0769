"""How sure is a mean over the trainings of a model and the speakers of a test, and what is chance.

Two things vary: which training this is, and who speaks in the test. The utterances of one speaker are not independent,
so the units are speakers with all that they say; every training hears the same ones. From a table [trainings, speakers]
come

    A: the variance of the mean by the trainings, from its spread between them,
    B: by the speakers, from its spread between them,
    C: by what is peculiar to a speaker in a training; A and B both hold it.

An end of the interval lies as far from the mean as the root of the sum of squares of two distances (the MOVER of Zou &
Donner 2008): Student's t for the trainings, with C taken out of A as far as a quarter of A is left; for the speakers
the end of Hall's (1992) interval, which corrects for their skewness, for a few speakers make most of the errors. One
training alone has the second distance, values without speakers the first.

What two or three trainings tell of how much trainings differ in one layer is little; `moderation` lets layers learn
from each other.

Nothing here is resampled but for permutations of more than eight layers. `benchmarks/coverage.py` simulates how often
the intervals hold, and how often the tests find something where there is nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

Floats = NDArray[np.float64]
Orders = NDArray[np.int64]  # [orders, layers]

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
# Of more than eight layers, whose orders are too many, so many are drawn.
DRAWN_ORDERS = 99_999
_LEAST_P = 1e-9
# The skewness of a few units falls short of the truth where the truth is skewed. Enlarged so, ends of 99.7 % hold.
SKEWNESS_SHORTFALL = 1.25


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence interval. WERs are fractions: 0.05 is 5 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Component:
    """What units of one kind, trainings or speakers, add to the variance of a mean."""

    variance: float
    freedom: float  # degrees of freedom of the variance
    skewness: float = 0.0  # of the mean, by these units
    lent: float = 0.0  # of the degrees of freedom, those that do not come from these units
    curvature: float = 0.0  # and tilt: see `moderation`; without, ends lie as far below the mean as above it
    tilt: float = 0.0

    def reach(self, side: int, confidence: float) -> float:
        """Returns how far the lower (`side` -1) or upper (1) end of an interval lies from the mean."""
        t = -side * float(special.stdtrit(self.freedom, (1 + confidence) / 2))
        if abs(k := self.skewness) > 1e-6:
            t = 3 / k * (float(np.cbrt(1 + k * (t - k / 6))) - 1)
        if self.curvature and t:
            u = min(abs(t) * self.curvature * math.sqrt(self.variance), 300.0)
            return (math.sinh(u) + side * self.tilt * (math.cosh(u) - 1)) / self.curvature
        # At hardly any confidence the correction for skewness would turn the end to the other side of the mean.
        return max(0.0, -side * t) * math.sqrt(self.variance)


@dataclass(frozen=True)
class Mean:
    """A mean and what it varies with; None is what does not vary in it: with one training, the trainings."""

    value: float
    trainings: Component | None
    speakers: Component | None

    @property
    def components(self) -> list[Component]:
        return [component for component in (self.trainings, self.speakers) if component]

    def estimate(self, confidence: float = CONFIDENCE) -> Estimate:
        """Returns the mean with its interval."""
        low, high = (
            math.hypot(*(component.reach(side, confidence) for component in self.components)) for side in (-1, 1)
        )
        return Estimate(self.value, self.value - low, self.value + high)

    def p_value(self, threshold: float) -> float:
        """Returns the two-sided p that the mean is `threshold`: 1 less the confidence whose interval ends there."""

        def distance(p: float) -> float:
            estimate = self.estimate(1 - p)
            return estimate.low - threshold if self.value > threshold else threshold - estimate.high

        if distance(1.0) <= 0:
            return 1.0
        if distance(_LEAST_P) >= 0:
            return _LEAST_P
        return float(optimize.brentq(distance, _LEAST_P, 1.0, xtol=1e-12))


def rate(errors: ArrayLike, words: ArrayLike) -> Mean:
    """Returns the errors per word.

    `errors` [trainings, speakers] are sums over a speaker's utterances, or differences of two models' sums: then the
    mean is a paired difference of WERs. `words` [speakers] are those said. Raises ValueError for a single speaker.
    """
    spread = spread_of(np.asarray(errors, float), np.asarray(words, float))
    trainings = None
    if spread.trainings > 1:
        trainings = Component(spread.between_trainings(spread.by_training), spread.trainings - 1)
    return Mean(spread.value, trainings, spread.speakers)


@dataclass(frozen=True)
class Spread:
    """A mean over trainings and speakers, and what it varies with."""

    value: float
    trainings: int
    by_training: float  # variance of the mean by trainings, C in it; 0 for one training
    peculiar: float  # C
    speakers: Component

    def between_trainings(self, by_training: float) -> float:
        """Returns A, the variance by trainings without C, where the one with it is `by_training`."""
        return max(by_training - self.peculiar, by_training / 4)


def spread_of(errors: Floats, words: Floats) -> Spread:
    """Returns the errors per word, with their spreads; `errors` and `words` as for `rate`."""
    n, m = errors.shape
    if m < 2:
        raise ValueError(f"an interval over speakers needs at least 2 speakers; there is {m}")
    total = words.sum()
    rates = errors.sum(1) / total
    # By how much a speaker moves the rate of a training, times the speakers.
    moves = (errors - rates[:, None] * words) * (m / total)
    by_speaker = moves.mean(0)
    skewness = stats.skew(by_speaker, bias=False) / math.sqrt(m) if m > 2 and np.ptp(by_speaker) > 1e-12 else 0.0
    speakers = Component(float(by_speaker.var(ddof=1) / m), m - 1, SKEWNESS_SHORTFALL * float(skewness))
    by_training = peculiar = 0.0
    if n > 1:
        by_training = float(rates.var(ddof=1) / n)
        peculiar = float(((moves - by_speaker) ** 2).sum() / ((n - 1) * (m - 1) * n * m))
    return Spread(float(rates.mean()), n, by_training, peculiar, speakers)


def mean_over_trainings(values: Sequence[float] | Floats) -> Mean:
    """Returns the mean of one value per training; raises ValueError for fewer than two."""
    n = len(values)
    if n < 2:
        raise ValueError(f"an interval over trainings needs at least 2 trainings; there is {n}")
    return Mean(float(np.mean(values)), Component(float(np.var(values, ddof=1) / n), n - 1), None)


def difference_of_means(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> Mean:
    """Returns the mean of `first` less that of `second`, values per training of two models that nothing pairs (Welch).

    Raises ValueError for fewer than two trainings of either.
    """
    one, other = mean_over_trainings(first), mean_over_trainings(second)
    parts = [*one.components, *other.components]
    variance = sum(part.variance for part in parts)
    freedom = variance**2 / sum(part.variance**2 / part.freedom for part in parts) if variance else 1.0
    return Mean(one.value - other.value, Component(variance, freedom), None)


def smallest_p(holds: Callable[[float], bool]) -> float:
    """Returns the smallest p such that a verdict `holds` with the confidence 1 - p, and 1 where none does."""
    if not holds(0.0):
        return 1.0
    low, high = math.log(_LEAST_P), 0.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if holds(1 - math.exp(middle)) else (middle, high)
    return math.exp(high)


def orders_of(layers: int, seed: int = 0) -> Orders:
    """Returns orders of layers, [orders, layers], the given one first: all of up to eight layers, else drawn ones."""
    if layers <= 8:
        return np.array(list(permutations(range(layers))))
    drawn = np.random.default_rng(seed).permuted(np.tile(np.arange(layers), (DRAWN_ORDERS, 1)), axis=1)
    return np.concatenate([np.arange(layers)[None], drawn])


def permutation_p(statistics: Floats) -> float:
    """Returns the share of `statistics` [orders] that are as large as the first, that of the order which was measured.

    The test is one-sided; that the statistic is small is tested by its negative.
    """
    return float(np.mean(statistics >= statistics[0] - 1e-9))


def together(tests: int, confidence: float = CONFIDENCE) -> float:
    """Returns the confidence of each of so many intervals that hold together with `confidence` (Bonferroni)."""
    return 1 - (1 - confidence) / max(tests, 1)


def survives_holm(ps: Sequence[float], significance: float = SIGNIFICANCE) -> list[bool]:
    """Returns which of several tests reject together by the procedure of Holm (1979), in the order of `ps`."""
    order = np.argsort(ps)
    rejected = np.array(ps)[order] <= significance / np.arange(len(ps), 0, -1)
    survivors = np.zeros(len(ps), bool)
    survivors[order] = np.minimum.accumulate(rejected)
    return [bool(survivor) for survivor in survivors]
