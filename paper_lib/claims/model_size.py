"""The claims of the slide "Model Size", judged from the reset sweeps of several sizes.

Intervals are bootstraps over the test utterances, the same draw for all models. They do not cover that another
training from another seed gives another model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from paper_lib.claims import Claim, Finding, Part, above, conclude, plain, points, utterances_needed
from paper_lib.evaluation import Estimate, bootstrap_interval
from paper_lib.layers.changes import Changes, Counts, Floats
from paper_lib.layers.ranking import CLASSES, MARGIN, Class, LayerEffect, layer_effects

LAYERS_DIFFER = Claim(
    id="layers-differ",
    slide="Model Size",
    chapter="model_size",
    figure="change-intervals",
    statement="Some layers can be reset without penalty (ambient); others have a catastrophic impact (critical).",
    statistic="Classes of the layers under re-initialisation, by paired bootstrap, Bonferroni over a model's layers",
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
    statistic="WER change, averaged over the layers of a model and both resets; paired bootstrap of the differences",
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
    statistic="Spearman's ρ between the two over layers; difference of their average WER; bootstrap",
    part=f"ρ is above 0; the WERs differ by less than {100 * MARGIN:.0f} points",
    parts="both in every size",
    records="reset sweeps of all sizes",
)
CLAIMS = (LAYERS_DIFFER, LARGER_IS_MORE_ROBUST, RESETS_ARE_SIMILAR)


def judge(results: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Returns the findings on all three claims from the results of reset sweeps, by size, the smallest size first."""
    return [layers_differ(results), larger_is_more_robust(results), resets_are_similar(results)]


def reinitialised(result: Mapping[str, Any]) -> list[LayerEffect]:
    """Returns the effects of re-initialisation."""
    return [effect for effect in layer_effects(result) if effect.kind == "re-initialisation"]


def tally(effects: Sequence[LayerEffect]) -> str:
    """Returns how many layers there are of every class, in words."""
    counts = [sum(effect.classification == name for effect in effects) for name in CLASSES]
    return ", ".join(f"{count} {name}" for count, name in zip(counts, CLASSES, strict=True)) + f" of {len(effects)}"


def existence(effects: Sequence[LayerEffect], wanted: Class, utterances: int) -> Part:
    """Returns whether a layer of class `wanted` exists, among re-initialised layers that are partly unresolved."""
    if any(effect.classification == wanted for effect in effects):
        return Part(True)
    # Which side of the margin an unresolved layer seems to be on.
    open_ones = [effect.change for effect in effects if effect.classification == "unresolved"]
    near = [change for change in open_ones if (change.value < MARGIN) == (wanted == "ambient")] or open_ones
    if not near:
        return Part(False)
    closest = max(near, key=lambda change: abs(change.value - MARGIN))
    return Part(None, utterances_needed(closest, MARGIN, utterances))


def layers_differ(results: Mapping[str, Mapping[str, Any]]) -> Finding:
    """Judges LAYERS_DIFFER; parameters as for `judge`."""
    evidence: list[str] = []
    parts: dict[str, Part] = {}
    for size, result in results.items():
        effects = reinitialised(result)
        evidence.append(f"{size}: {tally(effects)}")
        both = [existence(effects, name, len(result["words"])) for name in ("ambient", "critical")]
        failing = [part for part in both if part.holds is not True]
        possible = len(effects) > 1  # one layer cannot be both
        if not possible or any(part.holds is False for part in both):
            parts[size] = Part(False)
        else:
            parts[size] = failing[0] if failing else Part(True)
    return conclude(LAYERS_DIFFER, evidence, parts)


def larger_is_more_robust(results: Mapping[str, Mapping[str, Any]]) -> Finding:
    """Judges LARGER_IS_MORE_ROBUST; parameters as for `judge`."""
    changes = {size: Changes.of(result) for size, result in results.items()}
    harms = [f"{size} {points(_interval(one.harm, one))}" for size, one in changes.items()]
    evidence = [f"mean WER change {', '.join(harms)}"]
    parts: dict[str, Part] = {}
    for (smaller, one), (larger, other) in pairwise(changes.items()):
        step = _interval(partial(_difference, one, other), one)
        evidence.append(f"{smaller} − {larger} {points(step)}")
        parts[f"{smaller} − {larger}"] = above(step, 0, len(one.words))
    return conclude(LARGER_IS_MORE_ROBUST, evidence, parts)


def resets_are_similar(results: Mapping[str, Mapping[str, Any]]) -> Finding:
    """Judges RESETS_ARE_SIMILAR; parameters as for `judge`."""
    evidence: list[str] = []
    parts: dict[str, Part] = {}
    for size, result in results.items():
        changes = Changes.of(result)
        ranks, excess = _interval(changes.rank_correlation, changes), _interval(changes.excess, changes)
        parts[f"{size}, ρ"] = above(ranks, 0, len(changes.words))
        parts[f"{size}, WERs"] = _within_margin(excess, len(changes.words))
        evidence.append(f"{size}: ρ {plain(ranks)}, re-randomisation {points(excess)}")
    return conclude(RESETS_ARE_SIMILAR, evidence, parts)


def _within_margin(excess: Estimate, utterances: int) -> Part:
    if max(abs(excess.low), abs(excess.high)) < MARGIN:
        return Part(True)
    if excess.low > MARGIN or excess.high < -MARGIN:
        return Part(False)
    return Part(None, utterances_needed(excess, MARGIN if excess.value > 0 else -MARGIN, utterances))


def _difference(one: Changes, other: Changes, counts: Counts) -> Floats:
    return one.harm(counts) - other.harm(counts)


def _interval(statistic: Callable[[Counts], Floats], changes: Changes) -> Estimate:
    return bootstrap_interval(statistic, len(changes.words))
