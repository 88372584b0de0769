"""The three claims of the slide "Model Size", judged from the reset sweeps of several sizes.

Intervals are bootstraps over the test utterances, the same draw for all models. They do not cover that another
training from another seed gives another model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from paper_lib.claims import Claim, Finding, Verdict
from paper_lib.evaluation import Estimate, bootstrap_interval
from paper_lib.layers.ranking import MARGIN, layer_effects, layer_errors
from paper_lib.layers.reset_sweep import KINDS, Kind

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]  # [resamples, utterances], how often a resample holds each utterance

LAYERS_DIFFER = Claim(
    id="layers-differ",
    slide="Model Size",
    statement="Some layers can be reset without penalty (ambient); others have a catastrophic impact (critical).",
    criterion="Every size has an ambient and a critical layer under re-initialisation.",
)
LARGER_IS_MORE_ROBUST = Claim(
    id="larger-is-more-robust",
    slide="Model Size",
    statement="The larger the model, the more robust it is to having entire layers reset.",
    criterion="The WER change, averaged over the layers of a model and both resets, falls from size to size.",
)
RESETS_ARE_SIMILAR = Claim(
    id="resets-are-similar",
    slide="Model Size",
    statement="Re-initialisation and re-randomisation do about the same.",
    criterion=(
        "In every size the two rank the layers alike (Spearman's ρ above 0) and their WER, averaged over the layers, "
        f"differs by less than {100 * MARGIN:.0f} points."
    ),
)


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
        ranks = [stats.rankdata(self.wer(kind, counts), axis=1) for kind in KINDS]
        first, second = (rank - rank.mean(1, keepdims=True) for rank in ranks)
        scale = np.sqrt((first**2).sum(1) * (second**2).sum(1))
        return np.divide((first * second).sum(1), scale, out=np.zeros(len(scale)), where=scale > 0)

    def excess(self, counts: Counts) -> Floats:
        """Returns by how much re-randomisation is worse than re-initialisation, mean over layers, [resamples]."""
        first, second = (self.wer(kind, counts).mean(1) for kind in KINDS)
        return second - first


def judge(results: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Returns the findings on all three claims from the results of reset sweeps, by size, the smallest size first."""
    return [layers_differ(results), larger_is_more_robust(results), resets_are_similar(results)]


def layers_differ(results: Mapping[str, Mapping[str, Any]]) -> Finding:
    """Judges LAYERS_DIFFER; parameters as for `judge`."""
    counts: list[str] = []
    states: list[bool | None] = []
    for size, result in results.items():
        classes = [e.classification for e in layer_effects(result) if e.kind == "re-initialisation"]
        ambient, critical, unresolved = (classes.count(c) for c in ("ambient", "critical", "unresolved"))
        counts.append(f"{size}: {ambient} ambient, {critical} critical, {unresolved} unresolved of {len(classes)}")
        if ambient and critical:
            states.append(True)
        else:
            possible = ambient + unresolved > 0 and critical + unresolved > 0 and len(classes) > 1
            states.append(None if possible else False)
    return Finding(LAYERS_DIFFER, "; ".join(counts), _verdict(states))


def larger_is_more_robust(results: Mapping[str, Mapping[str, Any]]) -> Finding:
    """Judges LARGER_IS_MORE_ROBUST; parameters as for `judge`."""
    changes = {size: Changes.of(result) for size, result in results.items()}
    harms = [f"{size} {_points(_interval(one.harm, one))}" for size, one in changes.items()]
    evidence = [f"mean WER change {', '.join(harms)}"]
    states: list[bool | None] = []
    for (smaller, one), (larger, other) in pairwise(changes.items()):
        step = _interval(partial(_difference, one, other), one)
        evidence.append(f"{smaller} − {larger} {_points(step)}")
        states.append(_sign(step))
    return Finding(LARGER_IS_MORE_ROBUST, "; ".join(evidence), _verdict(states))


def resets_are_similar(results: Mapping[str, Mapping[str, Any]]) -> Finding:
    """Judges RESETS_ARE_SIMILAR; parameters as for `judge`."""
    states: list[bool | None] = []
    evidence: list[str] = []
    for size, result in results.items():
        changes = Changes.of(result)
        ranks, excess = _interval(changes.rank_correlation, changes), _interval(changes.excess, changes)
        within = max(abs(excess.low), abs(excess.high)) < MARGIN
        beyond = excess.low > MARGIN or excess.high < -MARGIN
        states += [_sign(ranks), True if within else False if beyond else None]
        evidence.append(
            f"{size}: ρ {ranks.value:.2f} [{ranks.low:.2f}, {ranks.high:.2f}], re-randomisation {_points(excess)}"
        )
    return Finding(RESETS_ARE_SIMILAR, "; ".join(evidence), _verdict(states))


def _sign(estimate: Estimate) -> bool | None:
    """Returns whether a value is above 0, or nothing where its interval holds 0."""
    return True if estimate.low > 0 else False if estimate.high < 0 else None


def _verdict(parts: Sequence[bool | None]) -> Verdict:
    """Returns the verdict on a claim whose parts each hold (True), fail (False) or cannot be told (None)."""
    if parts and all(parts):
        return "reproduced"
    if True in parts:
        return "partly reproduced"
    return "not reproduced" if parts and None not in parts else "not resolved"


def _difference(one: Changes, other: Changes, counts: Counts) -> Floats:
    return one.harm(counts) - other.harm(counts)


def _interval(statistic: Callable[[Counts], Floats], changes: Changes) -> Estimate:
    return bootstrap_interval(statistic, len(changes.words))


def _points(estimate: Estimate) -> str:
    return f"{100 * estimate.value:+.1f} [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}] points"
