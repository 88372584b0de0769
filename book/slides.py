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
# # Slide by slide
#
# The authors' talk in its own order: what each slide says, and beside it what this book has measured with encoders of
# the paper's depth and width, on synthetic speech (profile `laptop`), and with recordings of people (profile `human`).
# A row opens to the rule of its verdict and a link to its figure.

# %% tags=["parameters", "hide-input"]
profile = "quick"

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("slides", globals())

# %% tags=["hide-input"]
from paper_lib.claims.findings import CLAIMS, findings
from paper_lib.profiles import profile_of

SPEECH = {"laptop": "synthetic speech", "human": "recordings of people"}
published = {name: profile_of(name) for name in SPEECH}
found = {
    name: {finding.claim.id: finding for finding in findings(of_profile)}
    for name, of_profile in published.items()
}

# %% tags=["remove-input", "in-short"]
from paper_lib.figures.markup import in_short
from paper_lib.summaries.making import slides_in_short

in_short(
    slides_in_short(
        len(CLAIMS), {SPEECH[name]: list(of.values()) for name, of in found.items()}
    )
)

# %% tags=["hide-input"]
from paper_lib.figures.claims import OPENS, claim_cell, judged_cell
from paper_lib.figures.tables import percent, table


def slide(title):
    """Shows what the slide called `title` says, and what was measured, and of which speech."""
    claims = [claim for claim in CLAIMS if claim.slide == title]
    measured = [
        name for name in SPEECH if any(claim.id in found[name] for claim in claims)
    ] or ["laptop"]
    return table(
        [
            (
                claim_cell(claim),
                *(
                    judged_cell(found[name][claim.id])
                    if claim.id in found[name]
                    else "not measured"
                    for name in measured
                ),
            )
            for claim in claims
        ],
        ["The slide says", *(f"On {SPEECH[name]} ({name})" for name in measured)],
        f"The slide “{title}”. Brackets are 95 % intervals. {OPENS}",
    )


# %% [markdown]
# ## Motivation
#
# *If some layers matter less, train, compress and send them less.* The paper measures one of the three uses, Federated
# Dropout; {doc}`uses` asks for the other two.

# %% tags=["hide-input"]
slide("Motivation")

# %% [markdown]
# ## Experiment 1
#
# *LibriSpeech, three sizes of a Conformer that sees the whole utterance.* Here the same layers, as many and as wide, on
# a few hours of speech, where theirs has 960. What is around the layers is smaller: the models write characters.

# %% tags=["hide-input"]
from paper_lib.conformer.sizes import SLIDE, count_parameters, millions

counts = {
    size: (settings.encoder, count_parameters(settings))
    for size, settings in published["laptop"].models.items()
}
table(
    [
        (
            f"Conformer{size}",
            *SLIDE[size],
            millions(count.layers),
            f"{encoder.layers} × {millions(count.layer)}",
            millions(count.total),
        )
        for size, (encoder, count) in counts.items()
    ],
    [
        "Model",
        "Layers on the slide",
        "each",
        "all of it",
        "Layers here",
        "each",
        "all of it",
    ],
    "Parameters: the slide's, and those of the models of profile laptop, counted.",
)

# %% [markdown]
# ## Experiment 2
#
# *400,000 hours of several domains, 27,000 of them short-form, which is held out; a streaming Conformer.* Here some
# hours of synthetic speech, a tenth of it short commands (theirs: 7 %), which are held out ({doc}`federated_dropout`),
# and at `human` the commands of people, who are the clients ({doc}`human_speech`).
#
# ## Model Size
#
# *Columns show the word error rate when each layer is reset*, for each of the three sizes. {doc}`model_size` draws
# ours.

# %% tags=["hide-input"]
slide("Model Size")

# %% [markdown]
# ## Batch Normalization vs Group Normalization
#
# *Batch normalization was left out of earlier experiments*, because ambient layers do not form with it.
# {doc}`group_norm` trains both.

# %% tags=["hide-input"]
slide("Batch Normalization vs Group Normalization")

# %% [markdown]
# ## Stability
#
# *The same experiment five times, training from scratch included.* {doc}`stability` says how many trainings of each
# size there are here.

# %% tags=["hide-input"]
slide("Stability")

# %% tags=["hide-input"]
slide("Takeaways (after Stability)")

# %% [markdown]
# ## Numerical Signatures
#
# *Weights that change least in training may be those of ambient layers.* The slides draw, for each kind of weight
# matrix, how far each layer's has moved from its initial values, over the farthest; for LibriSpeech after 70,000 steps,
# and for the streaming model after 300,000, which dips at its least critical layer. {doc}`signatures` and
# {doc}`federated_dropout` draw ours.

# %% tags=["hide-input"]
slide("Numerical Signatures")

# %% tags=["hide-input"]
slide("Takeaways (after Numerical Signatures)")

# %% [markdown]
# ## Applications: Federated Dropout
#
# *The table*: half of the feed-forward units dropped in the *N* most critical or most ambient layers while clients
# fine-tune the model on the domain that was held out.

# %% tags=["hide-input"]
slide("Applications: Federated Dropout")

# %% tags=["hide-input"]
from paper_lib.claims.findings import adapted_by_plan
from paper_lib.federated.accounting import SHORT, account
from paper_lib.federated.readings import SLIDE_DROPPED, SLIDE_WER
from paper_lib.studies import federated_dropout
from paper_lib.studies.measurements import NotMeasuredError


def dropped(plan, model):
    return account(plan.plans[0], model, *SHORT).dropped_share


def adapted(name):
    """Returns by plan the share of parameters that is dropped at the published profile `name`, and the WER."""
    try:
        records = federated_dropout(published[name]).records()
    except NotMeasuredError:
        return {}
    wers = adapted_by_plan(records, (records.held_out,))
    return {
        plan.name: (
            f"{100 * dropped(plan, published[name].adaptation.model):.0f} %",
            percent(wers[plan.name].mean.estimate()),
        )
        for plan in records.plans
    }


ours = {name: of_plan for name in SPEECH if (of_plan := adapted(name))}
table(
    [
        (
            plan,
            f"{share} %",
            str(SLIDE_WER[plan]),
            *(
                cell
                for of_plan in ours.values()
                for cell in of_plan.get(plan, ("–", "–"))
            ),
        )
        for plan, share in SLIDE_DROPPED.items()
    ],
    [
        "Plan",
        "Slide: dropped",
        "WER, %",
        *(column for name in ours for column in (f"{name}: dropped", "WER, %")),
    ],
    "The slide's table beside what is measured of it here. The slide's WERs have no intervals; ours are over speakers, "
    "and over seeds where there are several.",
)

# %% [markdown]
# ## Conclusion
#
# *Ambient layers exist in Conformers; larger models have more of them, and more stable ones; attention has a geometric
# signature; up to 22 % relative WER are gained by dropping in ambient layers.* The 22 % are the slide's own words for
# Amb-3 against Crit-4; from its table one computes (7.3 − 6.5) / 7.3 = 11 %.
#
# ## What this does not show
#
# - A verdict is on the models and the speech of its profile. None of them is the paper's: LibriSpeech and in-house
#   speech of 400,000 hours.
# - The slides' pictures give no numbers. What is compared is what they say in words, and one table.
#
# ## Run it again
#
# ```
# python -m paper_lib chapter slides
# ```
