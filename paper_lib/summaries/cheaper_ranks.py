"""What the chapter on cheaper ranks says in short."""

from __future__ import annotations

from collections.abc import Sequence

from paper_lib.claims import p_text
from paper_lib.claims.cheaper_ranks import best_cheap
from paper_lib.inference import SIGNIFICANCE
from paper_lib.layers.cheap_ranks import CHEAP, RESET, SIGNATURE, Ranked
from paper_lib.summaries.summary import Question, Summary
from paper_lib.summaries.words import counted, sentence


def summarise(ranked: Sequence[Ranked], trainings: int) -> Summary:
    """Returns what is to be said of how every reading ranks layers, in so many trainings."""
    best = best_cheap(ranked)
    cheap = sum(one.quantity.is_cheap and one.quantity.source != "depth" for one in ranked)
    by_name = {one.quantity.name: one for one in ranked}
    reset, sign = by_name[RESET], by_name[SIGNATURE]
    (depth,) = (one for one in ranked if one.quantity.source == "depth")
    other = max(
        (one for one in ranked if not one.quantity.is_cheap and one is not reset), key=lambda one: one.given_depth
    )
    top = max(ranked, key=lambda one: one.given_depth)
    highest = (
        ""
        if top in (best, reset)
        else f"; {top.quantity.name} has the highest of all, ρ = {top.given_depth:.2f} "
        f"({p_text(top.p_given_depth)}), for {top.quantity.cost:.3g}"
    )
    chance = "" if best.p_given_depth < SIGNIFICANCE else ", which may be chance"
    cost = f"{best.quantity.cost:.2g} evaluations of the dev speech" if best.quantity.cost else "nothing extra"
    sentences = (
        f"Of {counted(cheap, 'cheap reading')} of a layer, {best.quantity.name} goes best with the harm of the layer's "
        f"reset: ρ = {best.given_depth:.2f} at fixed depth ({p_text(best.p_given_depth)}, corrected for all "
        f"readings){chance}.",
        "It was chosen after the fact, and the cheap readings are not shown to differ from each other.",
        f"It costs {cost} and finds {100 * best.found:.0f} % of the less harmful half of the layers; depth alone finds "
        f"{100 * depth.found:.0f} %, lots would find about 50 %.",
        f"A reset on other speech, which is what it should replace, reaches ρ = {reset.given_depth:.2f} for "
        f"{reset.quantity.cost:.3g} evaluations, for small harm repeats badly with other speakers{highest}.",
        f"This rests on {counted(trainings, 'training')}. Cheap is what costs less than {CHEAP:g} evaluations.",
    )
    return Summary(
        tuple(map(sentence, sentences)),
        (
            Question(
                "How far does one come with the number of the layer alone, or with the paper's signature?",
                sentence(
                    f"plain, depth reaches ρ = {depth.rho:.2f} and the signature ρ = {sign.rho:.2f}; what the "
                    f"signature tells beyond depth is ρ = {sign.given_depth:.2f} ({p_text(sign.p_given_depth)})."
                ),
            ),
            Question(
                "Is a reading that costs more the better one?",
                sentence(
                    f"of the costly ones, the reset left out, {other.quantity.name} does best: ρ = "
                    f"{other.given_depth:.2f} at fixed depth for {other.quantity.cost:.3g} evaluations. The best of "
                    f"the cheap ones, {best.quantity.name}, has ρ = {best.given_depth:.2f}."
                ),
            ),
        ),
    )
