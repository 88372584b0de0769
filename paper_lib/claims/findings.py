"""All claims of the slides, and all findings of a profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paper_lib.claims import Claim, Finding, group_norm, model_size, signatures, stability
from paper_lib.layers.ranking import pooled
from paper_lib.profiles import Profile, ProfileName
from paper_lib.studies import STUDIES, ModelRecords

# The profiles whose records are published with the book.
PUBLISHED: tuple[ProfileName, ...] = ("laptop", "gpu", "librispeech")
# In the order of the slides.
CLAIMS: tuple[Claim, ...] = (*model_size.CLAIMS, *group_norm.CLAIMS, *stability.CLAIMS, *signatures.CLAIMS)


def findings(profile: Profile) -> list[Finding]:
    """Returns what `profile` finds on every claim, measured now where it is not stored."""
    return [
        *model_size.judge(pooled_by(STUDIES["model_size"](profile).records(), "size")),
        *judge_norms(STUDIES["group_norm"](profile).records()),
        *stability.judge(sweeps_by_size(STUDIES["stability"](profile).records())),
        *judge_signatures(STUDIES["signatures"](profile).records()),
    ]


def is_measured(profile: Profile) -> bool:
    """Returns whether everything that the claims rest on is stored."""
    return all(study(profile).is_stored for study in STUDIES.values())


def judge_norms(records: Sequence[ModelRecords]) -> list[Finding]:
    """Returns the findings on the claims about norms from the records of the study of them."""
    results = pooled_by(records, "norm")
    return group_norm.judge(results.pop("BatchNorm"), results)


def judge_signatures(records: Sequence[ModelRecords]) -> list[Finding]:
    """Returns the findings on the claims about signatures from the records of the study of them."""
    trainings: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        trainings.setdefault(record.size, []).append(record.training.result)
    return signatures.judge(trainings, sweeps_by_size(records))


def pooled_by(records: Sequence[ModelRecords], attribute: str) -> dict[str, dict[str, Any]]:
    """Returns the results of the reset sweeps, trainings pooled, by the size or the norm of the models."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault(getattr(record, attribute), []).append(record.reset.result)
    return {name: pooled(results) for name, results in groups.items()}


def sweeps_by_size(records: Sequence[ModelRecords]) -> dict[str, list[dict[str, Any]]]:
    """Returns the results of the reset sweeps of every size, one per training."""
    sweeps: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        sweeps.setdefault(record.size, []).append(record.reset.result)
    return sweeps
