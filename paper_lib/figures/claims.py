"""Tables of claims: what the paper says, what was measured, and the verdict."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from paper_lib.claims import Claim, Finding, Verdict, p_text
from paper_lib.figures.markup import Markup
from paper_lib.figures.tables import table

# What verdicts are called where there is no paper that says it.
BEYOND_WORDS: Mapping[Verdict, str] = {
    "reproduced": "holds",
    "partly reproduced": "holds in part",
    "not reproduced": "does not hold",
    "not resolved": "not resolved",
}

OPENS = "A row opens to its rule."

ICONS: Mapping[Verdict, str] = {
    "reproduced": "✓",
    "partly reproduced": "◐",
    "not reproduced": "✗",
    "not resolved": "?",
}


def claims_table(findings: Sequence[Finding], caption: str) -> Markup:
    """Returns the findings of one chapter: a row per claim, which opens to its rule."""
    return table(
        [(claim_cell(f.claim), verdict_cell(f), f.evidence) for f in findings],
        ["The paper says", "Verdict", "Measured"],
        f"{caption} {OPENS}",
    )


def beyond_table(findings: Sequence[Finding], caption: str) -> Markup:
    """Returns the findings of one chapter on what the paper does not say: a row per claim, which opens to its rule."""
    return table(
        [(claim_cell(f.claim, rule="It holds if"), verdict_cell(f, words=BEYOND_WORDS), f.evidence) for f in findings],
        ["Beyond the paper", "Verdict", "Measured"],
        f"{caption} {OPENS}",
    )


def claim_cell(
    claim: Claim, findings: Mapping[str, Finding] | None = None, rule: str = "We call it reproduced if"
) -> Markup:
    """Returns what a claim says; it opens to what is computed, its rule, its figure, and `findings` by profile."""
    lines = {"What is computed": claim.statistic, rule: claim.criteria["reproduced"], "From": claim.records}
    for profile, finding in (findings or {}).items():
        p = p_text(finding.p) if finding.p < 1 else "a part of it fails or was not tested"
        lines[f"Measured at {profile}"] = f"{finding.evidence} ({p})"
    rows = "".join(f"<div><dt>{name}</dt><dd>{html.escape(line)}</dd></div>" for name, line in lines.items())
    rows += f"<div><dt>Figure</dt><dd>{link(claim, claim.chapter.replace('_', ' ')).html}</dd></div>"
    return Markup(
        f'<details class="claim"><summary>{html.escape(claim.statement)}</summary><dl>{rows}</dl></details>',
        text=f"{claim.statement} {'; '.join(f'{name}: {line}' for name, line in lines.items())}",
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
