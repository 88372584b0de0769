"""The paper's claims as data, and verdicts on them that are computed from records: nobody writes one by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["reproduced", "partly reproduced", "not reproduced", "not resolved"]


@dataclass(frozen=True)
class Claim:
    """What the paper says, in our words, and what we would accept as its reproduction."""

    id: str
    slide: str
    statement: str
    criterion: str


@dataclass(frozen=True)
class Finding:
    """A claim beside what was measured; `evidence` holds the numbers with their intervals."""

    claim: Claim
    evidence: str
    verdict: Verdict
