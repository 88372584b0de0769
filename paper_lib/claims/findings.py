"""All claims of the slides, and all findings of a profile."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from paper_lib.claims import (
    Claim,
    Finding,
    cheaper_ranks,
    federated_dropout,
    federated_norms,
    group_norm,
    layer_sets,
    model_size,
    signatures,
    stability,
    uses,
)
from paper_lib.claims.signatures import TooFewTrainingsError
from paper_lib.federated.choices import BITS
from paper_lib.federated.client_ranks import client_quantities
from paper_lib.federated.comparison import Adapted
from paper_lib.inference import survives_holm
from paper_lib.layers.cheap_ranks import quantities
from paper_lib.layers.criticality import Path
from paper_lib.layers.sweeps import Sweeps
from paper_lib.profiles import Profile
from paper_lib.studies import STUDIES, ModelRecords
from paper_lib.studies.cheaper_ranks import CheaperRanksRecords
from paper_lib.studies.federated import FIRST_PLANS, AdaptationRecords, PlanRecords, VariedRecords
from paper_lib.studies.measurements import NotMeasuredError
from paper_lib.studies.norms import FederatedNormsRecords
from paper_lib.studies.use_records import UsesRecords

# In the order of the slides; the uses that their motivation names are answered last.
CLAIMS: tuple[Claim, ...] = (
    *model_size.CLAIMS,
    *group_norm.CLAIMS,
    *federated_norms.CLAIMS,
    *stability.CLAIMS,
    *signatures.CLAIMS,
    *federated_dropout.CLAIMS,
    *uses.CLAIMS,
)
# What the paper does not say: on pages of their own, with verdicts that are no word on it.
BEYOND: tuple[Claim, ...] = (*cheaper_ranks.CLAIMS, *layer_sets.CLAIMS, *uses.BEYOND)


def findings(profile: Profile) -> list[Finding]:
    """Returns what `profile` finds on every claim that it has measured."""
    return _found(_JUDGES, profile)


def findings_beyond(profile: Profile) -> list[Finding]:
    """Returns what `profile` finds on the claims of BEYOND, of those that it has measured."""
    return _found(_JUDGES_BEYOND, profile)


def _found(judges: Mapping[str, Callable[..., list[Finding]]], profile: Profile) -> list[Finding]:
    found: list[Finding] = []
    for study, judge in judges.items():
        with suppress(NotMeasuredError, TooFewTrainingsError):
            found += judge(_records(study, profile))
    return [finding for finding in found if finding.verdict != "not measured"]


def _records(study: str, profile: Profile) -> Any:
    """Returns the records of a study; of Federated Dropout those of its first plans where there are no others."""
    try:
        return STUDIES[study](profile).records()
    except NotMeasuredError:
        if study != "federated_dropout":
            raise
        return STUDIES[study](profile, plans=FIRST_PLANS).records()


def survivors(findings: Collection[Finding]) -> set[str]:
    """Returns the ids of the claims whose parts all hold when `findings` are tested together, by Holm's procedure."""
    rejected = survives_holm([finding.p for finding in findings])
    return {finding.claim.id for finding, survives in zip(findings, rejected, strict=True) if survives}


def judge_norms(records: Sequence[ModelRecords]) -> list[Finding]:
    """Returns the findings on the claims about norms from the records of the study of them."""
    norms = sweeps_by(records, "norm")
    return group_norm.judge(norms.pop("BatchNorm"), norms)


def judge_federated_norms(records: FederatedNormsRecords) -> list[Finding]:
    """Returns the finding on the claim about norms under clients from the records of the study of them."""
    adapted = {one.norm: one.adapted((records.held_out,)) for one in records.norms}
    federated, centralised = (
        {norm: models[name] for norm, models in adapted.items()} for name in ("federated", "centralised")
    )
    return federated_norms.judge(federated, centralised)


def judge_signatures(records: Sequence[ModelRecords]) -> list[Finding]:
    """Returns the findings on the claims about signatures from the records of the study of them.

    They are those of the sizes that were trained more than once. Raises TooFewTrainingsError where none was.
    """
    trainings: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        trainings.setdefault(record.size, []).append(record.training.result)
    several = {size: runs for size, runs in trainings.items() if len(runs) > 1}
    if not several:
        raise TooFewTrainingsError("intervals over trainings need at least 2 seeds; of every size there is one")
    sweeps = sweeps_by(records, "size")
    return signatures.judge(several, {size: sweeps[size] for size in several})


