"""Tables of claims: what the paper says, what was measured, and the verdict."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from paper_lib.claims import Claim, Finding, Verdict
from paper_lib.figures.markup import Markup
from paper_lib.figures.tables import table

# What verdicts are called where there is no paper that says it.
BEYOND_WORDS: Mapping[Verdict, str] = {
    "reproduced": "holds",
    "partly reproduced": "holds in part",
    "not reproduced": "does not hold",
    "not resolved": "not resolved",
}

ICONS: Mapping[Verdict, str] = {
    "reproduced": "✓",
    "partly reproduced": "◐",
    "not reproduced": "✗",
    "not resolved": "?",
}


def claims_table(findings: Sequence[Finding], caption: str) -> Markup:
    """Returns the findings of one chapter: a row per claim."""
    return table(
        [
            (f.claim.statement, verdict_cell(f), f"{f.claim.statistic}. {f.evidence}", f.claim.criteria["reproduced"])
            for f in findings
        ],
        ["The paper says", "Verdict", "Measured", "We call it reproduced if"],
        caption,
    )


def beyond_table(findings: Sequence[Finding], caption: str) -> Markup:
    """Returns the findings of one chapter on what the paper does not say: a row per claim."""
    return table(
        [
            (
                f.claim.statement,
                verdict_cell(f, words=BEYOND_WORDS),
                f"{f.claim.statistic}. {f.evidence}",
                f.claim.criteria["reproduced"],
            )
            for f in findings
        ],
        ["Beyond the paper", "Verdict", "Measured", "We say that it holds if"],
        caption,
    )


def verdict_cell(finding: Finding, survives: bool = False, words: Mapping[Verdict, str] | None = None) -> Markup:
    """Returns a verdict, in other `words` if given, and, where the data cannot tell, how much more data would.

    One that `survives` the correction over all claims has a mark.
    """
    remedy = f"to tell the rest: {finding.remedy}" if finding.remedy else ""
    mark = " ✻" if survives else ""
    verdict = words[finding.verdict] if words else finding.verdict
    return Markup(
        f"{_chip(finding.verdict, verdict)}{mark} {html.escape(remedy)}".strip(),
        text="; ".join(filter(None, [f"{verdict}{mark}", remedy])),
    )


def judged_cell(finding: Finding) -> Markup:
    """Returns a verdict and the numbers that it rests on."""
    chip = _chip(finding.verdict, finding.verdict)
    return Markup(f"{chip} {html.escape(finding.evidence)}", text=f"{finding.verdict}: {finding.evidence}")


def verdict_strip(findings: Sequence[Finding], caption: str) -> Markup:
    """Returns how many claims came out which way, as a row of chips that leads to the page of claims."""
    counts = {verdict: sum(finding.verdict == verdict for finding in findings) for verdict in ICONS}
    chips = "".join(f"<li>{_chip(verdict, f'{count} {verdict}')}</li>" for verdict, count in counts.items())
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return Markup(
        f'<div class="verdicts"><p><a href="claims.html">{html.escape(caption)}</a></p><ul>{chips}</ul></div>',
        text=f"{caption}: {told}",
    )


def _chip(verdict: Verdict, shown: str) -> str:
    """Returns a verdict in colour, with an icon and in words: no reader depends on the colour."""
    return (
        f'<strong class="verdict {verdict.replace(" ", "-")}"><span aria-hidden="true">{ICONS[verdict]}</span> '
        f"{html.escape(shown)}</strong>"
    )


def link(claim: Claim, shown: str = "") -> Markup:
    """Returns a link from another page to the figure that shows what a claim was judged by: the slide, or `shown`."""
    text = f"{claim.chapter}, figure {claim.figure}"
    return Markup(f'<a href="{claim.chapter}.html#{claim.figure}">{html.escape(shown or claim.slide)}</a>', text=text)
