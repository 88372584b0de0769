"""Word error rates with bootstrap intervals over utterances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jiwer
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from paper_lib.conformer.decoding import greedy_decode
from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus.batches import Item, collate
from paper_lib.corpus.tokens import Tokenizer

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


def wer_interval(errors: ArrayLike, words: ArrayLike, confidence: float = 0.95, seed: int = 0) -> Estimate:
    """Returns total `errors` [utterances] over total `words` [utterances] with a percentile bootstrap over utterances.

    With the difference of two systems' errors on the same utterances in `errors` this is the paired bootstrap of their
    difference in WER (Bisani & Ney 2004).
    """
    errors, words = np.asarray(errors, float), np.asarray(words, float)
    value = float(errors.sum() / words.sum())
    if np.all(errors == 0):
        return Estimate(value, value, value)
    result = stats.bootstrap(
        (errors, words),
        lambda e, w, axis: e.sum(axis) / w.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=200,
        confidence_level=confidence,
        method="percentile",
        rng=seed,
    )
    return Estimate(value, float(result.confidence_interval.low), float(result.confidence_interval.high))


def bootstrap_interval(
    statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]], utterances: int, seed: int = 0
) -> Estimate:
    """Returns `statistic` of all utterances with a 95 % percentile bootstrap over them.

    `statistic` maps counts [resamples, utterances], how often a resample holds each utterance, to values [resamples].
    With the same `seed` all statistics see the same resamples.
    """
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(utterances, np.full(utterances, 1 / utterances), RESAMPLES)
    low, high = np.quantile(statistic(counts), (0.025, 0.975))
    return Estimate(float(statistic(np.ones((1, utterances), np.int64))[0]), float(low), float(high))


@torch.inference_mode()
def transcribe(
    model: Transducer, batches: Sequence[Sequence[Item]], tokenizer: Tokenizer, device: torch.device
) -> list[tuple[str, str]]:
    """Returns (reference, hypothesis) of every utterance, in the order of `batches`."""
    model.eval()
    pairs = []
    for items in batches:
        batch = collate(items, tokenizer).to(device)
        encoded, frames = model.encode(batch.features, batch.frames)
        hypotheses = (tokenizer.decode(ids) for ids in greedy_decode(model, encoded, frames))
        pairs += [(u.text, hypothesis) for u, hypothesis in zip(batch.utterances, hypotheses, strict=True)]
    return pairs


def wer(pairs: Sequence[tuple[str, str]]) -> float:
    """Returns the word error rate, a fraction, of (reference, hypothesis) pairs."""
    errors = sum(word_errors(reference, hypothesis) for reference, hypothesis in pairs)
    return errors / sum(len(reference.split()) for reference, _ in pairs)
