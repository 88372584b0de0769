"""Claims beyond the paper on sets of layers, judged training by training.

Each training is a part; a claim is of every training, and one that fails decides. Its sets were chosen on dev speech
and are judged on test speech, by intervals over speakers: a verdict is about these models, and not about all trainings
of their size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from paper_lib.claims import Claim, Finding, Part, above, conclude, points, units_needed
from paper_lib.inference import Mean, rate
from paper_lib.layers.orders import GREEDY, SINGLE, SearchedModel
from paper_lib.layers.ranking import MARGIN
from paper_lib.layers.sets import pairs_of

IN_EVERY_TRAINING = "in every training that was measured"

AMBIENT_TOGETHER = Claim(
    id="ambient-alone-ambient-together",
    slide="",
    chapter="layer_sets",
    figure="nested-sets",
    statement="Layers that are ambient alone are ambient together.",
    statistic=(
        "WER change on test speech with all layers re-initialised that are ambient one by one on dev speech; over "
        "speakers"
    ),
    part=f"The change is below {100 * MARGIN:.0f} points",
    parts=IN_EVERY_TRAINING,
    records="the search on dev speech, and the sets that were judged",
)
MORE_THAN_THE_SUM = Claim(
    id="pairs-more-than-their-sum",
    slide="",
    chapter="layer_sets",
    figure="pair-maps",
    statement="Two ambient layers do more harm together than the sum of what each does alone.",
    statistic=(
        "Interaction: WER change of the pair less those of its layers, mean over all pairs of layers that are ambient "
        "alone on dev speech; over speakers"
    ),
    part="The mean interaction is above 0",
    parts=IN_EVERY_TRAINING,
    records="resets of single layers and of pairs, and the search on dev speech",
)
SEARCH_PAYS = Claim(
    id="search-beats-single-ranks",
    slide="",
    chapter="layer_sets",
    figure="nested-sets",
    statement="Sets that a greedy search finds do less harm than as many layers that do the least harm alone.",
    statistic=(
        "WER change of nested sets by single ranks less that of nested sets of the search, mean over their sizes, both "
        "chosen on dev speech; over speakers"
    ),
    part="The difference is above 0",
    parts=IN_EVERY_TRAINING,
    records="the search on dev speech, and the sets that were judged",
)
CLAIMS = (AMBIENT_TOGETHER, MORE_THAN_THE_SUM, SEARCH_PAYS)


def judge(models: Sequence[SearchedModel]) -> list[Finding]:
    """Returns the findings on all three claims from the trained models whose sets of layers were reset."""
    return [
        _conclude(AMBIENT_TOGETHER, models, ambient_together, below_margin),
        _conclude(MORE_THAN_THE_SUM, models, mean_interaction, above),
        _conclude(SEARCH_PAYS, models, gain_by_search, above),
    ]


def ambient_together(model: SearchedModel) -> Mean | None:
    """Returns the WER change with all layers reset that are ambient alone; None where they are fewer than two."""
    return rate(model.heard.added[model.ambient][None], model.heard.words) if len(model.ambient) > 1 else None


def mean_interaction(model: SearchedModel) -> Mean | None:
    """Returns the interaction of two layers that are ambient alone, mean over pairs; None where there is no pair."""
    if len(model.ambient) < 2:
        return None
    errors = np.mean([model.heard.interaction(pair) for pair in pairs_of(model.ambient)], axis=0)
    return rate(errors[None], model.heard.words)


def gain_by_search(model: SearchedModel) -> Mean:
    """Returns the WER that a nested set by single ranks adds beyond one of the search, mean over sizes."""
    difference = model.nested_errors(SINGLE) - model.nested_errors(GREEDY)
    return rate(difference.mean(0)[None], model.heard.words)


def below_margin(mean: Mean) -> Part:
    """Returns whether a WER change lies below the margin, by its interval."""
    estimate = mean.estimate()
    if estimate.low > MARGIN:
        return Part(False)
    p = mean.p_value(MARGIN) if mean.value < MARGIN else 1.0
    return Part(True, p) if estimate.high < MARGIN else Part(None, p, units_needed(mean, MARGIN))


def _conclude(
    claim: Claim,
    models: Sequence[SearchedModel],
    statistic: Callable[[SearchedModel], Mean | None],
    test: Callable[[Mean], Part],
) -> Finding:
    evidence: list[str] = []
    parts: dict[str, Part] = {}
    for model in models:
        name, mean = f"seed {model.seed}", statistic(model)
        evidence.append(f"{name} {points(mean.estimate()) if mean else 'has no two layers that are ambient alone'}")
        parts[name] = test(mean) if mean else Part(None, 1.0, "a model with two ambient layers")
    if any(part.holds is False for part in parts.values()):
        # What is said of every training fails with the first: no more data on the others would save it.
        parts = {name: part for name, part in parts.items() if part.holds is False}
    return conclude(claim, evidence, parts)
