"""What resets add to the word errors of one model, and what becomes of it when the test utterances are drawn again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from paper_lib.layers.ranking import layer_errors
from paper_lib.layers.variants import KINDS, Kind

Floats = NDArray[np.float64]
Counts = NDArray[np.float64]  # [resamples, utterances], how often a resample holds each utterance


@dataclass(frozen=True)
class Changes:
    """What resets add to the errors of one model: `resets[kind]` is [layers, utterances], `words` [utterances]."""

    words: Floats
    resets: dict[Kind, Floats]

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Changes:
        """Reads the result of a reset sweep's record."""
        intact = np.array(result["intact"])
        return cls(np.array(result["words"], float), {kind: layer_errors(result, kind) - intact for kind in KINDS})

    def wer(self, kind: Kind, counts: Counts) -> Floats:
        """Returns the WER change of every layer, [resamples, layers]."""
        change: Floats = (counts @ self.resets[kind].T) / (counts @ self.words)[:, None]
        return change

    def harm(self, counts: Counts) -> Floats:
        """Returns the WER change averaged over layers and resets, [resamples]."""
        return np.mean([self.wer(kind, counts).mean(1) for kind in KINDS], axis=0)

    def rank_correlation(self, counts: Counts) -> Floats:
        """Returns Spearman's ρ between the changes by the two resets, [resamples]; 0 where one ranks nothing."""
        first, second = (self.wer(kind, counts) for kind in KINDS)
        return spearman(first, second)

    def excess(self, counts: Counts) -> Floats:
        """Returns by how much re-randomisation is worse than re-initialisation, mean over layers, [resamples]."""
        first, second = (self.wer(kind, counts).mean(1) for kind in KINDS)
        return second - first


def spearman(x: Floats, y: Floats) -> Floats:
    """Returns Spearman's ρ along the last axis of `x` and `y`, which broadcast; 0 where one of them ranks nothing.

    SciPy's own takes no stack of samples.
    """
    x, y = (ranks - ranks.mean(-1, keepdims=True) for ranks in (stats.rankdata(x, axis=-1), stats.rankdata(y, axis=-1)))
    scale = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    product = (x * y).sum(-1)
    rho: Floats = np.divide(product, scale, out=np.zeros_like(product), where=scale > 0)
    return rho
