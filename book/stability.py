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
# If the layers of a recogniser are to be treated differently, their ranks must not be an accident of one training.
#
# **The paper's claim** (slide *Stability*): the experiment was run five times, training included. Larger models are
# more stable across runs; the position of {term}`ambient layers <ambient layer>` is somewhat stable; larger models have
# more of them. The slide shows the spread of the {term}`WER` per layer and gives no number for it. This page gives
# numbers.

# %% tags=["parameters", "hide-input"]
profile = "quick"
seeds = None
draws = None
sizes = ["S", "M", "L"]

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("stability", globals())

# %% [markdown]
# ## What is trained
#
# Every size several times from scratch: another {term}`seed` draws other initial weights and another order of the
# batches. The corpus stays. Each layer of each model is reset in turn.

# %%
from paper_lib.claims.findings import sweeps_by_size
from paper_lib.layers.agreement import Repeats
from paper_lib.profiles import profile_of
from paper_lib.studies import stability

chosen = chapter.parameters
records = stability(
    profile_of(chosen.profile), chosen.seeds, chosen.draws, chosen.sizes
).records()
sweeps = sweeps_by_size(records)
repeats = {size: Repeats.of(results) for size, results in sweeps.items()}
# By re-initialisation, [trainings, layers].
changes = {size: runs.wer() for size, runs in repeats.items()}

# %% tags=["hide-input"]
from paper_lib.figures.tables import p_value, percent, table
from paper_lib.layers.ranking import intact_wer

table(
    [
        (
            record.size,
            record.seed,
            percent(intact_wer(record.reset.result)),
            f"{100 * change.mean():+.1f}",
        )
        for record, change in zip(
            records,
            (run for of_size in changes.values() for run in of_size),
            strict=True,
        )
    ],
    ["Size", "Seed", "Intact WER, % [95 %]", "Mean change by a reset, points"],
    "The trainings. Intervals are bootstraps over the test utterances.",
    row_headers=2,
)

# %% [markdown]
# ## The picture of the slide

# %% tags=["hide-input"]
from paper_lib.figures.stability import rank_maps, run_spread
from paper_lib.figures.style import show

show(
    run_spread(changes),
    caption="WER change by the re-initialisation of one layer, in every training. Dots: trainings. Bar: their mean. "
    "Grey: from the least to the largest. All rows have one scale.",
    alt="For each model size and layer the changes in word error rate of all trainings, with mean and range.",
    name="spread",
)

# %% tags=["hide-input"]
show(
    rank_maps(changes),
    caption="Ranks of the layers in every training, by the WER change of re-initialisation. 1 is the least harmful to "
    "reset, the nearest to ambient. If ranks were perfectly stable, all rows of a size would be alike.",
    alt="For each model size a grid of trainings by layers with the rank of each layer.",
    name="ranks",
)

# %% [markdown]
# ## How well do trainings agree on the ranks?
#
# Two trainings rank *L* layers; {term}`Spearman's ρ` and {term}`Kendall's τ` are 1 where they agree and 0 on average
# where the layers are shuffled. With several trainings it is the mean over their pairs. The intervals are
# {term}`bootstraps <bootstrap interval>` over test utterances and, from three trainings on, over trainings; with two,
# the interval only says how well the test speech tells the ranks of these two. *p* comes from a permutation test (the
# layers of every training are shuffled; exact where there are few enough orders), times the number of sizes
# (Bonferroni).

# %% tags=["hide-input"]
from paper_lib.claims.stability import SIGNIFICANCE
from paper_lib.layers.agreement import (
    agreement,
    overlap_of,
    permutation_test,
    rank_concordance,
    rank_correlation,
)


def with_interval(estimate):
    text = f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
    return text.replace("-", "−")


table(
    [
        (
            size,
            len(runs.runs),
            with_interval(agreement(runs, rank_correlation)),
            with_interval(agreement(runs, rank_concordance)),
            p_value(min(1, len(repeats) * permutation_test(changes[size]))),
        )
        for size, runs in repeats.items()
    ],
    ["Size", "Trainings", "Spearman's ρ", "Kendall's τ", "p"],
    "Agreement of trainings on the ranks of the layers, mean over pairs of trainings, 95 % intervals.",
)

# %% [markdown]
# A user of ranks wants to know less: are the *k* layers that seem safe to reset after one training the same after
# another?

# %% tags=["hide-input"]
rows = []
for size, runs in repeats.items():
    layers = runs.layers
    for k in range(1, layers // 2 + 1):
        share = agreement(runs, overlap_of(k))
        rows.append(
            (
                size,
                f"{k} of {layers}",
                with_interval(share),
                f"{k / layers:.2f}",
                p_value(permutation_test(changes[size], overlap_of(k))),
            )
        )
table(
    rows,
    ["Size", "Least harmful layers", "Overlap", "By chance", "p"],
    "Share of the least harmful layers that two trainings have in common, mean over pairs, 95 % intervals. The "
    "p-values are not corrected: they are many looks at one question.",
    row_headers=2,
)

# %% [markdown]
# ## Within a training and between trainings
#
# How much of what a column shows is the layer, and how much is chance? Three kinds of chance: another training, another
# draw of the random weights in one training, other test utterances.

# %% tags=["hide-input"]
from paper_lib.layers.agreement import deviations

rows = []
for size, results in sweeps.items():
    found = deviations(results)
    values = [100 * changes[size].mean(0).std(ddof=1), 100 * found.trainings]
    draw = "–" if found.draws is None else f"{100 * found.draws:.1f}"
    rows.append(
        (
            size,
            *(f"{value:.1f}" for value in values),
            draw,
            f"{100 * found.utterances:.1f}",
        )
    )
table(
    rows,
    [
        "Size",
        "Between layers",
        "Between trainings",
        "Between draws",
        "By test utterances",
    ],
    "Standard deviations of the WER change, in points. Between layers: of the layers' means. The others are for one "
    "layer: from training to training, from draw to draw of a re-randomisation, and by the choice of the test speech.",
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
    f"The claims beside this page's measurements; verdicts are computed from the records, at {SIGNIFICANCE:.0%}.",
)

# %% [markdown]
# ## What this does not show
#
# - Trainings differ in initial weights and batches, not in data. Another corpus may rank layers differently.
# - Six or seven layers have few orders: with two trainings even perfect agreement is met by chance once in 720.
# - The paper counts on 16 and 17 layers, and on five runs. {term}`Profile <profile>` `laptop` has five.
#
# ## Run it again
#
# ```
# python -m paper_lib chapter stability -p seeds 4 -p sizes S
# ```
