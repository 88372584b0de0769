"""The claims of the slides "Stability" and "Takeaways" on ranks, judged from sweeps of several trainings a size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import stats

from paper_lib.claims import Claim, Finding, Part, conclude, plain
from paper_lib.claims.group_norm import fewer_ambient
from paper_lib.claims.model_size import reinitialised, tally
from paper_lib.layers.agreement import (
    Measure,
    Repeats,
    agreement,
    mean_of_pairs,
    overlap_of,
    per_training,
    permutation_test,
    rank_correlation,
)
from paper_lib.layers.changes import Floats
from paper_lib.layers.ranking import pooled

SIGNIFICANCE = 0.05
# For Page's test: with two trainings a size both agree equally well, with each other; two sizes make no trend.
FEWEST_FOR_A_TREND = 3

LAYERS_CAN_BE_RANKED = Claim(
    id="layers-can-be-ranked",
    slide="Takeaways (after Stability)",
    chapter="stability",
    figure="ranks",
    statement="The layers of a speech recogniser can be ranked by importance.",
    statistic=(
        "Spearman's ρ of the layers' WER changes between trainings, mean over pairs; permutation test, Bonferroni over "
        "sizes"
    ),
    part="The trainings agree better than shuffled layers do (and fails where they agree no better on average)",
    parts="in every size",
    records="reset sweeps of all sizes and seeds",
)
POSITIONS_ARE_STABLE = Claim(
    id="positions-are-stable",
    slide="Takeaways (after Stability)",
    chapter="stability",
    figure="ranks",
    statement="The position of ambient layers is somewhat stable.",
    statistic=(
        "Overlap between trainings of the third of the layers that is least harmful to reset; permutation test, "
        "Bonferroni over sizes"
    ),
    part="The overlap is larger than by chance (and fails where it is no larger on average)",
    parts="in every size",
    records="reset sweeps of all sizes and seeds",
)
LARGER_IS_MORE_STABLE = Claim(
    id="larger-is-more-stable",
    slide="Stability",
    chapter="stability",
    figure="spread",
    statement="Larger models are more stable across runs.",
    statistic="Spearman's ρ of each training with the others of its size; Page's test for a trend from S to L",
    part="The agreement grows with the size",
    parts="over all sizes, p < 0.05",
    records="reset sweeps of all sizes and seeds",
)
LARGER_HAS_MORE_AMBIENT_LAYERS = Claim(
    id="larger-has-more-ambient-layers",
    slide="Takeaways (after Stability)",
    chapter="stability",
    figure="spread",
    statement="Larger models yield more ambient layers.",
    statistic="Number of ambient layers under re-initialisation, trainings pooled; paired bootstrap, Bonferroni",
    part="The larger model has more",
    parts="at every step from a size to the next",
    records="reset sweeps of all sizes and seeds",
)
CLAIMS = (LAYERS_CAN_BE_RANKED, LARGER_IS_MORE_STABLE, POSITIONS_ARE_STABLE, LARGER_HAS_MORE_AMBIENT_LAYERS)

Results = Mapping[str, Sequence[Mapping[str, Any]]]


def judge(results: Results) -> list[Finding]:
    """Returns the findings on all claims from results of reset sweeps: by size, the smallest first, one per training.

    Raises TooFewTrainingsError where a size has fewer than two.
    """
    repeats = {size: Repeats.of(runs) for size, runs in results.items()}
    return [
        can_be_ranked(repeats),
        larger_is_more_stable(repeats),
        positions_are_stable(repeats),
        larger_has_more_ambient_layers(results),
    ]


def can_be_ranked(repeats: Mapping[str, Repeats]) -> Finding:
    """Judges LAYERS_CAN_BE_RANKED."""
    evidence: list[str] = []
    parts: dict[str, Part] = {}
    for size, runs in repeats.items():
        part, p = better_than_chance(runs.wer(), rank_correlation, Chance.of_ranks(runs.layers), len(repeats))
        evidence.append(f"{size}: ρ {plain(agreement(runs, rank_correlation))}, p = {p:.2g}")
        parts[size] = part
    return conclude(LAYERS_CAN_BE_RANKED, evidence, parts)


def positions_are_stable(repeats: Mapping[str, Repeats]) -> Finding:
    """Judges POSITIONS_ARE_STABLE."""
    evidence: list[str] = []
    parts: dict[str, Part] = {}
    for size, runs in repeats.items():
        k = least_harmful(runs.layers)
        chance = Chance.of_overlap(k, runs.layers)
        part, p = better_than_chance(runs.wer(), overlap_of(k), chance, len(repeats))
        share = agreement(runs, overlap_of(k))
        evidence.append(f"{size}: {plain(share)} of {k} layers, {chance.mean:.2f} by chance, p = {p:.2g}")
        parts[size] = part
    return conclude(POSITIONS_ARE_STABLE, evidence, parts)


def larger_is_more_stable(repeats: Mapping[str, Repeats]) -> Finding:
    """Judges LARGER_IS_MORE_STABLE."""
    by_size = [per_training(runs.wer()) for runs in repeats.values()]
    evidence = [f"{size} {values.mean():.2f}" for size, values in zip(repeats, by_size, strict=True)]
    trainings = min(map(len, by_size))
    if min(len(by_size), trainings) < FEWEST_FOR_A_TREND:
        remedy = f"at least {FEWEST_FOR_A_TREND} trainings of {FEWEST_FOR_A_TREND} sizes each"
        return conclude(LARGER_IS_MORE_STABLE, [f"mean ρ {', '.join(evidence)}"], {"trend": Part(None, remedy)})
    part, p = trend(np.stack([values[:trainings] for values in by_size], axis=1))
    return conclude(
        LARGER_IS_MORE_STABLE, [f"mean ρ {', '.join(evidence)}", f"Page's test p = {p:.2g}"], {"trend": part}
    )


def larger_has_more_ambient_layers(results: Results) -> Finding:
    """Judges LARGER_HAS_MORE_AMBIENT_LAYERS."""
    effects = {size: reinitialised(pooled(runs)) for size, runs in results.items()}
    utterances = len(next(iter(results.values()))[0]["words"])
    return conclude(
        LARGER_HAS_MORE_AMBIENT_LAYERS,
        [f"{size}: {tally(layers)}" for size, layers in effects.items()],
        {
            f"{smaller} and {larger}": fewer_ambient(effects[smaller], effects[larger], utterances)
            for smaller, larger in pairwise(effects)
        },
    )


def least_harmful(layers: int) -> int:
    """Returns how many layers a third of them are, at least one."""
    return max(1, layers // 3)


@dataclass(frozen=True)
class Chance:
    """Mean and variance of a measure between two trainings whose layers are shuffled."""

    mean: float
    variance: float

    @classmethod
    def of_ranks(cls, layers: int) -> Chance:
        """Returns those of Spearman's ρ."""
        return cls(0.0, 1 / (layers - 1))

    @classmethod
    def of_overlap(cls, k: int, layers: int) -> Chance:
        """Returns those of the share that two choices of `k` layers have in common."""
        return cls(k / layers, (layers - k) ** 2 / (layers**2 * (layers - 1)))  # hypergeometric


