"""The paper's claims as data, and verdicts on them that are computed from records: nobody writes one by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from paper_lib.evaluation import Estimate

Verdict = Literal["reproduced", "partly reproduced", "not reproduced", "not resolved"]


@dataclass(frozen=True)
class Claim:
    """What the paper says, in our words, and what we would accept as its reproduction.

    The claim has parts, one per model size for example. All parts hold: reproduced. Some hold: partly reproduced. None
    holds, and the data say so of each: not reproduced. Else the data cannot tell: not resolved.
    """

    id: str
    slide: str
    chapter: str  # whose page shows the measurement
    figure: str  # the id of the figure on that page
    statement: str
    statistic: str  # what is computed, and its interval or test
    part: str  # when a part holds
    parts: str  # what the parts are
    records: str  # what is read

    @property
    def criteria(self) -> dict[Verdict, str]:
        """What each verdict takes, in words."""
        return {
            "reproduced": f"{self.part}, {self.parts}.",
            "partly reproduced": "That holds of some of them only.",
            "not reproduced": "It is excluded for each of them.",
            "not resolved": "It is shown for none, and not excluded for all.",
        }


@dataclass(frozen=True)
class Part:
    """One part of a claim: it holds, it fails, or (None) the data cannot tell, and then `remedy` says what would."""

    holds: bool | None
    remedy: str = ""


@dataclass(frozen=True)
class Finding:
    """A claim beside what was measured; `evidence` holds the numbers with their intervals.

    `remedy` says of each part that the data cannot tell how much more data would.
    """

    claim: Claim
    evidence: str
    verdict: Verdict
    remedy: str = ""


def conclude(claim: Claim, evidence: Sequence[str], parts: Mapping[str, Part]) -> Finding:
    """Returns the finding on a claim with these parts, each by its name: a size, two sizes that are compared, ..."""
    remedies = [f"{name}: {part.remedy}" for name, part in parts.items() if part.holds is None and part.remedy]
    return Finding(claim, "; ".join(evidence), verdict([part.holds for part in parts.values()]), "; ".join(remedies))


def verdict(parts: Sequence[bool | None]) -> Verdict:
    """Returns the verdict on a claim whose parts each hold (True), fail (False) or cannot be told (None)."""
    if parts and all(parts):
        return "reproduced"
    if True in parts:
        return "partly reproduced"
    return "not reproduced" if parts and None not in parts else "not resolved"


def above(estimate: Estimate, threshold: float, utterances: int) -> Part:
    """Returns whether a value lies above `threshold`, by its interval over `utterances` test utterances."""
    if estimate.low > threshold or estimate.high < threshold:
        return Part(estimate.low > threshold)
    return Part(None, utterances_needed(estimate, threshold, utterances))


def utterances_needed(estimate: Estimate, threshold: float, utterances: int) -> str:
    """Returns how many test utterances would take `threshold` out of the interval, if the value stayed what it is.

    An interval is as wide as one over the square root of their number.
    """
    distance = abs(estimate.value - threshold)
    reach = estimate.value - estimate.low if estimate.value > threshold else estimate.high - estimate.value
    return _about(utterances * (reach / distance) ** 2 if distance else math.inf, "test utterances")


def mean_over_seeds(values: Sequence[float]) -> Estimate:
    """Returns the mean of one value per training with its 95 % interval by Student's t.

    Raises ValueError for fewer than two trainings.
    """
    if len(values) < 2:
        raise ValueError(f"an interval over trainings needs at least 2 seeds; there is {len(values)}")
    mean = float(np.mean(values))
    if np.ptp(values) == 0:
        return Estimate(mean, mean, mean)
    interval = stats.ttest_1samp(values, 0).confidence_interval()
    return Estimate(mean, float(interval.low), float(interval.high))


def above_over_seeds(values: Sequence[float], threshold: float = 0.0) -> Part:
    """Returns whether the mean over trainings lies above `threshold`, by `mean_over_seeds`."""
    estimate = mean_over_seeds(values)
    if estimate.low > threshold or estimate.high < threshold:
        return Part(estimate.low > threshold)
    return Part(None, seeds_needed(values, threshold, "trainings a size"))


def seeds_needed(values: Sequence[float], threshold: float, what: str) -> str:
    """Returns how many values, called `what`, would tell their mean from `threshold` if they went on so."""
    distance, deviation = abs(float(np.mean(values)) - threshold), float(np.std(values, ddof=1))
    enough = (n for n in range(len(values) + 1, 1000) if stats.t.ppf(0.975, n - 1) * deviation < distance * n**0.5)
    return _about(next(enough, math.inf), what)


def _about(count: float, what: str) -> str:
    if count > 1e6:
        return f"no number of {what} that one could make"
    digits = 1 - math.floor(math.log10(count))  # two significant ones
    return f"about {math.ceil(round(count, digits)):,} {what}"


def points(estimate: Estimate) -> str:
    """Returns a change in WER with its interval, in points."""
    value, low, high = (f"{100 * x:+.1f}" for x in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}] points".replace("-", "−")


def plain(estimate: Estimate) -> str:
    """Returns a number and its interval."""
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]".replace("-", "−")
