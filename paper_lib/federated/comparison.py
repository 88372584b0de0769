"""WERs after adaptation, and paired differences between plans, with intervals over seeds and test utterances.

Plans with one seed met the same clients, batches and test speech, so differences are taken within a seed and an
utterance. From three seeds on a bootstrap draws seeds and utterances; with fewer, the interval reaches from the lowest
to the highest end of every seed's own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paper_lib.evaluation import RESAMPLES, Estimate, resamples
from paper_lib.layers.agreement import drawn_trainings
from paper_lib.layers.changes import Floats

LOW, HIGH = 0.025, 0.975


@dataclass(frozen=True)
class Adapted:
    """Word errors of the adaptations by one plan, [seeds, utterances], and the references' words, [utterances]."""

    words: Floats
    errors: Floats

    @classmethod
    def of(cls, results: Sequence[Mapping[str, Any]], domains: Collection[str]) -> Adapted:
        """Reads the results of adaptation records, one per seed, on the test utterances of `domains`."""
        chosen = np.isin(results[0]["domains"], list(domains))
        words = np.array(results[0]["words"], float)[chosen]
        return cls(words, np.array([np.array(result["errors"], float)[chosen] for result in results]))

    def less(self, other: Adapted) -> Adapted:
        """Returns the errors that this plan makes more than `other`, seed by seed and utterance by utterance."""
        return Adapted(self.words, self.errors - other.errors)

    @property
    def by_seed(self) -> Floats:
        """The WER (or difference of WERs) of every seed, [seeds]."""
        wers: Floats = self.errors.sum(1) / self.words.sum()
        return wers

    def estimate(self) -> Estimate:
        """Returns the mean WER, or difference, over seeds with its 95 % interval (see the module)."""
        counts = resamples(len(self.words))
        drawn = counts @ self.errors.T / (counts @ self.words)[:, None]  # [resamples, seeds]
        value = float(self.by_seed.mean())
        seeds = len(self.errors)
        if seeds < 3:
            return Estimate(
                value, float(np.quantile(drawn, LOW, axis=0).min()), float(np.quantile(drawn, HIGH, axis=0).max())
            )
        means = drawn[np.arange(RESAMPLES)[:, None], drawn_trainings(seeds)].mean(1)
        low, high = np.quantile(means, (LOW, HIGH))
        return Estimate(value, float(low), float(high))
