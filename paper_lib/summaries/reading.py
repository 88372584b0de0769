"""Reads the records of a chapter and says what is in them; beside it, at other profiles, what is published."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from paper_lib.claims.findings import adapted_by_plan, adapted_by_value, heard_by_use, sweeps_by
from paper_lib.federated.comparison import Adapted
from paper_lib.figures.markup import Markup, folded_answers, in_short
from paper_lib.layers.cheap_ranks import quantities, ranked
from paper_lib.layers.criticality import Path
from paper_lib.layers.ranking import reinitialised
from paper_lib.layers.sweeps import Sweeps
from paper_lib.profiles import Profile, profile_of
from paper_lib.studies import STUDIES
from paper_lib.studies.beyond import SIZE, profile_beyond
from paper_lib.studies.federated import FIRST_PLANS, federated_dropout
from paper_lib.studies.measurements import NotMeasuredError
from paper_lib.studies.people import HUMAN, fine_tuned
from paper_lib.summaries import cheaper_ranks as of_ranks
from paper_lib.summaries import federated_dropout as of_plans
from paper_lib.summaries import group_norm as of_norms
from paper_lib.summaries import human_speech as of_people
from paper_lib.summaries import layer_sets as of_sets
from paper_lib.summaries import model_size as of_sizes
from paper_lib.summaries import signatures as of_signatures
from paper_lib.summaries import stability as of_runs
from paper_lib.summaries.summary import Summary

PUBLISHED = "laptop"
Given = Mapping[str, Any]  # a chapter's parameters, by name


@dataclass(frozen=True)
class Told:
    """What a page shows of a summary."""

    in_short: Markup
    questions: Markup


def summarised(chapter: str, parameters: Given) -> Told:
    """Returns what `chapter` says in short with these parameters, its profile among them; measures what is missing.

    Of a published profile, what is missing is named. Beside the finding of another profile than `laptop` stands the
    published one.
    """
    own = profile_of(parameters["profile"])
    shown = profile_beyond(own) if chapter in _BEYOND else own
    try:
        summary = _SUMMARIES[chapter](shown, parameters)
    except NotMeasuredError as error:
        summary = Summary((f"Not measured yet: {str(error).partition(';')[0]}.",), ())
    beside = ""
    if shown.name != PUBLISHED and chapter not in _ALWAYS_PUBLISHED:
        beside = _published(chapter)
    return Told(in_short(summary.sentences, beside), folded_answers(summary.questions))


def _published(chapter: str) -> str:
    """Returns the finding of the published profile, labelled so."""
    try:
        first = _SUMMARIES[chapter](profile_of(PUBLISHED), {}).sentences[0]
    except NotMeasuredError:
        first = "not measured yet."
    return f"Published result (profile {PUBLISHED}): {first}"


def _records(study: str, profile: Profile, given: Given) -> Any:
    """Returns the records of a study, with those of a chapter's parameters that the study takes."""
    taken = inspect.signature(STUDIES[study]).parameters
    return STUDIES[study](profile, **{k: v for k, v in given.items() if k in taken and k != "profile"}).records()


def _model_size(profile: Profile, given: Given) -> Summary:
    return of_sizes.summarise(sweeps_by(_records("model_size", profile, given), "size"))


def _group_norm(profile: Profile, given: Given) -> Summary:
    records = _records("group_norm", profile, given)
    kept = Sweeps.of([record.kept.result for record in records if record.kept])
    return of_norms.summarise(sweeps_by(records, "norm"), kept, records[0].size)


def _stability(profile: Profile, given: Given) -> Summary:
    asked = [size for size in given.get("sizes", profile.seeds) if size in profile.seeds]
    return of_runs.summarise(sweeps_by(_records("stability", profile, given), "size"), asked)


def _signatures(profile: Profile, given: Given) -> Summary:
    records = _records("signatures", profile, given)
    trainings: dict[str, list[Any]] = {}
    for record in records:
        trainings.setdefault(record.size, []).append(record.training.result)
    return of_signatures.summarise(trainings, sweeps_by(records, "size"))


