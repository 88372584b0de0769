"""The claims of the slides "Stability" and "Takeaways" on ranks, judged from sweeps of several trainings a size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

from paper_lib.claims import TOO_FEW, Claim, Finding, Part, above, conclude, p_text, plain, tested
from paper_lib.claims.model_size import fewer_ambient, tally
from paper_lib.inference import difference_of_means
from paper_lib.layers.agreement import agreement_p, instability, rank_agreements, sets_in_common, sets_p
from paper_lib.layers.ranking import MARGIN, reinitialised
from paper_lib.layers.sweeps import Sweeps

LAYERS_CAN_BE_RANKED = Claim(
    id="layers-can-be-ranked",
    slide="Takeaways (after Stability)",
    chapter="stability",
    figure="ranks",
    statement="The layers of a speech recogniser can be ranked by importance.",
    statistic="Spearman's ρ of the layers' WER changes between trainings, mean over pairs; permutation test",
    part="The trainings agree better than shuffled layers do",
    parts="in every size",
    records="reset sweeps of all sizes and seeds",
)
POSITIONS_ARE_STABLE = Claim(
    id="positions-are-stable",
    slide="Takeaways (after Stability)",
    chapter="stability",
    figure="ranks",
    statement="The position of ambient layers is somewhat stable.",
    statistic=(
        f"Layers whose measured harm is below {100 * MARGIN:.0f} points, in common between trainings, mean over pairs; "
        "permutation test"
    ),
    part="Trainings have more of them in common than shuffled layers do",
    parts="in every size that has some, and not all of its layers, in every training",
    records="reset sweeps of all sizes and seeds",
)
LARGER_IS_MORE_STABLE = Claim(
    id="larger-is-more-stable",
    slide="Stability",
    chapter="stability",
    figure="spread",
    statement="Larger models are more stable across runs.",
    statistic=(
        "How far a training's WER changes lie from the mean of the others, over the spread between layers; difference "
        "of the sizes' means, Welch's t over trainings"
    ),
    part="The larger model's trainings differ less",
    parts="at every step from a size to the next",
    records="reset sweeps of all sizes and seeds",
)
LARGER_HAS_MORE_AMBIENT_LAYERS = Claim(
    id="larger-has-more-ambient-layers",
    slide="Takeaways (after Stability)",
    chapter="stability",
    figure="spread",
    statement="Larger models yield more ambient layers.",
    statistic=(
        f"Number of ambient layers under re-initialisation, mean over trainings, margin {100 * MARGIN:.0f} points; "
        "Bonferroni over the layers of both models"
    ),
    part="The larger model has more",
    parts="at every step from a size to the next",
    records="reset sweeps of all sizes and seeds",
)
CLAIMS = (LAYERS_CAN_BE_RANKED, LARGER_IS_MORE_STABLE, POSITIONS_ARE_STABLE, LARGER_HAS_MORE_AMBIENT_LAYERS)

MORE_TRAININGS = "more trainings a size"


def judge(sizes: Mapping[str, Sweeps]) -> list[Finding]:
    """Returns the findings on all claims from the reset sweeps of every size, the smallest size first."""
    return [
        can_be_ranked(sizes),
        larger_is_more_stable(sizes),
        positions_are_stable(sizes),
        larger_has_more_ambient_layers(sizes),
    ]


def can_be_ranked(sizes: Mapping[str, Sweeps]) -> Finding:
    """Judges LAYERS_CAN_BE_RANKED."""
    evidence: list[str] = []
    parts: dict[str, Part] = {}
    for size, sweeps in sizes.items():
        if sweeps.trainings < 2:
            parts[size] = TOO_FEW
            continue
        harm = sweeps.harm()
        p = agreement_p(harm)
        evidence.append(f"{size}: ρ {rank_agreements(harm).mean():.2f}, {p_text(p)}")
        # Trainings that disagree more than chance allows would be no ranking either, but there is no such test.
        parts[size] = tested(p, 1.0, MORE_TRAININGS)
    return conclude(LAYERS_CAN_BE_RANKED, evidence, parts)


def positions_are_stable(sizes: Mapping[str, Sweeps]) -> Finding:
    """Judges POSITIONS_ARE_STABLE."""
    evidence: list[str] = []
    parts: dict[str, Part] = {}
    for size, sweeps in sizes.items():
        harmless = sweeps.harm() < MARGIN
        counts = harmless.sum(1)
        if sweeps.trainings < 2:
            parts[size] = TOO_FEW
        elif not all(0 < count < len(sweeps.units) for count in counts):
            evidence.append(f"{size}: {', '.join(map(str, counts))} such layers, no position to compare")
        else:
            p = sets_p(harmless)
            common, by_chance = sets_in_common(harmless)
            evidence.append(f"{size}: {common:.1f} in common, {by_chance:.1f} by chance, {p_text(p)}")
            parts[size] = tested(p, 1.0, MORE_TRAININGS)
    # Where no size has a position to compare, that was measured, and tells nothing.
    return conclude(POSITIONS_ARE_STABLE, evidence, parts or {"positions": Part(None)})


def larger_is_more_stable(sizes: Mapping[str, Sweeps]) -> Finding:
    """Judges LARGER_IS_MORE_STABLE."""
    several = {size: instability(sweeps.harm()) for size, sweeps in sizes.items() if sweeps.trainings > 1}
    evidence = [f"deviation {', '.join(f'{size} {values.mean():.2f}' for size, values in several.items())}"]
    parts: dict[str, Part] = {}
    for smaller, larger in pairwise(sizes):
        name = f"{smaller} − {larger}"
        if {smaller, larger} <= several.keys():
            difference = difference_of_means(several[smaller], several[larger])
            evidence.append(f"{name} {plain(difference.estimate())}")
            part = above(difference)
            parts[name] = replace(part, remedy=part.remedy and f"{part.remedy} of both sizes together")
        else:
            parts[name] = TOO_FEW
    return conclude(LARGER_IS_MORE_STABLE, evidence, parts)


def larger_has_more_ambient_layers(sizes: Mapping[str, Sweeps]) -> Finding:
    """Judges LARGER_HAS_MORE_AMBIENT_LAYERS."""
    effects = {size: reinitialised(sweeps) for size, sweeps in sizes.items()}
    enough = all(sweeps.trainings > 1 for sweeps in sizes.values())
    return conclude(
        LARGER_HAS_MORE_AMBIENT_LAYERS,
        [f"{size}: {tally(layers)}" for size, layers in effects.items()],
        {
            f"{smaller} and {larger}": fewer_ambient(effects[smaller], effects[larger]) if enough else TOO_FEW
            for smaller, larger in pairwise(effects)
        },
    )