def better_than_chance(changes: Floats, measure: Measure, chance: Chance, tests: int) -> tuple[Part, float]:
    """Returns whether trainings `changes` [runs, layers] agree better than by chance, and p after Bonferroni.

    A test of agreement never excludes it; a claim fails where the trainings agree no better than the mean by chance.
    """
    p = min(1.0, tests * permutation_test(changes, measure))
    excess = float(mean_of_pairs(measure(changes))) - chance.mean
    if p < SIGNIFICANCE:
        return Part(True), p
    if excess <= 0:
        return Part(False), p
    # Shuffled pairs are uncorrelated, so the mean of m (m - 1) / 2 of them has the variance of one over their number.
    pairs = chance.variance * (stats.norm.ppf(1 - SIGNIFICANCE / tests) / excess) ** 2
    trainings = max(len(changes) + 1, math.ceil((1 + math.sqrt(1 + 8 * pairs)) / 2))
    return Part(None, f"about {trainings} trainings a size"), p


def trend(values: Floats) -> tuple[Part, float]:
    """Returns whether `values` [trainings, sizes] grow from size to size (Page's test), and p."""
    rising = float(stats.page_trend_test(values).pvalue)
    if rising < SIGNIFICANCE:
        return Part(True), rising
    if stats.page_trend_test(-values).pvalue < SIGNIFICANCE:
        return Part(False), rising
    trainings, sizes = values.shape
    ranks = stats.rankdata(values, axis=1).sum(0)
    excess = float((ranks * np.arange(1, sizes + 1)).sum() - trainings * sizes * (sizes + 1) ** 2 / 4)
    deviation = (trainings * sizes**2 * (sizes + 1) * (sizes**2 - 1) / 144) ** 0.5
    if excess <= 0:
        return Part(None, "no number of trainings, if they go on like this"), rising
    wanted = math.ceil(trainings * (stats.norm.ppf(1 - SIGNIFICANCE) * deviation / excess) ** 2)
    return Part(None, f"about {max(trainings + 1, wanted)} trainings a size"), rising