def _federated_dropout(profile: Profile, given: Given) -> Summary:
    records = _records("federated_dropout", profile, given)
    held_out = (records.held_out,)
    others = [domain for domain in profile.adaptation.corpus.domains if domain != records.held_out]
    before = [record.result for record in records.before]
    adapted, forgot = (adapted_by_plan(records, domains) for domains in (held_out, others))
    first = "none" if "none" in adapted else next(iter(adapted))
    return of_plans.summarise(
        adapted,
        Adapted.of(before, held_out),
        reinitialised(Sweeps.of([record.result for record in records.resets])),
        (Adapted.of(before, others), forgot[first]),
    )


def _comparable_plans(profile: Profile, given: Given) -> Summary:
    # Takes torch, as the other that counts what clients save; pages that read records alone do without.
    from paper_lib.summaries import comparable_plans as of_accounts

    records = _records("federated_dropout", profile, given)
    base_rates, rescaled = (records.sensitivity.get(varied) for varied in ("base rate", "rescaling"))
    held_out = (records.held_out,)
    return of_accounts.summarise(
        of_accounts.accounts_of(records, profile.adaptation.model),
        of_accounts.readings_of_slide(profile_of("gpu").adaptation.model),
        adapted_by_value(base_rates, held_out),
        adapted_by_value(rescaled, held_out),
        {name: of.seeds for name, of in records.sensitivity.items()},
    )


def _human_speech(profile: Profile, given: Given) -> Summary:
    people, synthetic = (Sweeps.of([record.reset.result for record in of]) for of in zip(*fine_tuned(), strict=True))
    human = profile_of(HUMAN)
    plans = norms = None
    try:
        adapted = federated_dropout(human, plans=FIRST_PLANS).records()
        plans = adapted_by_plan(adapted, (adapted.held_out,))
    except NotMeasuredError:
        pass
    try:
        of_norm = STUDIES["human_speech"](human).records()
        by_norm = {one.norm: one.adapted((of_norm.held_out,)) for one in of_norm.norms}
        federated, pooled = ({norm: of[way] for norm, of in by_norm.items()} for way in ("federated", "centralised"))
        norms = federated, pooled
    except NotMeasuredError:
        pass
    return of_people.summarise(SIZE, people, synthetic, plans, norms)


def _cheaper_ranks(profile: Profile, given: Given) -> Summary:
    models = _records("cheaper_ranks", profile, {}).models
    trainings, probes = ([getattr(one, name).result for one in models] for name in ("training", "probe"))
    harm = Sweeps.of([one.reset.result for one in models]).harm()
    paths = [Path.read(one.path.result) for one in models]
    return of_ranks.summarise(ranked(quantities(trainings, paths, probes), harm), len(models))


def _layer_sets(profile: Profile, given: Given) -> Summary:
    return of_sets.summarise([record.searched for record in _records("layer_sets", profile, {})], SIZE)


def _uses(profile: Profile, given: Given) -> Summary:
    from paper_lib.summaries import uses as of_uses

    records = _records("uses", profile, {})
    sent, whole = of_uses.bytes_sent(records, profile.adaptation.model)
    return of_uses.summarise(heard_by_use(records), records.quantised, sent, whole)


_SUMMARIES: Mapping[str, Callable[[Profile, Given], Summary]] = {
    "model_size": _model_size,
    "group_norm": _group_norm,
    "stability": _stability,
    "signatures": _signatures,
    "federated_dropout": _federated_dropout,
    "comparable_plans": _comparable_plans,
    "human_speech": _human_speech,
    "cheaper_ranks": _cheaper_ranks,
    "layer_sets": _layer_sets,
    "uses": _uses,
}
_BEYOND = ("cheaper_ranks", "layer_sets", "uses")
_ALWAYS_PUBLISHED = ("human_speech",)  # whatever the book's profile is
