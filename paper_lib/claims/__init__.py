"""The paper's claims as data, and verdicts on them that are computed from records: nobody writes one by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from scipy import optimize

from paper_lib.inference import CONFIDENCE, SIGNIFICANCE, Component, Estimate, Mean
from paper_lib.typography import minus_signs

Verdict = Literal["reproduced", "partly reproduced", "not reproduced", "not resolved", "not measured"]


@dataclass(frozen=True)
class Claim:
    """What the paper says, in our words, and what we would accept as its reproduction.

    The claim has parts, one per model size for example. All parts hold: reproduced. Some hold: partly reproduced. None
    holds, and the data say so of each: not reproduced. Else the data cannot tell: not resolved. Where there is no part,
    a single size for example where sizes are compared, nothing was measured.
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
    """One part of a claim: it holds, it fails, or (None) the data cannot tell, and then `remedy` says what would.

    `p` is that of the test by which it would hold; 1 where it fails or could not be tested.
    """

    holds: bool | None
    p: float = 1.0
    remedy: str = ""


@dataclass(frozen=True)
class Finding:
    """A claim beside what was measured; `evidence` holds the numbers with their intervals.

    `remedy` says of each part that the data cannot tell how much more data would. `p` is the largest of the parts: that
    all of them hold is tested by the one that does so least.
    """

    claim: Claim
    evidence: str
    verdict: Verdict
    p: float
    remedy: str = ""


def conclude(claim: Claim, evidence: Sequence[str], parts: Mapping[str, Part]) -> Finding:
    """Returns the finding on a claim with these parts, each by its name: a size, two sizes that are compared, ..."""
    remedies = [f"{name}: {part.remedy}" for name, part in parts.items() if part.holds is None and part.remedy]
    return Finding(
        claim,
        minus_signs("; ".join(evidence)),
        verdict([part.holds for part in parts.values()]),
        max((part.p for part in parts.values()), default=1.0),
        "; ".join(remedies),
    )


def verdict(parts: Sequence[bool | None]) -> Verdict:
    """Returns the verdict on a claim whose parts each hold (True), fail (False) or cannot be told (None)."""
    if not parts:
        return "not measured"
    if all(parts):
        return "reproduced"
    if True in parts:
        return "partly reproduced"
    return "not resolved" if None in parts else "not reproduced"


def above(mean: Mean, threshold: float = 0.0, confidence: float = CONFIDENCE) -> Part:
    """Returns whether a mean lies above `threshold`, by its interval."""
    estimate = mean.estimate(confidence)
    if estimate.low > threshold:
        return Part(True, mean.p_value(threshold))
    if estimate.high < threshold:
        return Part(False)
    p = mean.p_value(threshold) if mean.value > threshold else 1.0
    return Part(None, p, units_needed(mean, threshold, confidence))


def tested(p: float, opposite: float, remedy: str) -> Part:
    """Returns whether a part holds by a one-sided test with `p`; it fails where the `opposite` test rejects."""
    if p < SIGNIFICANCE:
        return Part(True, p)
    return Part(False) if opposite < SIGNIFICANCE else Part(None, p, remedy)


TOO_FEW = Part(None, 1.0, "at least 2 trainings a model")


def units_needed(mean: Mean, threshold: float, confidence: float = CONFIDENCE) -> str:
    """Returns how many more trainings or speakers would take `threshold` out of the interval.

    That is if mean and spreads stayed what they are; of several ways the one with the smaller factor is named.
    """
    side = -1 if mean.value > threshold else 1
    distance = abs(mean.value - threshold)

    def too_wide(factor: float, more: str) -> float:
        reaches = [
            component.reach(side, confidence) if name != more else _of_more(component, factor).reach(side, confidence)
            for name, component in (("trainings", mean.trainings), ("speakers", mean.speakers))
            if component
        ]
        return math.hypot(*reaches) - distance

    factors = {
        more: math.exp(optimize.brentq(lambda log, more=more: too_wide(math.exp(log), more), 0, math.log(1e4)))
        for more, component in (("trainings", mean.trainings), ("speakers", mean.speakers))
        if component and too_wide(1e4, more) < 0 < too_wide(1, more)
    }
    if not factors:
        return "no number of trainings or of speakers alone"
    more = min(factors, key=lambda name: factors[name])
    component = getattr(mean, more)
    count = (component.freedom - component.lent + 1) * factors[more]
    digits = 1 - math.floor(math.log10(count))  # two significant ones
    return f"about {math.ceil(round(count, digits)):,} {'test speakers' if more == 'speakers' else 'trainings'}"


def _of_more(component: Component, factor: float) -> Component:
    """Returns what `component` would be with `factor` times as many of its units."""
    units = component.freedom - component.lent + 1
    return replace(component, variance=component.variance / factor, freedom=units * factor - 1 + component.lent)


def points(estimate: Estimate) -> str:
    """Returns a change in WER with its interval, in points."""
    value, low, high = (f"{100 * x:+.1f}" for x in (estimate.value, estimate.low, estimate.high))
    return minus_signs(f"{value} [{low}, {high}] points")


def wer(estimate: Estimate) -> str:
    """Returns a WER with its interval, in per cent."""
    value, low, high = (f"{100 * x:.1f}" for x in (estimate.value, estimate.low, estimate.high))
    return minus_signs(f"{value} % [{low}, {high}]")


def plain(estimate: Estimate) -> str:
    """Returns a number and its interval."""
    return minus_signs(f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]")


def p_text(p: float) -> str:
    """Returns a p-value to two digits, and none that the permutations cannot tell from 0."""
    return f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"
