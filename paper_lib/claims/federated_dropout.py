"""The claims of the slides on Federated Dropout and on the streaming model's signature, judged from adaptations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from paper_lib.claims import (
    Claim,
    Finding,
    Part,
    above_over_seeds,
    conclude,
    mean_over_seeds,
    plain,
    points,
    seeds_needed,
)
from paper_lib.evaluation import Estimate
from paper_lib.federated.comparison import Adapted
from paper_lib.layers.matrices import ATTENTION
from paper_lib.layers.signatures import harm, signature

SLIDE = "Applications: Federated Dropout"
# Two WERs are called the same if they differ by less than this share of the second.
SAME = 0.1
_PAIRED = "difference of the WERs on the held-out domain, paired by seed and test utterance"

AMBIENT_COSTS_LESS = Claim(
    id="ambient-costs-less",
    slide=SLIDE,
    chapter="federated_dropout",
    figure="plan-wers",
    statement="Dropping in the N most ambient layers costs less WER than dropping as much in the N most critical ones.",
    statistic=_PAIRED,
    part="WER of Crit-N is above that of Amb-N",
    parts="for N = 2, 3 and 4",
    records="adaptations by both plans",
)
AMB2_AGAINST_CRIT3 = Claim(
    id="amb2-against-crit3",
    slide=SLIDE,
    chapter="federated_dropout",
    figure="plan-wers",
    statement="Amb-2 beats Crit-3, said to train as many parameters (7 % of WER; by the slide's table 10 %).",
    statistic=_PAIRED,
    part="WER of Crit-3 is above that of Amb-2",
    parts="on average over seeds",
    records="adaptations by both plans",
)
AMB3_AGAINST_CRIT4 = Claim(
    id="amb3-against-crit4",
    slide=SLIDE,
    chapter="federated_dropout",
    figure="plan-wers",
    statement="Amb-3 beats Crit-4, said to train as many parameters (22 % of WER; by the slide's table 11 %).",
    statistic=_PAIRED,
    part="WER of Crit-4 is above that of Amb-3",
    parts="on average over seeds",
    records="adaptations by both plans",
)
AMB4_EQUALS_FLAT = Claim(
    id="amb4-equals-flat",
    slide=SLIDE,
    chapter="federated_dropout",
    figure="plan-wers",
    statement="Against flat dropout: more dropout (Amb-4), same WER.",
    statistic=f"{_PAIRED}, against a margin of {SAME:.0%} of Flat's WER",
    part="WER of Amb-4 is less than that margin above Flat's",
    parts="on average over seeds",
    records="adaptations by both plans",
)
DIP_AT_LEAST_CRITICAL = Claim(
    id="dip-at-least-critical",
    slide="Numerical Signatures",
    chapter="federated_dropout",
    figure="streaming-signature",
    statement="In the streaming model the attention signature dips at the least critical layer.",
    statistic="mean attention signature: of the other layers less that of the least critical one; Student's t",
    part="The least critical layer's signature is below the others' mean",
    parts="on average over trainings",
    records="the streaming model's trainings and resets",
)
CLAIMS = (AMBIENT_COSTS_LESS, AMB2_AGAINST_CRIT3, AMB3_AGAINST_CRIT4, AMB4_EQUALS_FLAT, DIP_AT_LEAST_CRITICAL)


def judge(
    adapted: Mapping[str, Adapted], trainings: Sequence[Mapping[str, Any]], sweeps: Sequence[Mapping[str, Any]]
) -> list[Finding]:
    """Returns the findings on all claims: from word errors on the held-out domain by plan, and trainings with resets.

    A claim on plans that were not run is not resolved.
    """
    return [
        _worse(AMBIENT_COSTS_LESS, adapted, [(f"crit-{n}", f"amb-{n}") for n in (2, 3, 4)]),
        _worse(AMB2_AGAINST_CRIT3, adapted, [("crit-3", "amb-2")]),
        _worse(AMB3_AGAINST_CRIT4, adapted, [("crit-4", "amb-3")]),
        _amb4_equals_flat(adapted),
        _dip(trainings, sweeps),
    ]


def compare(adapted: Mapping[str, Adapted], worse: str, better: str) -> Adapted:
    """Returns the difference of two plans, paired: above 0 where `worse` has the higher WER."""
    return adapted[worse].less(adapted[better])


def _worse(claim: Claim, adapted: Mapping[str, Adapted], pairs: Sequence[tuple[str, str]]) -> Finding:
    evidence: list[str] = []
    parts: dict[str, Part] = {}
    for worse, better in pairs:
        name = f"{worse} − {better}"
        if not {worse, better} <= adapted.keys():
            parts[name] = Part(None, "both plans")
            continue
        difference = compare(adapted, worse, better)
        evidence.append(f"{name}: {points(difference.estimate())}")
        parts[name] = _beyond(difference, 0.0)
    return conclude(claim, evidence, parts)


def _amb4_equals_flat(adapted: Mapping[str, Adapted]) -> Finding:
    name = "flat + margin − amb-4"
    if not {"amb-4", "flat"} <= adapted.keys():
        return conclude(AMB4_EQUALS_FLAT, [], {name: Part(None, "both plans")})
    difference = compare(adapted, "flat", "amb-4")
    flat = adapted["flat"].estimate()
    evidence = [f"flat: {100 * flat.value:.1f} %", f"flat − amb-4: {points(difference.estimate())}"]
    return conclude(AMB4_EQUALS_FLAT, evidence, {name: _beyond(difference, -SAME * flat.value)})


def _beyond(difference: Adapted, threshold: float) -> Part:
    estimate: Estimate = difference.estimate()
    if estimate.low > threshold or estimate.high < threshold:
        return Part(estimate.low > threshold)
    seeds = difference.by_seed.tolist()
    return Part(None, seeds_needed(seeds, threshold, "seeds") if len(seeds) > 1 else "more than one seed")


def _dip(trainings: Sequence[Mapping[str, Any]], sweeps: Sequence[Mapping[str, Any]]) -> Finding:
    dips = [dip(training, sweep) for training, sweep in zip(trainings, sweeps, strict=True)]
    name = "others − least critical"
    if len(dips) < 2:
        return conclude(
            DIP_AT_LEAST_CRITICAL, [f"{name}: {dips[0]:.2f} in one training"], {name: Part(None, "more trainings")}
        )
    return conclude(DIP_AT_LEAST_CRITICAL, [f"{name}: {plain(mean_over_seeds(dips))}"], {name: above_over_seeds(dips)})


def dip(training: Mapping[str, Any], sweep: Mapping[str, Any]) -> float:
    """Returns by how much the least critical layer's attention signature lies below the mean of the others."""
    of_layers = signature(training, ATTENTION).mean(0)
    least = int(np.argmin(harm(sweep)))
    return float(np.delete(of_layers, least).mean() - of_layers[least])
