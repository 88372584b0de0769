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
# # Batch normalisation against group normalisation
#
# You will know whether the norm inside a layer decides if the layer can be spared.
#
# A Conformer layer normalises the output of its depthwise convolution. Which norm does that decides, says the paper,
# whether {term}`ambient layers <ambient layer>` can form at all.
#
# **The paper's claim** (under *Batch Normalization vs Group Normalization*): {term}`BatchNorm` interferes with the
# formation of ambient layers, which is why earlier work left it out; {term}`GroupNorm` yields ambient layers, and suits
# federated learning too, where a {term}`client`'s few utterances make poor batch statistics.
#
# There is a trap in this comparison. BatchNorm has *running statistics*, the mean and variance of every channel as seen
# in training. They are no weights, but they were learnt. A reset of a layer takes them back too; and the layers above,
# whose own statistics stay, then hear something that they were never set for. So the question is asked twice: with
# BatchNorm's statistics reset along with the layer, and with the statistics kept.

# %% tags=["parameters", "hide-input"]
profile = "quick"
seeds = None
draws = None
size = "S"

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("group_norm", globals())

# %% tags=["remove-input", "in-short"]
from paper_lib.summaries import summarised

summary = summarised("group_norm", dict(chapter.parameters))
summary.in_short

# %% [markdown]
# ## What is trained
#
# One model size, three norms: BatchNorm (statistics over all frames of a batch), GroupNorm with one group (statistics
# over all channels of one utterance) and with several. Seeds, data, order of the batches and every other setting are
# the same, and the norm's own weights are as many. Padding is kept out of all statistics.

# %%
from paper_lib.profiles import profile_of
from paper_lib.studies import group_norm

chosen = chapter.parameters
records = group_norm(
    profile_of(chosen.profile), chosen.seeds, chosen.draws, chosen.size
).records()

# %% [markdown]
# ## The cost of the norm itself
#
# Before any reset: does it matter for recognition which norm a model has?

# %% tags=["hide-input"]
import numpy as np

from paper_lib.claims.findings import sweeps_by
from paper_lib.figures.tables import percent, table
from paper_lib.inference import rate
from paper_lib.layers.ranking import intact_wer, layer_effects

sweeps = sweeps_by(records, "norm")
reference = list(sweeps)[-1]
varied = sweeps[reference].varied
table(
    [
        (
            norm,
            percent(intact_wer(of_norm)),
            "–"
            if norm == reference
            else percent(
                rate(
                    of_norm.intact - sweeps[reference].intact, of_norm.words
                ).estimate(),
                sign=True,
            ),
        )
        for norm, of_norm in sweeps.items()
    ],
    ["Norm", "Intact WER, % [95 %]", f"Against {reference}, points"],
    f"Size {chosen.size} with three norms. Differences are paired by seed and speaker, intervals over {varied}.",
)

# %% [markdown]
# ## Which layers survive a reset, by norm?

# %% tags=["hide-input"]
from paper_lib.figures.resets import reset_columns
from paper_lib.figures.style import show
from paper_lib.layers.sweeps import Sweeps
from paper_lib.summaries.captions import at_the_line

KEPT = "BatchNorm, statistics kept"
series = {
    "BatchNorm": sweeps["BatchNorm"],
    KEPT: Sweeps.of([record.kept.result for record in records if record.kept]),
    **{norm: of_norm for norm, of_norm in sweeps.items() if norm != "BatchNorm"},
}
effects = {name: layer_effects(one) for name, one in series.items()}
found = at_the_line(effects)
show(
    reset_columns(effects, {name: intact_wer(one) for name, one in series.items()}),
    caption=f"{found} "
    "WER after the reset of one layer, by norm, mean over trainings and draws; dots: each of them. Blue: "
    f"re-initialised. Orange: re-randomised. Whiskers: 95 % intervals over {varied}. Dashed: the intact model.",
    alt=f"{found} "
    "For each norm a pair of columns per layer: word error rate with that layer re-initialised or re-randomised.",
    name="norm-columns",
)

# %% [markdown]
# ## How many layers are ambient?
#
# Ambient, {term}`critical <critical layer>` and {term}`unresolved <unresolved layer>` are decided as in
# {doc}`model_size`: by the {term}`confidence interval` of the change against a margin of 2 points, with Bonferroni's
# correction over the layers of a model. The second table draws the line elsewhere.

