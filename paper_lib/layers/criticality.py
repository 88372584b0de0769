"""What the way of a layer from W(0) to W(T) says of it, read from records of `path_sweep`.

Chatterji, Neyshabur & Sedghi (2020, arXiv 1912.00528, section 2) call *criticality* of a module

    μ(ε) = min over α and σ of α² ‖W(T) − W(0)‖²_F / σ²,  such that the error is at most ε,

where the module has the weights (1 − α) W(0) + α W(T), and the error is the mean over Gaussian noise of deviation σ on
them. Without noise, and with the word error rate, which may exceed the trained model's by a margin, that is

    μ = α² ‖W(T) − W(0)‖²_F  for the least α at which the WER is within the margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from paper_lib.evaluation import Spoken
from paper_lib.inference import Floats
from paper_lib.layers.ranking import MARGIN


@dataclass(frozen=True)
class Path:
    """WER changes against the trained model, fractions: on the way of each layer, and without the layer."""

    shares: tuple[float, ...]  # rising
    rises: Floats  # [layers, shares]
    skipped: Floats  # [layers]
    distances: Floats  # ‖W(T) − W(0)‖_F, [layers]
    utterances: int  # that were recognised

    @classmethod
    def read(cls, result: Mapping[str, Any]) -> Path:
        """Reads the result of a record, as `PathResult.record` has written it."""
        spoken = Spoken.read(result)

        def wer(entry: Mapping[str, Any]) -> float:
            return float(spoken.errors(entry["misheard"]).sum() / spoken.words.sum())

        intact = wer({"misheard": result["intact"]})
        points = {(point["layer"], point["share"]): wer(point) - intact for point in result["points"]}
        skips = {skip["layer"]: wer(skip) - intact for skip in result["skips"]}
        shares = tuple(sorted({share for _, share in points}))
        layers = sorted(skips)
        return cls(
            shares,
            np.array([[points[layer, share] for share in shares] for layer in layers]),
            np.array([skips[layer] for layer in layers]),
            np.array(result["distances"]),
            len(spoken.ids),
        )

    @property
    def mean_rise(self) -> Floats:
        """The WER change, mean over the shares, [layers]: a reading of the way that needs no margin."""
        mean: Floats = self.rises.mean(1)
        return mean

    def least_shares(self, margin: float = MARGIN) -> Floats:
        """Returns the least share of the way at which each layer's WER change is at most `margin`; 1: none before."""
        within = self.rises <= margin
        return np.where(within.any(1), np.array(self.shares)[within.argmax(1)], 1.0)

    def criticality(self, margin: float = MARGIN) -> Floats:
        """Returns μ, [layers]: the squared distance of the nearest weights to W(0) that do within `margin`."""
        mu: Floats = (self.least_shares(margin) * self.distances) ** 2
        return mu
