"""What the chapter on sets of layers says in short."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from paper_lib.claims import points
from paper_lib.claims.layer_sets import ambient_together, gain_by_search, mean_interaction
from paper_lib.inference import Mean
from paper_lib.layers.orders import GREEDY, SINGLE, SearchedModel, largest_ambient, nested_changes
from paper_lib.layers.ranking import MARGIN
from paper_lib.summaries.summary import Question, Summary
from paper_lib.summaries.words import counted, listed, sentence


def summarise(models: Sequence[SearchedModel], size: str) -> Summary:
    """Returns what is to be said of trained models of one `size` whose sets of layers were reset."""
    layers = models[0].heard.layers
    alone = each(models, lambda model: len(model.ambient))
    of_several = "" if len(models) == 1 else f" (seeds {each(models, lambda model: model.seed)})"
    half = layers // 2
    of_half = (
        f" The {half} that do the least harm alone change it by "
        f"{each(models, lambda model: points(nested_changes(model, SINGLE)[half - 1]))}."
        if 1 < half <= min(model.sizes for model in models)
        else ""
    )
    by_itself = "" if len(models) == 1 else " each by itself"
    return Summary(
        (
            sentence(
                f"up to {each(models, lambda model: largest_ambient(model, GREEDY))} of the {layers} layers of "
                f"Conformer{size} can be reset together for less than {100 * MARGIN:g} points of WER if a search "
                f"chooses them, up to {each(models, lambda model: largest_ambient(model, SINGLE))} if they are those "
                f"that do the least harm alone{of_several}."
            ),
            f"Ambient one by one on dev speech are {alone}; reset together, these change the WER of the test by "
            f"{each(models, lambda model: told(ambient_together(model)))}.{of_half}",
            sentence(
                "two ambient layers together add, beyond the sum of what each adds alone, "
                f"{each(models, lambda model: told(mean_interaction(model)))}, mean over pairs."
            ),
            f"This rests on {counted(len(models), 'training')}, judged{by_itself} by "
            f"{counted(len(models[0].heard.words), 'speaker')}.",
        ),
        (
            Question(
                "Does a search for sets pay, against taking the layers that do the least harm alone?",
                f"The sets of single ranks add {each(models, lambda model: points(gain_by_search(model).estimate()))} "
                "more than those of the search, mean over their sizes. The number of layers that are ambient together "
                f"is by single ranks up to {each(models, lambda model: largest_ambient(model, SINGLE))}, by the search "
                f"up to {each(models, lambda model: largest_ambient(model, GREEDY))}.",
            ),
            Question(
                "What does the same search promise on the speech that it saw?",
                "The number of layers whose reset together stays within the margin is up to "
                f"{each(models, _promised)} on dev speech, where it chose, and up to {each(models, _kept)} on test "
                "speech; with confidence it is up to "
                f"{each(models, lambda model: largest_ambient(model, GREEDY))} there.",
            ),
        ),
    )


def each(models: Sequence[SearchedModel], tell: Callable[[SearchedModel], object]) -> str:
    """Returns what is told of every training, in the order of their seeds: "3, 4 and 3"; once where all are alike."""
    texts = [str(tell(model)) for model in models]
    return listed(texts) if len({*texts}) > 1 else texts[0]


def told(mean: Mean | None) -> str:
    """Returns a mean with its interval, in points, or that there are no two layers of which it could be."""
    return points(mean.estimate()) if mean else "nothing (there are no two such layers)"


def _promised(model: SearchedModel) -> int:
    return _within(model.dev_changes)


def _kept(model: SearchedModel) -> int:
    return _within([change.value for change in nested_changes(model, GREEDY)])


def _within(changes: Sequence[float]) -> int:
    return max((size for size, change in enumerate(changes, 1) if change < MARGIN), default=0)
