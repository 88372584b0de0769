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
# # Stability
#
# You will know how much of a ranking of layers comes back when everything is trained again.
#
# If the layers of a recogniser are to be treated differently, their ranks must not be an accident of one training.
#
# **The paper's claim** (under *Stability*): the experiment was run five times, training included. Larger models are
# more stable across runs; the position of {term}`ambient layers <ambient layer>` is somewhat stable; larger models have
# more of them. The paper draws the spread of the {term}`WER` per layer and gives no number for it. This page gives
# numbers.

# %% tags=["parameters", "hide-input"]
profile = "quick"
seeds = None
draws = None
sizes = ["S", "M", "L"]

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("stability", globals())

# %% tags=["remove-input", "in-short"]
from paper_lib.summaries import summarised

summary = summarised("stability", dict(chapter.parameters))
summary.in_short

# %% [markdown]
# ## What is trained
#
# Every size several times from scratch: another {term}`seed` draws other initial weights and another order of the
# batches. The corpus stays. Each layer of each model is reset in turn.

# %%
from paper_lib.claims.findings import sweeps_by
from paper_lib.profiles import profile_of
from paper_lib.studies import stability

chosen = chapter.parameters
records = stability(
    profile_of(chosen.profile), chosen.seeds, chosen.draws, chosen.sizes
).records()
sweeps = sweeps_by(records, "size")
# WER changes by re-initialisation, [trainings, layers].
harm = {size: of_size.harm() for size, of_size in sweeps.items()}
seeds_of = {
    size: [record.seed for record in records if record.size == size] for size in sweeps
}

# %% tags=["hide-input"]
from paper_lib.figures.tables import p_value, percent, table
from paper_lib.layers.ranking import intact_wer
from paper_lib.layers.sweeps import Sweeps, harm_of

table(
    [
        (
            record.size,
            record.seed,
            percent(intact_wer(Sweeps.of([record.reset.result]))),
            f"{100 * harm_of(record.reset.result).mean():+.1f}",
        )
        for record in records
    ],
    ["Size", "Seed", "Intact WER, % [95 %]", "Mean change by a reset, points"],
    "The trainings, one by one; intervals are over the speakers of the test.",
    row_headers=2,
)

# %% [markdown]
# ## Does the same layer do the same harm in every training?

# %% tags=["hide-input"]
from paper_lib.figures.stability import rank_maps, run_spread
from paper_lib.figures.style import show
from paper_lib.summaries.captions import ends_of_ranks, trainings_apart

found = trainings_apart(harm)
show(
    run_spread(harm, seeds_of),
    caption=f"{found} "
    "WER change by the re-initialisation of one layer, in every training. Dots: trainings. Bar: their mean. "
    "Grey: from the least to the largest. All rows have one scale.",
    alt=f"{found} "
    "For each model size and layer the changes in word error rate of all trainings, with mean and range.",
    name="spread",
)

# %% tags=["hide-input"]
found = ends_of_ranks(harm)
show(
    rank_maps(harm, seeds_of),
    caption=f"{found} "
    "Ranks of the layers in every training, by the WER change of re-initialisation. 1 is the least harmful to "
    "reset, the nearest to ambient. If ranks were perfectly stable, all rows of a size would be alike.",
    alt=f"{found} "
    "For each model size a grid of trainings by layers with the rank of each layer.",
    name="ranks",
)

# %% [markdown]
# ## How far apart are the trainings?
#
# The same as a number: how far a training's WER changes lie from the mean of the others, as a share of the
# spread between layers. At 0 all trainings are alike; at 1 trainings differ in a layer as much as layers do, and a rank
# is worth nothing. This measure does not mind that harmless layers, which all lie at zero, change their order from
# training to training. A rank correlation does: a model with four ambient layers of seven would score 0.8 and not 1,
# though nothing that matters has moved.

# %% tags=["hide-input"]
from paper_lib.claims import plain
from paper_lib.inference import mean_over_trainings
from paper_lib.layers.agreement import instability

deviations = {size: instability(of_size) for size, of_size in harm.items()}
table(
    [
        (
            size,
            plain(mean_over_trainings(values).estimate()),
            ", ".join(f"{value:.2f}" for value in values),
        )
        for size, values in deviations.items()
    ],
    ["Size", "Mean deviation [95 %]", "By training"],
    "Root mean square over layers of the distance from the other trainings' mean, over the standard deviation between "
    "layers. Interval: Student's t over trainings.",
)

