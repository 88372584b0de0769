"""What the chapter on human speech says in short."""

from __future__ import annotations

from collections.abc import Mapping

from paper_lib.claims import p_text, points, wer
from paper_lib.claims.sentences import clients_by_norm
from paper_lib.federated.comparison import Adapted
from paper_lib.layers.agreement import association
from paper_lib.layers.ranking import intact_wer, reinitialised
from paper_lib.layers.sweeps import Sweeps
from paper_lib.summaries.summary import Question, Summary
from paper_lib.summaries.words import counted, layers_named, sentence, share_of_layers, worse_of

# Word errors after FedAvg and after pooled training, by the name of the norm.
Norms = tuple[Mapping[str, Adapted], Mapping[str, Adapted]]


def summarise(
    size: str, people: Sweeps, synthetic: Sweeps, plans: Mapping[str, Adapted] | None, norms: Norms | None
) -> Summary:
    """Returns what is to be said of models that were fine-tuned on people, beside those that they began with.

    Layers of both were put back to step 0, and heard on people and on synthetic speech. `plans` are the word errors of
    people by the plan of Federated Dropout, `norms` those by norm; None of what was not measured.
    """
    here, there = (
        [effect.layer for effect in reinitialised(sweeps) if effect.classification == "ambient"]
        for sweeps in (people, synthetic)
    )
    layers = len(people.units)
    rho, p = association(synthetic.harm(), people.harm())
    rest, rest_p = association(synthetic.harm(), people.harm(), given_depth=True)
    sentences = [
        f"{share_of_layers(len(here), layers)} of Conformer{size} {'is' if len(here) == 1 else 'are'} ambient after "
        f"fine-tuning on people, heard on people; {len(there) or 'none'} {'was' if len(there) == 1 else 'were'} before "
        f"it in the same {counted(people.trainings, 'training')}, on synthetic speech.",
        f"The same layers matter: the harm in the one goes with the harm in the other at ρ = {rho:.2f} ({p_text(p)}); "
        f"at fixed depth ρ = {rest:.2f} is left ({p_text(rest_p)})."
        if p < 0.05
        else f"Whether the same layers matter is not shown: ρ = {rho:.2f} ({p_text(p)}).",
        _plans(plans),
        f"This rests on {counted(people.trainings, 'training')}; the intact WER of people never heard before is "
        f"{wer(intact_wer(people))}.",
    ]
    return Summary(
        tuple(map(sentence, sentences)),
        (
            Question("Which layers are ambient for people and for the synthesiser alike?", _both(here, there)),
            Question(
                "Do clients cost more with BatchNorm or with GroupNorm?",
                clients_by_norm(*norms) if norms else "That has not been measured yet.",
            ),
        ),
    )


def _plans(plans: Mapping[str, Adapted] | None) -> str:
    if not plans:
        return "Federated learning with people has not been measured yet."
    difference = plans["crit-4"].less(plans["amb-4"])
    estimate = difference.mean.estimate()
    return (
        "With people as clients, to drop half of the units of the four layers most critical on synthetic speech in "
        f"place of the four most ambient ones changes the WER by {points(estimate)} "
        f"({counted(len(difference.errors), 'seed')}), {worse_of(estimate, 'critical layers', 'ambient layers')}."
    )


def _both(here: list[int], there: list[int]) -> str:
    groups = {
        "for both": sorted({*here} & {*there}),
        "for people alone": sorted({*here} - {*there}),
        "for synthetic speech alone": sorted({*there} - {*here}),
    }
    told = [f"{where} {layers_named(layers) if layers else 'none'}" for where, layers in groups.items()]
    return f"Shown {'; '.join(told)}. What is shown for one alone is not excluded for the other, which may not tell."
