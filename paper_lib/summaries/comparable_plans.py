"""What the chapter on how plans were made comparable says in short, and what it counts for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paper_lib.claims import points
from paper_lib.conformer.sizes import PUBLISHED_STREAMING, count_parameters, millions
from paper_lib.federated.accounting import SHORT, PlanAccount, account
from paper_lib.federated.comparison import Adapted
from paper_lib.federated.plans import COUNTS
from paper_lib.federated.readings import SLIDE_DROPPED, Reading, readings
from paper_lib.inference import Estimate
from paper_lib.settings import TransducerSettings
from paper_lib.studies.federated import SENSITIVE_PLANS, AdaptationRecords, Varied
from paper_lib.summaries.summary import Question, Summary
from paper_lib.summaries.words import listed, seeds_named, sentence, worse_of

# WERs by the value of what was varied, and by plan.
ByValue = Mapping[float, Mapping[str, Adapted]]
_NOT_YET = "That has not been measured here."


def accounts_of(records: AdaptationRecords, model: TransducerSettings) -> dict[str, PlanAccount]:
    """Returns what a client saves by each plan, on a short utterance, with the layers of the first seed and draw."""
    return {plan.name: account(plan.plans[0], model, *SHORT) for plan in records.plans}


def readings_of_slide(full: TransducerSettings) -> list[Reading]:
    """Returns the readings of the slide's column on the `full` streaming model, of every total that it may mean."""
    published_encoder, published_total = PUBLISHED_STREAMING
    size = count_parameters(full)
    return readings(
        full,
        {
            "the published 137M": published_total,
            "the encoder's 113M": published_encoder,
            f"the layers' {millions(size.layers)}": size.layers,
            f"our {millions(size.total)}": size.total,
        },
    )


def summarise(
    accounts: Mapping[str, PlanAccount],
    found: Sequence[Reading],
    base_rates: ByValue,
    rescaled: ByValue,
    seeds: Mapping[Varied, Sequence[int]],
) -> Summary:
    """Returns what is to be said of the accounts by plan, the readings of the slide, the best first, and what varied.

    `rescaled` holds by whether kept units are scaled (0 or 1) what `base_rates` hold by rate; either is
    empty where that was not varied. `seeds` are those from which either was.
    """
    crit, amb, _ = SENSITIVE_PLANS
    whole = sum(len(reading.agreeing) == len(SLIDE_DROPPED) for reading in found)
    sentences = [
        _equal(accounts),
        sentence(
            f"of the {len(found)} readings of the slide's column “params dropped” {whole or 'none'} "
            f"{'gives' if whole < 2 else 'give'} all of its {len(SLIDE_DROPPED)} values; the best gives "
            f"{len(found[0].agreeing)}."
        ),
    ]
    if base_rates:
        told = listed(
            f"{points(of[crit].less(of[amb]).mean.estimate())} at {100 * rate:.0f} %" for rate, of in base_rates.items()
        )
        of_seeds = seeds_named(seeds["base rate"])
        sentences.append(f"By the base rate of the other layers, {crit} less {amb} is {told} ({of_seeds}).")
    else:
        sentences.append("The base rate was not varied here.")
    if rescaled:
        told = listed(f"{points(one)} ({name})" for name, one in _scaled_less_plain(rescaled).items())
        of_seeds = seeds_named(seeds["rescaling"])
        sentences.append(f"Where clients scale the units that they keep, the WER changes by {told}, {of_seeds}.")
    return Summary(
        tuple(sentences),
        (
            Question(
                "Does the comparison of critical with ambient layers hang on the base rate?", _by_rate(base_rates)
            ),
            Question("Should a client scale the units that it keeps?", _by_scale(rescaled)),
        ),
    )


def _equal(accounts: Mapping[str, PlanAccount]) -> str:
    by_count = {
        count: [account for name, account in accounts.items() if name.endswith(f"-{count}")] for count in COUNTS
    }
    several = {count: of for count, of in by_count.items() if len(of) > 1}
    if not several:
        return "No two plans of one N were asked for here, so none drop the same number of parameters."
    apart = max(max(one.dropped for one in of) - min(one.dropped for one in of) for of in several.values())
    shares = listed(f"{100 * of[0].dropped_share:.1f} % with N = {count}" for count, of in several.items())
    parameters = next(iter(accounts.values())).parameters
    return (
        f"Plans of one N drop the same share of the parameters: {shares}; where units are rounded they differ by up to "
        f"{apart:,} of {parameters:,} parameters."
        if apart
        else f"Plans of one N drop exactly the same number of parameters: {shares}."
    )


def _by_rate(base_rates: ByValue) -> str:
    crit, amb, _ = SENSITIVE_PLANS
    differences = {rate: of[crit].less(of[amb]).mean.estimate() for rate, of in base_rates.items()}
    lines = [
        f"At {100 * rate:.0f} % {crit} − {amb} is {points(one)}, {worse_of(one, crit, amb)}."
        for rate, one in differences.items()
    ]
    return " ".join(lines) or _NOT_YET


def _by_scale(rescaled: ByValue) -> str:
    if not rescaled:
        return _NOT_YET
    lines = [
        f"{name} {points(one)}, {worse_of(one, 'scaling', 'leaving them as they are')}"
        for name, one in _scaled_less_plain(rescaled).items()
    ]
    return f"The WER with scaling less that without: {'; '.join(lines)}."


def _scaled_less_plain(rescaled: ByValue) -> dict[str, Estimate]:
    return {name: rescaled[True][name].less(rescaled[False][name]).mean.estimate() for name in SENSITIVE_PLANS}
