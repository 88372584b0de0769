"""The claims of the slides on Federated Dropout and on the streaming model's signature, judged from adaptations.

Plans are compared where they drop the same number of parameters: crit-N, amb-N, low-N, high-N, random-N and flat-N of
one N. One comparison is primary, named before the numbers: crit-N less amb-N, mean over N = 2, 3 and 4. It is one
contrast a seed and one test. All others are secondary, and tested together (Holm).

On the slide Amb-2 stands against Crit-3 and Amb-3 against Crit-4, "same number of parameters trained"; by its column of
parameters the ambient plans drop in one layer more than their name says (`readings`), so that these are three and four
layers of either kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paper_lib.claims import TOO_FEW, Claim, Finding, Part, above, conclude, p_text, plain, points, tested
from paper_lib.federated.comparison import Adapted
from paper_lib.federated.plans import COUNTS
from paper_lib.inference import Floats, mean_over_trainings, orders_of, permutation_p, survives_holm
from paper_lib.layers.matrices import ATTENTION
from paper_lib.layers.signature import signature
from paper_lib.layers.sweeps import Sweeps

SLIDE = "Applications: Federated Dropout"
# Two WERs are called the same if they differ by less than this share of the second.
SAME = 0.1
_PAIRED = "difference of the WERs on the held-out domain at equal parameters dropped, paired by seed and speaker"

AMBIENT_COSTS_LESS = Claim(
    id="ambient-costs-less",
    slide=SLIDE,
    chapter="federated_dropout",
    figure="plan-differences",
    statement="Dropping in the N most ambient layers costs less WER than dropping as much in the N most critical ones.",
    statistic=f"{_PAIRED}; mean over N = 2, 3 and 4: one contrast a seed. The primary comparison of its chapter",
    part="The WERs of the Crit-N are above those of the Amb-N",
    parts="on average over N and seeds",
    records="adaptations by both plans",
)
AMB2_AGAINST_CRIT3 = Claim(
    id="amb2-against-crit3",
    slide=SLIDE,
    chapter="federated_dropout",
    figure="plan-differences",
    statement="Amb-2 beats Crit-3, which trains as many parameters (7 % of WER; by the slide's table 10 %).",
    statistic=f"{_PAIRED}: three layers of either kind, as the slide's parameters suggest",
    part="WER of Crit-3 is above that of Amb-3",
    parts="on average over seeds",
    records="adaptations by both plans",
)
AMB3_AGAINST_CRIT4 = Claim(
    id="amb3-against-crit4",
    slide=SLIDE,
    chapter="federated_dropout",
    figure="plan-differences",
    statement="Amb-3 beats Crit-4, which trains as many parameters (22 % of WER; by the slide's table 11 %).",
    statistic=f"{_PAIRED}: four layers of either kind, as the slide's parameters suggest",
    part="WER of Crit-4 is above that of Amb-4",
    parts="on average over seeds",
    records="adaptations by both plans",
)
AMB4_EQUALS_FLAT = Claim(
    id="amb4-equals-flat",
    slide=SLIDE,
    chapter="federated_dropout",
    figure="plan-wers",
    statement="Against flat dropout: more dropout (Amb-4), same WER.",
    statistic=(
        "Difference of the WERs of Amb-4 and Flat (20 %), which drops less or as much, against a margin of "
        f"{100 * SAME:.0f} % of Flat's"
    ),
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
    statistic=(
        "mean attention signature: of the other layers less that of the least critical one, mean over trainings; "
        "layers shuffled in all trainings alike"
    ),
    part="The least critical layer's signature is below the others' mean",
    parts="on average over trainings",
    records="the streaming model's trainings and resets",
)
CLAIMS = (AMBIENT_COSTS_LESS, AMB2_AGAINST_CRIT3, AMB3_AGAINST_CRIT4, AMB4_EQUALS_FLAT, DIP_AT_LEAST_CRITICAL)


def judge(adapted: Mapping[str, Adapted], trainings: Sequence[Mapping[str, Any]], sweeps: Sweeps) -> list[Finding]:
    """Returns the findings on all claims: from word errors on the held-out domain by plan, and trainings with resets.

    A claim on plans that were not run is not measured; that on the streaming model is where there are no `trainings`.
    """
    return [
        ambient_costs_less(adapted),
        _worse(AMB2_AGAINST_CRIT3, adapted, 3),
        _worse(AMB3_AGAINST_CRIT4, adapted, 4),
        amb4_equals_flat(adapted),
        dips_at_least_critical(trainings, sweeps),
    ]


# Of two plans of one N, the one that is expected to be worse first.
_SECONDARY = (
    ("crit", "amb"),
    ("flat", "amb"),
    ("random", "amb"),
    ("low", "amb"),
    ("crit", "random"),
    ("high", "crit"),
)


@dataclass(frozen=True)
class Comparison:
    """Two plans at equal parameters dropped; `p` is two-sided, None with one seed, which says nothing of another."""

    worse: str
    better: str
    difference: Adapted
    p: float | None
    survives: bool  # whether it differs from 0 when all secondary comparisons are tested together


def secondary_comparisons(adapted: Mapping[str, Adapted]) -> list[Comparison]:
    """Returns the comparisons of the plans of one N that were run, tested together by Holm's procedure."""
    pairs = [(f"{worse}-{count}", f"{better}-{count}") for worse, better in _SECONDARY for count in COUNTS]
    differences = {pair: compare(adapted, *pair) for pair in pairs if set(pair) <= adapted.keys()}
    ps = [d.mean.p_value(0.0) if len(d.errors) > 1 else None for d in differences.values()]
    survivors = survives_holm([1.0 if p is None else p for p in ps])
    return [
        Comparison(*pair, difference, p, survives)
        for (pair, difference), p, survives in zip(differences.items(), ps, survivors, strict=True)
    ]


