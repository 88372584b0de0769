# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Claims and verdicts
#
# What the paper says, beside what this book measured. A verdict is computed from {term}`records <record>` by a
# rule; nobody writes one by hand, and it changes when the records change. Each row opens to its rule and its numbers.

# %% tags=["parameters", "hide-input"]
profile = "quick"

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("claims", globals())

# %% tags=["hide-input"]
from paper_lib.claims.findings import (
    BEYOND,
    CLAIMS,
    findings,
    findings_beyond,
    survivors,
)
from paper_lib.profiles import PUBLISHED, profile_of

own = profile_of(chapter.parameters.profile)
here = own.name
profiles = [here, *(name for name in PUBLISHED if name != here)]
found = {
    profile.name: {finding.claim.id: finding for finding in findings(profile)}
    for profile in (own, *map(profile_of, profiles[1:]))
}
measured = [name for name in profiles if found[name]]
rest = [name for name in profiles if not found[name]]

# %% tags=["hide-input"]
from paper_lib.figures.claims import claim_cell, verdict_cell
from paper_lib.figures.tables import table

table(
    [
        (
            claim_cell(
                claim,
                {
                    name: found[name][claim.id]
                    for name in measured
                    if claim.id in found[name]
                },
            ),
            *(
                verdict_cell(
                    found[name][claim.id], claim.id in survivors(found[name].values())
                )
                if claim.id in found[name]
                else "not measured"
                for name in measured
            ),
        )
        for claim in CLAIMS
    ],
    ["The paper says", *measured],
    "Verdicts by profile. A row opens to its rule, its numbers and its figure. Where a part of a claim cannot be "
    "told, the cell says how much more data would tell. ✻: all parts of the claim hold even when all measured claims "
    "of the profile are tested together (Holm)."
    + (f" Nothing is measured of {', '.join(rest)}." if rest else ""),
)

# %% [markdown]
# ## Where profiles disagree, and why
#
# Other models, other speech, fewer trainings: a verdict may change with each. Most often it is not that two
# {term}`profiles <profile>` find the opposite, but that one of them cannot tell.

# %% tags=["hide-input"]
from itertools import combinations

from paper_lib.claims.disagreements import disagreements
from paper_lib.figures.claims import judged_cell
from paper_lib.figures.markup import paragraph

compared = [
    (one, other, found_apart)
    for one, other in combinations(measured, 2)
    for found_apart in disagreements(one, found[one], other, found[other])
]
table(
    [
        (
            claim_cell(found_apart.one.claim),
            judged_cell(found_apart.one, one),
            judged_cell(found_apart.other, other),
            found_apart.why,
        )
        for one, other, found_apart in compared
    ],
    ["The paper says", "One profile", "The other", "Why"],
    "Claims on which two profiles have different verdicts.",
) if compared else paragraph(
    "All profiles that have measured a claim have the same verdict on it."
    if len(measured) > 1
    else "Only one profile is measured."
)

# %% [markdown]
# ## Beyond the paper
#
# The paper says none of what follows: these are questions that its findings raise, and that this book asks. No verdict
# here is a word on the paper.

# %% tags=["hide-input"]
from paper_lib.figures.claims import BEYOND_WORDS
from paper_lib.studies.beyond import profile_beyond

asked = profile_beyond(own)
beyond = {finding.claim.id: finding for finding in findings_beyond(asked)}
table(
    [
        (
            claim_cell(claim, rule="It holds if"),
            verdict_cell(beyond[claim.id], words=BEYOND_WORDS)
            if claim.id in beyond
            else "not measured",
        )
        for claim in BEYOND
    ],
    ["Asked beyond the paper", asked.name],
    f"Verdicts at profile {asked.name}. A row opens to its rule and its figure. They are not corrected for each other.",
)

# %% [markdown]
# ## How a verdict comes about
#
# A claim has parts, one for each model size for example. All of them hold: **reproduced**. Some do: **partly
# reproduced**. None does, and the data exclude each: **not reproduced**. In all other cases the data cannot tell: **not
# resolved**. A part holds or fails where an {term}`interval <confidence interval>` or a test says so, not where a mean
# does. {doc}`sure` tells how intervals and tests are made, and how often they are right.
#
# **What is corrected for many looks, and what is not.** Within a model the layers are: their intervals hold together.
# All parts must hold for *reproduced*, and the least certain of them decides, which takes no correction; *partly
# reproduced* may owe one of its parts to chance. From claim to claim nothing is corrected in the verdict: of twenty
# true nothings one would be called something. The mark ✻ is for those that survive the correction over all claims.
#
# Intervals have 95 %, over trainings, speakers or both as the rule says, and tests 5 %. Where a rule names a margin,
# the verdict hangs on it: the tables “ambient layers by the margin” show how much. The *p* of a claim is that of the
# part that holds least.

# %% [markdown]
# ## What a verdict does not say
#
# - The criteria are ours. The paper gives pictures and no thresholds; another reader may draw the line elsewhere, and
#   the numbers are there to do so.
# - *Not reproduced* at {term}`profile` `quick` says nothing against the paper's models, which have ten to a thousand
#   times as many weights; at any profile they learnt from more speech.