def judge_federated_dropout(records: AdaptationRecords) -> list[Finding]:
    """Returns the findings on the claims about Federated Dropout from the records of the second experiment."""
    adapted = adapted_by_plan(records, (records.held_out,))
    streaming = [one for one in records.trainings if one.settings["model"]["encoder"]["streaming"]]
    trainings = [record.result for record in streaming]
    return federated_dropout.judge(adapted, trainings, Sweeps.of([record.result for record in records.resets]))


def judge_cheaper_ranks(records: CheaperRanksRecords) -> list[Finding]:
    """Returns the findings on the claims about cheaper ranks from the records of the study of them."""
    of_models = quantities(
        [one.training.result for one in records.models],
        [Path.read(one.path.result) for one in records.models],
        [one.probe.result for one in records.models],
    )
    harm = Sweeps.of([one.reset.result for one in records.models]).harm()
    clients = [one.adaptation.result for one in records.clients]
    clients_harm = Sweeps.of([one.reset.result for one in records.clients]).harm() if clients else None
    return cheaper_ranks.judge(of_models, harm, client_quantities(clients) if clients else [], clients_harm)


def judge_uses(records: UsesRecords) -> list[Finding]:
    """Returns the findings on the uses that the slides' motivation names from the records of the study of them."""
    heard, quantised = heard_by_use(records), records.quantised
    after_training = {name: quantised.heard(name) for name in BITS} if quantised else {}
    return uses.judge(after_training, heard.get("bits", {}), heard.get("trained", {}))


def heard_by_use(records: UsesRecords) -> dict[str, dict[str, Adapted]]:
    """Returns the word errors on the held-out domain by the kind of a choice and its name, FedAvg ("none") first."""
    return {
        kind: {use.name: use.adapted((records.held_out,)) for use in (group.none, *group.uses)}
        for kind, group in records.groups.items()
    }


def adapted_by_plan(records: AdaptationRecords, domains: Collection[str]) -> dict[str, Adapted]:
    """Returns the word errors on `domains` after the adaptation by every plan."""
    return {plan.name: adapted_by(plan, domains) for plan in records.plans}


def adapted_by(plan: PlanRecords, domains: Collection[str]) -> Adapted:
    """Returns the word errors on `domains` after the adaptation by one plan, mean over its draws."""
    return Adapted.of([record.result for record in plan.adaptations], domains, plan.draws)


def adapted_by_value(varied: VariedRecords | None, domains: Collection[str]) -> dict[float, dict[str, Adapted]]:
    """Returns the errors on `domains` by the value of what was varied and by plan; nothing where it was not varied."""
    return {
        value: {plan.name: adapted_by(plan, domains) for plan in plans}
        for value, plans in (varied.by_value.items() if varied else ())
    }


def sweeps_by(records: Sequence[ModelRecords], attribute: Literal["size", "norm"]) -> dict[str, Sweeps]:
    """Returns the reset sweeps by the size or the norm of the models, those of all trainings of it together."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault(getattr(record, attribute), []).append(record.reset.result)
    return {name: Sweeps.of(results) for name, results in groups.items()}


# The study of the explorers has no claim to judge.
_JUDGES: dict[str, Callable[..., list[Finding]]] = {
    "model_size": lambda records: model_size.judge(sweeps_by(records, "size")),
    "group_norm": judge_norms,
    "human_speech": judge_federated_norms,
    "stability": lambda records: stability.judge(sweeps_by(records, "size")),
    "signatures": judge_signatures,
    "federated_dropout": judge_federated_dropout,
    "uses": judge_uses,
}
_JUDGES_BEYOND: dict[str, Callable[..., list[Finding]]] = {
    "cheaper_ranks": judge_cheaper_ranks,
    "layer_sets": lambda records: layer_sets.judge([record.searched for record in records]),
    "uses": lambda records: uses.judge_beyond(heard_by_use(records).get("dropout", {})),
}