def compare(adapted: Mapping[str, Adapted], worse: str, better: str) -> Adapted:
    """Returns the difference of two plans, paired: above 0 where `worse` has the higher WER."""
    return adapted[worse].less(adapted[better])


def crit_less_amb(adapted: Mapping[str, Adapted]) -> Adapted | None:
    """Returns the difference of Crit-N and Amb-N, mean over N; None where one of these plans was not run."""
    pairs = [(f"crit-{count}", f"amb-{count}") for count in COUNTS]
    if not all({worse, better} <= adapted.keys() for worse, better in pairs):
        return None
    return Adapted.average([compare(adapted, worse, better) for worse, better in pairs])


def ambient_costs_less(adapted: Mapping[str, Adapted]) -> Finding:
    """Judges AMBIENT_COSTS_LESS."""
    difference = crit_less_amb(adapted)
    name = "crit − amb"
    if difference is None:
        return conclude(AMBIENT_COSTS_LESS, [], {})
    return conclude(AMBIENT_COSTS_LESS, [f"{name}: {points(difference.mean.estimate())}"], {name: beyond(difference)})


def _worse(claim: Claim, adapted: Mapping[str, Adapted], count: int) -> Finding:
    worse, better = f"crit-{count}", f"amb-{count}"
    name = f"{worse} − {better}"
    if not {worse, better} <= adapted.keys():
        return conclude(claim, [], {})
    difference = compare(adapted, worse, better)
    return conclude(claim, [f"{name}: {points(difference.mean.estimate())}"], {name: beyond(difference)})


def amb4_equals_flat(adapted: Mapping[str, Adapted]) -> Finding:
    """Judges AMB4_EQUALS_FLAT; beside it stands flat dropout of as many parameters."""
    name = "flat + margin − amb-4"
    if not {"amb-4", "flat"} <= adapted.keys():
        return conclude(AMB4_EQUALS_FLAT, [], {})
    difference = compare(adapted, "flat", "amb-4")
    flat = adapted["flat"].mean.value
    evidence = [f"flat: {100 * flat:.1f} %", f"flat − amb-4: {points(difference.mean.estimate())}"]
    # Of sixteen layers, 20 % in each are as much as 50 % in four and 10 % elsewhere: then both are one plan.
    if "flat-4" in adapted and (adapted["flat-4"].errors != adapted["flat"].errors).any():
        evidence.append(f"flat-4 − amb-4: {points(compare(adapted, 'flat-4', 'amb-4').mean.estimate())}")
    return conclude(AMB4_EQUALS_FLAT, evidence, {name: beyond(difference, -SAME * flat)})


def beyond(difference: Adapted, threshold: float = 0.0) -> Part:
    """Returns whether a paired difference lies above `threshold`.

    A plan, a choice or a norm is all of its trainings: one alone says nothing of another.
    """
    return above(difference.mean, threshold) if len(difference.errors) > 1 else TOO_FEW


def dips_at_least_critical(trainings: Sequence[Mapping[str, Any]], sweeps: Sweeps) -> Finding:
    """Judges DIP_AT_LEAST_CRITICAL."""
    if not trainings:
        return conclude(DIP_AT_LEAST_CRITICAL, [], {})
    dips = dips_by_layer(trainings)  # [trainings, layers]
    least = sweeps.harm().argmin(1)
    orders = orders_of(dips.shape[1])
    rows = np.arange(len(dips))
    # Where the least critical layer of each training might as well have been.
    shuffled = dips[rows, orders[:, least]].mean(1)
    p, opposite = permutation_p(shuffled), permutation_p(-shuffled)
    name = "others − least critical"
    told = (
        plain(mean_over_trainings(dips[rows, least]).estimate())
        if len(dips) > 1
        else f"{dips[0, least[0]]:.2f} in one training"
    )
    layers = ", ".join(str(layer + 1) for layer in least)
    evidence = [f"{name}: {told.replace('-', '−')}, {p_text(p)}", f"least critical: {layers} of {dips.shape[1]}"]
    return conclude(DIP_AT_LEAST_CRITICAL, evidence, {name: tested(p, opposite, "more layers")})


def dips_by_layer(trainings: Sequence[Mapping[str, Any]]) -> Floats:
    """Returns by how much each layer's attention signature lies below the mean of the others, [trainings, layers]."""
    profiles = np.stack([signature(training, ATTENTION).mean(0) for training in trainings])
    others = (profiles.sum(1, keepdims=True) - profiles) / (profiles.shape[1] - 1)
    dips: Floats = others - profiles
    return dips
