"""The book's finding in a few words, for its first page: they follow from the records, as verdicts do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paper_lib.claims import points
from paper_lib.claims.layer_sets import ambient_together
from paper_lib.layers.orders import GREEDY, SearchedModel, largest_ambient
from paper_lib.layers.ranking import MARGIN, LayerEffect
from paper_lib.summaries.layer_sets import each, told


def headline(effects: Mapping[str, Sequence[LayerEffect]], searched: Sequence[SearchedModel] = ()) -> list[str]:
    """Says of each size how many of its layers can be put back to their untrained weights, and which one costs most.

    `effects` are those of re-initialisation, by the size of the model. Of `searched`, the trainings of the first
    size of which sets of layers were reset, it says what becomes of that when they are put back together.
    """
    (first, of_first), *others = effects.items()
    worst = max(of_first, key=lambda effect: effect.change.value)
    sentences = [
        f"Of the {len(of_first)} layers of a trained Conformer{first}, {_ambient(of_first)} can be put back to the "
        "weights that training began with, one at a time, and the word error rate rises by less than "
        f"{100 * MARGIN:g} points.",
    ]
    if others:
        larger = [f"{_ambient(of_size)} of {len(of_size)} in Conformer{size}" for size, of_size in others]
        sentences.append(f"So can {' and '.join(larger)}.")
    sentences.append(f"In Conformer{first} layer {worst.layer} costs most: {points(worst.change)}.")
    if several := [model for model in searched if len(model.ambient) > 1]:
        trained = f"one Conformer{first}" if len(several) == 1 else f"{len(several)} trainings of Conformer{first}"
        alone = each(several, lambda model: len(model.ambient))
        cost = each(several, lambda model: told(ambient_together(model)))
        most = each(several, lambda model: largest_ambient(model, GREEDY))
        sentences.append(
            f"All at once is another matter: of {trained}, {alone} layers can be put back one by one, by dev "
            f"speech, and together they cost {cost} on test speech; up to {most} can be put back together."
        )
    return sentences


def _ambient(effects: Sequence[LayerEffect]) -> str:
    return str(sum(effect.classification == "ambient" for effect in effects) or "none")
