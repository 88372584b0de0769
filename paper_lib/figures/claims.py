"""Tables of claims: what the paper says, what was measured, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paper_lib.claims import Claim, Finding, Verdict, p_text
from paper_lib.figures.markup import Markup, escaped, paragraph
from paper_lib.figures.tables import table

# What verdicts are called where there is no paper that says it.
BEYOND_WORDS: Mapping[Verdict, str] = {
    "reproduced": "holds",
    "partly reproduced": "holds in part",
    "not reproduced": "does not hold",
    "not resolved": "not resolved",
    "not measured": "not measured",
}

OPENS = "A row opens to its rule."

ICONS: Mapping[Verdict, str] = {
    "reproduced": "✓",
    "partly reproduced": "◐",
    "not reproduced": "✗",
    "not resolved": "?",
    "not measured": "–",
}


def claims_table(findings: Sequence[Finding], caption: str) -> Markup:
    """Returns the findings of one chapter: a row per claim, which opens to its rule."""
    rows = [(claim_cell(f.claim), verdict_cell(f), f.evidence) for f in findings]
    return _findings(rows, "The paper says", caption)


def beyond_table(findings: Sequence[Finding], caption: str) -> Markup:
    """Returns the findings of one chapter on what the paper does not say: a row per claim, which opens to its rule."""
    rows = [
        (claim_cell(f.claim, rule="It holds if"), verdict_cell(f, words=BEYOND_WORDS), f.evidence) for f in findings
    ]
    return _findings(rows, "Beyond the paper", caption)


def _findings(rows: Sequence[tuple[object, ...]], first: str, caption: str) -> Markup:
    """Returns the table of `rows`, of which there may be none yet."""
    if not rows:
        return paragraph(f"{first}: nothing that has been measured here yet.")
    return table(rows, [first, "Verdict", "Measured"], f"{caption} {OPENS}")


def claim_cell(
    claim: Claim, findings: Mapping[str, Finding] | None = None, rule: str = "We call it reproduced if"
) -> Markup:
    """Returns what a claim says; it opens to what is computed, its rule, `findings` by profile and its figure."""
    lines = {"What is computed": claim.statistic, rule: claim.criteria["reproduced"], "From": claim.records}
    for profile, finding in (findings or {}).items():
        p = p_text(finding.p) if finding.p < 1 else "a part of it fails or was not tested"
        lines[f"Measured at {profile}"] = f"{finding.evidence} ({p})"
    rows = "".join(f"<div><dt>{name}</dt><dd>{escaped(line)}</dd></div>" for name, line in lines.items())
    figure = f"{claim.chapter}.html#{claim.figure}"
    rows += f'<div><dt>Figure</dt><dd><a href="{figure}">{claim.chapter.replace("_", " ")}</a></dd></div>'
    return Markup(
        f'<details class="claim"><summary>{escaped(claim.statement)}</summary><dl>{rows}</dl></details>',
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
        f"{_chip(finding.verdict, verdict)}{mark} {escaped(remedy)}".strip(),
        text="; ".join(filter(None, [f"{verdict}{mark}", remedy])),
    )


def judged_cell(finding: Finding, profile: str = "") -> Markup:
    """Returns a verdict and the numbers that it rests on, after the name of the `profile` where a column holds many."""
    at = f"{escaped(profile)}: " if profile else ""
    chip = _chip(finding.verdict, finding.verdict)
    return Markup(f"{at}{chip} {escaped(finding.evidence)}", text=f"{at}{finding.verdict}: {finding.evidence}")


def verdict_strip(findings: Sequence[Finding], caption: str) -> Markup:
    """Returns how many claims were judged which way, as a row of chips that leads to the page of claims."""
    counts = {
        verdict: sum(finding.verdict == verdict for finding in findings)
        for verdict in ICONS
        if verdict != "not measured"
    }
    chips = "".join(f"<li>{_chip(verdict, f'{count} {verdict}')}</li>" for verdict, count in counts.items())
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return Markup(
        f'<div class="verdicts"><p><a href="claims.html">{escaped(caption)}</a></p><ul>{chips}</ul></div>',
        text=f"{caption}: {told}",
    )


def _chip(verdict: Verdict, shown: str) -> str:
    """Returns a verdict in colour, with an icon and in words: no reader depends on the colour."""
    return (
        f'<strong class="verdict {verdict.replace(" ", "-")}"><span aria-hidden="true">{ICONS[verdict]}</span> '
        f"{escaped(shown)}</strong>"
    )
