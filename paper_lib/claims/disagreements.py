"""Profiles side by side: which verdicts differ between two of them, and what it is that makes them differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from paper_lib.claims import Finding


class Disagreement(NamedTuple):
    """One claim on which two profiles have other verdicts, and why, in words."""

    one: Finding
    other: Finding
    why: str


def disagreements(
    one: str, of_one: Mapping[str, Finding], other: str, of_other: Mapping[str, Finding]
) -> list[Disagreement]:
    """Returns the claims, by their ids in both mappings, on which the profiles `one` and `other` do not agree.

    What only one of them has measured is no disagreement.
    """
    pairs = [(of_one[claim], of_other[claim]) for claim in of_one if claim in of_other]
    return [
        Disagreement(first, second, _why({one: first, other: second}))
        for first, second in pairs
        if first.verdict != second.verdict
    ]


def _why(found: Mapping[str, Finding]) -> str:
    undecided = [name for name, finding in found.items() if finding.verdict == "not resolved"]
    if undecided:
        (name,) = undecided
        wanted = found[name].remedy
        return f"{name} cannot tell" + (f"; it would take: {wanted}" if wanted else ", too little was measured")
    partly = [name for name, finding in found.items() if finding.verdict == "partly reproduced"]
    if partly:
        (name,) = partly
        return f"at {name} some parts of the claim hold and others do not, or cannot be told"
    return "both can tell, and what they tell is not the same: they differ in models, speech or trainings"
