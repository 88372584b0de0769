"""The table of claims beyond the paper: its verdicts are no word on the paper."""

from __future__ import annotations

from collections.abc import Sequence

from paper_lib.claims import Finding, Verdict
from paper_lib.figures.markup import Markup
from paper_lib.figures.tables import p_value, table

WORDS: dict[Verdict, str] = {
    "reproduced": "holds",
    "partly reproduced": "holds in part",
    "not reproduced": "does not hold",
    "not resolved": "not resolved",
}


def beyond_table(findings: Sequence[Finding], caption: str) -> Markup:
    """Returns findings on claims that the paper does not make: a row per claim."""
    rows = []
    for finding in findings:
        remedy = f"; to tell the rest: {finding.remedy}" if finding.remedy else ""
        measured = f"{finding.claim.statistic}. {finding.evidence}"
        rule = finding.claim.criteria["reproduced"]
        rows.append((finding.claim.statement, f"{WORDS[finding.verdict]}{remedy}", measured, rule, p_value(finding.p)))
    return table(rows, ["Beyond the paper", "Verdict", "Measured", "It holds if", "p"], caption)
