"""How alike several trainings of one model rank its layers.

Every training gives a vector of WER changes, one per layer. Two trainings agree as far as these vectors have the same
order; several agree as far as their pairs do on average.

An interval is a bootstrap over the test utterances, the same draw for all trainings and, from three trainings on, over
the trainings too (a pair of a training with itself does not count). With two there is one pair: its interval says how
well the test speech tells the ranks of *these* two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from paper_lib.evaluation import RESAMPLES, Estimate, resamples
from paper_lib.layers.changes import Changes, Counts, Floats, spearman
from paper_lib.layers.variants import Kind

# Maps changes [..., runs, layers] to the agreement of every two runs, [..., runs, runs].
Measure = Callable[[Floats], Floats]


class TooFewTrainingsError(ValueError):
    """A comparison of trainings was asked of fewer than two."""


@dataclass(frozen=True)
class Repeats:
    """Several trainings of one model, by what resets add to their errors on the same utterances."""

    runs: tuple[Changes, ...]

    @classmethod
    def of(cls, results: Sequence[Mapping[str, Any]]) -> Repeats:
        """Reads the results of reset sweeps; raises TooFewTrainingsError for fewer than two."""
        if len(results) < 2:
            raise TooFewTrainingsError(
                f"trainings are compared, and there is {len(results)}: at least 2 seeds are needed"
            )
        return cls(tuple(Changes.of(result) for result in results))

    @property
    def utterances(self) -> int:
        return len(self.runs[0].words)

    @property
    def layers(self) -> int:
        return len(self.runs[0].resets["re-initialisation"])

    def wer(self, counts: Counts | None = None, kind: Kind = "re-initialisation") -> Floats:
        """Returns the WER change of every run and layer, [resamples, runs, layers]; [runs, layers] without `counts`."""
        if counts is None:
            return self.wer(np.ones((1, self.utterances)), kind)[0]
        return np.stack([run.wer(kind, counts) for run in self.runs], axis=1)


def rank_correlation(changes: Floats) -> Floats:
    """Returns Spearman's ρ of every two runs."""
    return spearman(changes[..., :, None, :], changes[..., None, :, :])


def rank_concordance(changes: Floats) -> Floats:
    """Returns Kendall's τ-b of every two runs."""
    first, second = np.array(list(combinations(range(changes.shape[-1]), 2))).T
    order = np.sign(changes[..., first] - changes[..., second])
    norm = np.sqrt((order**2).sum(-1))
    scale = norm[..., :, None] * norm[..., None, :]
    product = order @ np.swapaxes(order, -1, -2)
    tau: Floats = np.divide(product, scale, out=np.zeros_like(product), where=scale > 0)
    return tau


def overlap(changes: Floats, k: int) -> Floats:
    """Returns which share of the `k` least harmful layers every two runs have in common; by chance k / layers."""
    chosen = (stats.rankdata(changes, method="ordinal", axis=-1) <= k).astype(float)
    share: Floats = chosen @ np.swapaxes(chosen, -1, -2) / k
    return share


def mean_of_pairs(pairs: Floats) -> Floats:
    """Returns the mean over pairs of different runs, [...], of `pairs` [..., runs, runs]."""
    first, second = np.triu_indices(pairs.shape[-1], 1)
    mean: Floats = pairs[..., first, second].mean(-1)
    return mean


def drawn_trainings(runs: int, seed: int = 0) -> NDArray[np.int64]:
    """Returns which of `runs` trainings each resample holds, [RESAMPLES, runs]; two are always both taken."""
    if runs <= 2:
        return np.tile(np.arange(runs), (RESAMPLES, 1))
    return np.random.default_rng(seed).integers(runs, size=(RESAMPLES, runs))


def agreement(repeats: Repeats, measure: Measure, seed: int = 0) -> Estimate:
    """Returns the mean of `measure` over the pairs of trainings, with its 95 % interval (see the module)."""
    runs = len(repeats.runs)
    pairs = measure(repeats.wer(resamples(repeats.utterances, seed)))
    drawn = drawn_trainings(runs, seed)
    resampled = pairs[np.arange(RESAMPLES)[:, None, None], drawn[:, :, None], drawn[:, None, :]]
    different = drawn[:, :, None] != drawn[:, None, :]
    count = different.sum((1, 2))
    means = (resampled * different).sum((1, 2))[count > 0] / count[count > 0]
    low, high = np.quantile(means, (0.025, 0.975))
    return Estimate(float(mean_of_pairs(measure(repeats.wer()))), float(low), float(high))


def permutation_test(changes: Floats, measure: Measure = rank_correlation) -> float:
    """Returns how often trainings whose layers are shuffled agree as well as those of `changes` [runs, layers] do.

    Of two trainings with up to seven layers all orders are tried; else 9999 at random.
    """
    first, *others = changes

    def statistic(*shuffled: Floats, axis: int) -> Floats:
        moved = [np.moveaxis(run, axis, -1) for run in shuffled]
        # Only the order of one training against another matters, so the first keeps its own.
        return mean_of_pairs(measure(np.stack(np.broadcast_arrays(first, *moved), axis=-2)))

    result = stats.permutation_test(
        tuple(others), statistic, permutation_type="pairings", vectorized=True, alternative="greater", rng=0
    )
    return float(result.pvalue)


def per_training(changes: Floats) -> Floats:
    """Returns the mean rank correlation of every training with the others, [runs], for `changes` [runs, layers]."""
    pairs = rank_correlation(changes)
    others: Floats = (pairs.sum(-1) - np.diagonal(pairs)) / (len(pairs) - 1)
    return others


@dataclass(frozen=True)
class Deviations:
    """Standard deviations of a layer's WER change, root mean square over layers (and trainings)."""

    trainings: float  # from training to training, re-initialised
    draws: float | None  # from draw to draw within a training, re-randomised; None with a single draw
    utterances: float  # by the choice of the test utterances, re-initialised


def deviations(results: Sequence[Mapping[str, Any]], seed: int = 0) -> Deviations:
    """Returns what a layer's WER change varies with, from the results of reset sweeps of several trainings."""
    repeats = Repeats.of(results)
    counts = resamples(repeats.utterances, seed)
    draws = [_draw_variance(result) for result in results]
    return Deviations(
        trainings=float(np.sqrt(repeats.wer().var(0, ddof=1).mean())),
        draws=None if None in draws else float(np.sqrt(np.mean([draw for draw in draws if draw is not None]))),
        utterances=float(np.sqrt(repeats.wer(counts).var(0, ddof=1).mean())),
    )


def _draw_variance(result: Mapping[str, Any]) -> float | None:
    words = sum(result["words"])
    by_layer: dict[int, list[float]] = {}
    for reset in result["resets"]:
        if reset["kind"] == "re-randomisation":
            by_layer.setdefault(reset["layer"], []).append(sum(reset["errors"]) / words)
    if min(map(len, by_layer.values()), default=0) < 2:
        return None
    return float(np.mean([np.var(draws, ddof=1) for draws in by_layer.values()]))


def overlap_of(k: int) -> Measure:
    """Returns the measure that `overlap` is for `k` layers."""
    return partial(overlap, k=k)
