"""Word error rates with bootstrap intervals over utterances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import jiwer
import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence interval. WERs are fractions: 0.05 is 5 %."""

    value: float
    low: float
    high: float


def word_errors(reference: str, hypothesis: str) -> int:
    """Returns the substitutions, insertions and deletions that separate the two texts, in words."""
    if reference == hypothesis:
        return 0
    result = jiwer.process_words(reference, hypothesis)
    return int(result.substitutions + result.insertions + result.deletions)


@lru_cache(maxsize=4)
def resamples(utterances: int, seed: int = 0) -> NDArray[np.float64]:
    """Returns how often each of the bootstrap's resamples holds each utterance, [RESAMPLES, utterances]."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(utterances, np.full(utterances, 1 / utterances), RESAMPLES).astype(float)  # for BLAS
    counts.flags.writeable = False
    return counts


def bootstrap_interval(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    utterances: int,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Returns `statistic` of all utterances with a percentile bootstrap over them.

    `statistic` maps counts [resamples, utterances], how often a resample holds each utterance, to values [resamples].
    With the same `seed` all statistics see the same resamples, which SciPy's bootstrap would draw for each anew.
    """
    low, high = np.quantile(statistic(resamples(utterances, seed)), ((1 - confidence) / 2, (1 + confidence) / 2))
    return Estimate(float(statistic(np.ones((1, utterances)))[0]), float(low), float(high))


def wer_interval(errors: ArrayLike, words: ArrayLike, confidence: float = 0.95, seed: int = 0) -> Estimate:
    """Returns total `errors` [utterances] over total `words` [utterances] with a percentile bootstrap over utterances.

    With the difference of two systems' errors on the same utterances in `errors` this is the paired bootstrap of their
    difference in WER (Bisani & Ney 2004).
    """
    errors, words = np.asarray(errors, float), np.asarray(words, float)
    return bootstrap_interval(lambda counts: (counts @ errors) / (counts @ words), len(words), confidence, seed)


def wer(pairs: Sequence[tuple[str, str]]) -> float:
    """Returns the word error rate, a fraction, of (reference, hypothesis) pairs."""
    errors = sum(word_errors(reference, hypothesis) for reference, hypothesis in pairs)
    return errors / sum(len(reference.split()) for reference, _ in pairs)