# %% [markdown]
# ## How well do trainings agree on the ranks?
#
# Two trainings rank *L* layers; {term}`Spearman's ρ` is 1 where they agree and 0 on average where the layers are
# shuffled. With several trainings it is the mean over their pairs. *p* comes from a permutation test: the layers of
# every training are shuffled {term}`99,999 times <permutation test>`. A mean over pairs of a few trainings has no
# interval that holds what it promises, so the least and the largest pair are shown instead.

# %% tags=["hide-input"]
from paper_lib.layers.agreement import agreement_p, rank_agreements

rows = []
for size, of_size in harm.items():
    pairs = rank_agreements(of_size)
    rows.append(
        (
            size,
            len(of_size),
            f"{pairs.mean():.2f}",
            f"{pairs.min():.2f} to {pairs.max():.2f}",
            p_value(agreement_p(of_size)),
        )
    )
table(
    rows,
    ["Size", "Trainings", "Spearman's ρ, mean", "Pairs", "p"],
    "Agreement of trainings on the ranks of the layers by harm.",
)

# %% [markdown]
# A user of ranks wants to know less: are the layers that seem safe to reset after one training the same after another?
# Here a layer *seems* safe if its measured harm is below the margin, whatever the interval: that is all that a user
# with one training would see.

# %% tags=["hide-input"]
from paper_lib.figures.margins import MARGINS
from paper_lib.layers.agreement import sets_in_common, sets_p

rows = []
for size, of_size in harm.items():
    for margin in MARGINS:
        harmless = of_size < margin
        common, by_chance = sets_in_common(harmless)
        rows.append(
            (
                size,
                f"{100 * margin:g} points",
                ", ".join(map(str, harmless.sum(1))),
                f"{common:.1f}",
                f"{by_chance:.1f}",
                p_value(sets_p(harmless)),
            )
        )
table(
    rows,
    [
        "Size",
        "Margin",
        "Seemingly safe, by training",
        "In common",
        "By chance",
        "p",
    ],
    "Layers whose measured harm is below the margin, in each training; how many of them two trainings share, mean over "
    "pairs, and how many they would share if layers were shuffled. Where a training has none, or all layers, nothing "
    "can be compared and p is near 1. The ps are not corrected: they are many looks at one question.",
    row_headers=2,
    folded="Which layers seem safe, by the margin",
)

# %% [markdown]
# ## Within a training and between trainings
#
# How much of what a column shows is the layer, and how much is chance? Three kinds of chance: another training, another
# draw of the random weights in one training, other speakers in the test.

# %% tags=["hide-input"]
import numpy as np

from paper_lib.layers.ranking import reinitialised

rows = []
for size, of_size in sweeps.items():
    drawn = of_size.draws["re-randomisation"]
    by_speakers = [e.mean.speakers.variance for e in reinitialised(of_size)]
    values = [
        harm[size].mean(0).std(ddof=1),
        np.sqrt(harm[size].var(0, ddof=1).mean()),
        np.sqrt(drawn.var(-1, ddof=1).mean()) if drawn.shape[-1] > 1 else np.nan,
        np.sqrt(np.mean(by_speakers)),
    ]
    rows.append((size, *("–" if np.isnan(v) else f"{100 * v:.1f}" for v in values)))
table(
    rows,
    ["Size", "Between layers", "Between trainings", "Between draws", "By speakers"],
    "Standard deviations of the WER change, in points. Between layers: of the layers' means. The others are for one "
    "layer: from training to training, from draw to draw of a re-randomisation, and of the mean over trainings by who "
    "speaks in the test.",
)

# %% [markdown]
# A ranking is worth something where the first number is much larger than the second. Where the last is small against
# the second, more test speech would not help: only more trainings would.
#
# ## What agrees with the paper, and what does not

# %% tags=["hide-input"]
from paper_lib.claims.stability import judge
from paper_lib.figures.claims import claims_table

claims_table(
    judge(sweeps),
    "The paper's claims beside this page's measurements; verdicts are computed from the records.",
)

# %% [markdown]
# ## What this does not show
#
# - Trainings differ in initial weights and batches, not in data. Another corpus may rank layers differently.
# - Layers that do no harm rank by chance: the more ambient layers a model has, the less its ranks can agree.
# - Harm of very different size in two layers weighs more in the deviation than in ranks: it is mostly about the
#   critical ones.
# - The paper trains five times. The first table says how many trainings of each size were made here.
#
# ## Ask yourself

# %% tags=["remove-input"]
summary.questions

# %% [markdown]
# ## Run it again
#
# ```
# python -m paper_lib chapter stability -p seeds 4 -p sizes S
# ```
