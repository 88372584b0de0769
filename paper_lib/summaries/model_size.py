"""What the chapter on model sizes says in short."""

from __future__ import annotations

from collections.abc import Mapping

from paper_lib.claims import points
from paper_lib.claims.model_size import larger_is_more_robust, mean_harm, resets_are_similar
from paper_lib.inference import rate
from paper_lib.layers.ranking import MARGIN, reinitialised
from paper_lib.layers.sweeps import Sweeps
from paper_lib.summaries.summary import Question, Summary
from paper_lib.summaries.words import listed, rests_on, sentence, share_of_layers


def summarise(sizes: Mapping[str, Sweeps]) -> Summary:
    """Returns what is to be said of the reset sweeps of every size, the smallest size first."""
    effects = {size: reinitialised(sweeps) for size, sweeps in sizes.items()}
    shares = [
        (size, sum(effect.classification == "ambient" for effect in of_size), len(of_size))
        for size, of_size in effects.items()
    ]
    (first, count, layers), *others = shares
    ambient = listed(
        [
            f"{share_of_layers(count, layers)} of Conformer{first}",
            *(f"{count or 'none'} of {layers} of Conformer{size}" for size, count, layers in others),
        ]
    )
    worst = {size: max(of_size, key=lambda effect: effect.change.value) for size, of_size in effects.items()}
    costliest = listed(f"layer {e.layer} in Conformer{size} ({points(e.change)})" for size, e in worst.items())
    harm = listed(
        f"{points(rate(mean_harm(sweeps), sweeps.words).estimate())} for {size}" for size, sweeps in sizes.items()
    )
    robust, similar = larger_is_more_robust(sizes), resets_are_similar(sizes)
    sentences = [
        sentence(
            f"{ambient} can be put back to their initial weights, one at a time, and the WER rises by less than "
            f"{100 * MARGIN:g} points, with confidence."
        ),
        f"Most costly is the reset of {costliest}.",
        f"Averaged over layers and both kinds of reset, the WER changes by {harm}"
        + (f"; that larger models are more robust is {robust.verdict}." if len(sizes) > 1 else "."),
        rests_on(sizes),
    ]
    return Summary(
        tuple(sentences),
        (
            Question(
                "Is the larger model the more robust one?",
                f"By the rule of this book that is {robust.verdict}. Measured: {robust.evidence}.",
            ),
            Question(
                "Does it matter whether a layer goes back to its own initial weights, or to fresh ones?",
                f"That both do about the same is {similar.verdict}. ρ tells whether they harm the same layers, the "
                f"difference in points whether they harm as much: {similar.evidence}.",
            ),
        ),
    )
