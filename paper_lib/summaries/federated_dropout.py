"""What the chapter on Federated Dropout says in short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paper_lib.claims import points, wer
from paper_lib.claims.federated_dropout import compare, crit_less_amb, secondary_comparisons
from paper_lib.federated.comparison import Adapted
from paper_lib.federated.plans import COUNTS
from paper_lib.layers.ranking import LayerEffect
from paper_lib.summaries.summary import Question, Summary
from paper_lib.summaries.words import counted, listed, sentence, share_of_layers, worse_of


def summarise(
    adapted: Mapping[str, Adapted], before: Adapted, effects: Sequence[LayerEffect], forgot: tuple[Adapted, Adapted]
) -> Summary:
    """Returns what is to be said of the word errors on the held-out domain by plan, and before the adaptation.

    `effects` are those of re-initialised layers of the model before; `forgot` are the errors on the other domains,
    before the adaptation and after it by the first plan.
    """
    first = "none" if "none" in adapted else next(iter(adapted))
    how = "without dropout" if first == "none" else f"by the plan {first}"
    ambient = sum(effect.classification == "ambient" for effect in effects)
    seeds = len(before.errors)
    sentences = [
        _primary(adapted),
        sentence(
            f"by federated learning {how} the WER on the new domain falls from {wer(before.mean.estimate())} to "
            f"{wer(adapted[first].mean.estimate())}."
        )
        if adapted[first].mean.value < before.mean.value
        else sentence(
            f"federated learning {how} does not lower the WER on the new domain: {wer(before.mean.estimate())} before, "
            f"{wer(adapted[first].mean.estimate())} after."
        ),
        sentence(
            f"{share_of_layers(ambient, len(effects))} of this streaming model {'is' if ambient == 1 else 'are'} "
            "ambient."
        ),
        f"This rests on {counted(seeds, 'seed')} and {counted(len(before.words), 'speaker')}"
        + ("; with one seed it is said of this one trained model." if seeds == 1 else "."),
    ]
    lost = forgot[1].less(forgot[0]).mean.estimate()
    return Summary(
        tuple(sentences),
        (
            Question(
                "Does the ranking choose better than lots, or than depth?",
                _against_controls(adapted),
            ),
            Question(
                "What does the new domain cost on the domains that the model knew?",
                f"Their WER changes by {points(lost)}, from {wer(forgot[0].mean.estimate())} to "
                f"{wer(forgot[1].mean.estimate())} ({how}).",
            ),
        ),
    )


def _primary(adapted: Mapping[str, Adapted]) -> str:
    difference = crit_less_amb(adapted)
    if difference is None:
        return "The paper's comparison, Crit-N against Amb-N, was not asked here."
    estimate = difference.mean.estimate()
    return (
        "To drop half of the units of the N most critical layers in place of the N most ambient ones changes the WER "
        f"by {points(estimate)}, mean over N = {listed(map(str, COUNTS))}, "
        f"{worse_of(estimate, 'critical layers', 'ambient layers')}."
    )


def _against_controls(adapted: Mapping[str, Adapted]) -> str:
    ran = {(one.worse, one.better) for one in secondary_comparisons(adapted)}
    lines = [
        f"{worse} − {better}: {points(estimate)}, {worse_of(estimate, worse, better)}."
        for worse, better in (("random-3", "amb-3"), ("low-3", "amb-3"), ("flat-3", "amb-3"))
        if (worse, better) in ran
        for estimate in (compare(adapted, worse, better).mean.estimate(),)
    ]
    return " ".join(lines) or "None of the plans that would tell was asked here."
