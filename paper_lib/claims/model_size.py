"""The claims of the slide "Model Size", judged from the reset sweeps of several sizes.

Layers are classed, and sizes compared, by means over the trainings of a size; sizes are paired by seed and speaker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from paper_lib.claims import TOO_FEW, Claim, Finding, Part, above, conclude, p_text, points, tested, units_needed
from paper_lib.inference import CONFIDENCE, Floats, Mean, rate, smallest_p, together
from paper_lib.layers.agreement import association
from paper_lib.layers.ranking import CLASSES, MARGIN, Class, LayerEffect, ambient_among, classify, reinitialised
from paper_lib.layers.sweeps import Sweeps
from paper_lib.layers.variants import KINDS

LAYERS_DIFFER = Claim(
    id="layers-differ",
    slide="Model Size",
    chapter="model_size",
    figure="change-intervals",
    statement="Some layers can be reset without penalty (ambient); others have a catastrophic impact (critical).",
    statistic=(
        f"Classes of the layers under re-initialisation, mean over trainings, margin {100 * MARGIN:.0f} points; "
        "Bonferroni over a model's layers"
    ),
    part="There is an ambient and a critical layer",
    parts="in every size",
    records="reset sweeps of all sizes",
)
LARGER_IS_MORE_ROBUST = Claim(
    id="larger-is-more-robust",
    slide="Model Size",
    chapter="model_size",
    figure="reset-columns",
    statement="The larger the model, the more robust it is to having entire layers reset.",
    statistic=(
        "WER change, averaged over the layers of a model and both resets; differences paired by seed and speaker, over "
        "trainings and speakers"
    ),
    part="The smaller model's average change is the larger",
    parts="at every step from a size to the next",
    records="reset sweeps of all sizes",
)
RESETS_ARE_SIMILAR = Claim(
    id="resets-are-similar",
    slide="Model Size",
    chapter="model_size",
    figure="reset-columns",
    statement="Re-initialisation and re-randomisation do about the same.",
    statistic=(
        "Spearman's ρ over layers between the two, layers shuffled in all trainings alike; difference of their average "
        "WER, over trainings and speakers"
    ),
    part=f"ρ is above 0; the WERs differ by less than {100 * MARGIN:.0f} points",
    parts="both in every size",
    records="reset sweeps of all sizes",
)
CLAIMS = (LAYERS_DIFFER, LARGER_IS_MORE_ROBUST, RESETS_ARE_SIMILAR)


def judge(sizes: Mapping[str, Sweeps]) -> list[Finding]:
    """Returns the findings on all three claims from the reset sweeps of every size, the smallest size first."""
    return [layers_differ(sizes), larger_is_more_robust(sizes), resets_are_similar(sizes)]


def tally(effects: Sequence[LayerEffect]) -> str:
    """Returns how many layers there are of every class, in words."""
    counts = [sum(effect.classification == name for effect in effects) for name in CLASSES]
    return ", ".join(f"{count} {name}" for count, name in zip(counts, CLASSES, strict=True)) + f" of {len(effects)}"


def existence(effects: Sequence[LayerEffect], wanted: Class) -> Part:
    """Returns whether a layer of class `wanted` exists, among re-initialised layers that are partly unresolved."""

    def holds(confidence: float) -> bool:
        each = together(len(effects), confidence)
        return any(classify(effect.mean.estimate(each)) == wanted for effect in effects)

    p = smallest_p(holds)
    if holds(CONFIDENCE):
        return Part(True, p)
    unresolved = [effect.mean for effect in effects if effect.classification == "unresolved"]
    if not unresolved:
        return Part(False)
    # Which side of the margin an unresolved layer seems to be on.
    near = [mean for mean in unresolved if (mean.value < MARGIN) == (wanted == "ambient")] or unresolved
    return Part(None, p, _to_class(near, len(effects)))


def layers_differ(sizes: Mapping[str, Sweeps]) -> Finding:
    """Judges LAYERS_DIFFER."""
    evidence: list[str] = []
    parts: dict[str, Part] = {}
    for size, sweeps in sizes.items():
        effects = reinitialised(sweeps)
        evidence.append(f"{size}: {tally(effects)}")
        both = [existence(effects, name) for name in ("ambient", "critical")]
        if len(effects) == 1 or any(part.holds is False for part in both):  # one layer cannot be both
            parts[size] = Part(False)
        else:
            # The part that holds least decides.
            parts[size] = max(both, key=lambda part: (part.holds is None, part.p))
    return conclude(LAYERS_DIFFER, evidence, parts)


def mean_harm(sweeps: Sweeps) -> Floats:
    """Returns the errors that a reset adds, mean over layers and both resets, [trainings, speakers]."""
    return np.mean([sweeps.added(kind).mean(1) for kind in KINDS if kind in sweeps.resets], axis=0)


def larger_is_more_robust(sizes: Mapping[str, Sweeps]) -> Finding:
    """Judges LARGER_IS_MORE_ROBUST."""
    harms = [f"{size} {points(rate(mean_harm(one), one.words).estimate())}" for size, one in sizes.items()]
    evidence = [f"mean WER change {', '.join(harms)}"]
    parts: dict[str, Part] = {}
    for (smaller, one), (larger, other) in pairwise(sizes.items()):
        paired = min(one.trainings, other.trainings)
        step = rate(mean_harm(one)[:paired] - mean_harm(other)[:paired], one.words)
        evidence.append(f"{smaller} − {larger} {points(step.estimate())}")
        # A size is all of its trainings: one alone says nothing of another.
        parts[f"{smaller} − {larger}"] = above(step) if paired > 1 else TOO_FEW
    return conclude(LARGER_IS_MORE_ROBUST, evidence, parts)


def resets_are_similar(sizes: Mapping[str, Sweeps]) -> Finding:
    """Judges RESETS_ARE_SIMILAR."""
    evidence: list[str] = []
    parts: dict[str, Part] = {}
    for size, sweeps in sizes.items():
        first, second = (sweeps.harm(kind) for kind in KINDS)
        rho, p = association(first, second)
        added = [sweeps.added(kind).mean(1) for kind in KINDS]
        excess = rate(added[1] - added[0], sweeps.words)
        parts[f"{size}, ρ"] = tested(p, association(first, -second)[1], "more layers")
        parts[f"{size}, WERs"] = within(excess, MARGIN)
        evidence.append(f"{size}: ρ {rho:.2f}, {p_text(p)}; re-randomisation {points(excess.estimate())}")
    return conclude(RESETS_ARE_SIMILAR, evidence, parts)


def within(mean: Mean, margin: float) -> Part:
    """Returns whether a mean lies between -`margin` and `margin`, by its interval."""
    estimate = mean.estimate()
    if estimate.low > margin or estimate.high < -margin:
        return Part(False)
    nearer = margin if mean.value > 0 else -margin
    inside = -margin < mean.value < margin
    p = max(mean.p_value(margin), mean.p_value(-margin)) if inside else 1.0
    if max(abs(estimate.low), abs(estimate.high)) < margin:
        return Part(True, p)
    return Part(None, p, units_needed(mean, nearer))


def fewer_ambient(fewer: Sequence[LayerEffect], more: Sequence[LayerEffect]) -> Part:
    """Returns whether the model of the first effects has fewer ambient layers than that of the second.

    A number of ambient layers is known up to the unresolved ones. The intervals of both models' layers hold together.
    """
    each = len(fewer) + len(more)

    def apart(first: Sequence[LayerEffect], second: Sequence[LayerEffect], confidence: float) -> bool:
        alone = together(each, confidence)
        return ambient_range(first, alone)[1] < ambient_range(second, alone)[0]

    p = smallest_p(lambda confidence: apart(fewer, more, confidence))
    if apart(fewer, more, CONFIDENCE):
        return Part(True, p)
    # Not fewer: as many at least, all of them known.
    alone = together(each)
    if ambient_range(fewer, alone)[0] >= ambient_range(more, alone)[1]:
        return Part(False)
    unresolved = [e.mean for e in (*fewer, *more) if classify(e.mean.estimate(alone)) == "unresolved"]
    return Part(None, p, _to_class(unresolved, each))


def ambient_range(effects: Sequence[LayerEffect], confidence: float) -> tuple[int, int]:
    """Returns the least and the largest number of ambient layers that intervals of this confidence allow."""
    return ambient_among([effect.mean.estimate(confidence) for effect in effects])


def _to_class(unresolved: Sequence[Mean], tests: int) -> str:
    """Returns what it takes to class the layer of `unresolved` that is farthest from the margin."""
    clearest = max(unresolved, key=lambda mean: abs(mean.value - MARGIN))
    return units_needed(clearest, MARGIN, together(tests))