# %% tags=["hide-input"]
from paper_lib.layers.ranking import CLASSES

rows = []
for name, layers in effects.items():
    changes = [effect for effect in layers if effect.kind == "re-initialisation"]
    classes = [effect.classification for effect in changes]
    values = [effect.change.value for effect in changes]
    rows.append(
        (
            name,
            *(classes.count(group) for group in CLASSES),
            f"{100 * np.mean(values):+.1f}",
            f"{100 * min(values):+.1f}",
        )
    )
table(
    rows,
    [
        "Norm",
        *(group.capitalize() for group in CLASSES),
        "Mean change, points",
        "Least change, points",
    ],
    "Layers of each class under re-initialisation, and the WER change over the layers.",
)

# %% tags=["hide-input"]
from paper_lib.figures.margins import margins_table

margins_table(series, "Norm")

# %% [markdown]
# ## Why a reset disturbs BatchNorm
#
# BatchNorm divides what arrives by what *used to* arrive. Below, every channel of every norm above a reset layer is
# looked at before the norm's own scale and shift. As long as BatchNorm's statistics fit, a channel has mean 0 and
# deviation 1 there. After the reset of a layer below it still subtracts the old mean and divides by the old deviation.
# GroupNorm measures both anew in every utterance, and for a group of channels together: single channels differ from
# mean 0 and deviation 1 from the beginning, and go on to differ about as much.

# %% tags=["hide-input"]
from paper_lib.figures.norms import activation_quantiles

first = [record for record in records if record.seed == 0]
activations = {
    record.norm: record.activations.result["activations"] for record in first
}
show(
    activation_quantiles(activations, reset=1),
    caption="Normalised activations in the layers above layer 1, on dev speech, seed 0: mean and deviation of each "
    "channel over all frames. Grey: intact. Vermilion: layer 1 re-initialised. Dot: median channel; thick bar: half of "
    "the channels; thin bar: 90 %. Dashed: what BatchNorm's statistics give where they fit. BatchNorm's statistics are "
    "those of the layer itself, which is not reset.",
    alt="For each norm the spread over channels of mean and deviation of normalised activations, per layer, for the "
    "intact model and with layer 1 re-initialised.",
    name="activations",
)


# %% tags=["hide-input"]
def shift(entries, reset, statistic, fitting):
    """Returns how far the middle 90 % of channels lie from what fits, mean over the layers above."""
    above = [e for e in entries if e["reset"] == reset and e["layer"] > 1]
    return np.mean(
        [
            max(abs(e[statistic][0] - fitting), abs(e[statistic][-1] - fitting))
            for e in above
        ]
    )


table(
    [
        (
            norm,
            *(
                f"{shift(e, reset, s, fit):.2f}"
                for s, fit in (("mean", 0), ("deviation", 1))
                for reset in (None, 1)
            ),
        )
        for norm, e in activations.items()
    ],
    ["Norm", "Mean, intact", "Mean, after", "Deviation, intact", "Deviation, after"],
    "How far channels are from mean 0 and deviation 1 (the farther end of the middle 90 %), averaged over the layers "
    "above layer 1, before and after its re-initialisation.",
)

# %% [markdown]
# **What it shows.** The columns to compare are *intact* and *after*. A norm whose statistics come from the utterance in
# hand keeps its distribution whatever happens below. **What it does not show:** that this is the *only* reason for what
# a reset does. The direction of an activation changes under every norm.
#
# ## What agrees with the paper, and what does not

# %% tags=["hide-input"]
from paper_lib.claims.findings import judge_norms
from paper_lib.figures.claims import claims_table

claims_table(
    judge_norms(records),
    "The paper's claims beside this page's measurements; verdicts are computed from the records.",
)

# %% [markdown]
# ## What this does not show
#
# - The paper's models have 16 layers and more. At {term}`profile` `quick` ours have six, and none of few layers is
#   easily spared: fewer ambient layers there do not contradict the paper.
# - The norms are compared at the learning rate that was chosen with GroupNorm. BatchNorm at its own best rate may do
#   better.
# - Trainings of one norm differ by their {term}`seed` as well; {doc}`stability` tells by how much.
#
# ## Ask yourself

# %% tags=["remove-input"]
summary.questions

# %% [markdown]
# ## Run it again
#
# ```
# python -m paper_lib chapter group_norm -p size L -p seeds 3
# ```
