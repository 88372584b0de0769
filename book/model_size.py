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
# # Model size
#
# You will know which layers of a trained recogniser can be put back to their untrained weights, and which cannot.
#
# Train a speech recogniser until it is good. Then take one layer of its encoder, put the weights back to what they were
# *before* training, and measure again. How much worse does it get?
#
# **The paper's claim** (under *Model Size*): some layers can be reset without penalty, they call them
# {term}`ambient <ambient layer>`; others are {term}`critical <critical layer>`, their reset is a catastrophe. The
# larger the model, the more robust it is. And it matters little whether a layer goes back to its own initial weights or
# to fresh random ones.
#
# A layer that can be reset for free has learnt nothing that the others cannot do without. For federated learning
# that is a promise: such a layer need not be trained, sent or stored in full on every phone.

# %% tags=["parameters", "hide-input"]
profile = "quick"
seeds = None
draws = None
sizes = ["S", "M", "L"]

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("model_size", globals())

# %% tags=["remove-input", "in-short"]
from paper_lib.summaries import summarised

summary = summarised("model_size", dict(chapter.parameters))
summary.in_short

# %% [markdown]
# ## What is trained
#
# Three {term}`Conformer` {term}`transducers <transducer>`, S, M and L, are trained on the same speech, from the same
# {term}`seeds <seed>`. Two kinds of reset are made, one layer at a time, everything else as trained:
#
# - **{term}`re-initialisation`**: the layer gets back its own weights of step 0 of this very training;
# - **{term}`re-randomisation`**: it gets weights drawn afresh from the same initialiser, several times, and the word
#   errors of the draws are averaged.
#
# Nothing is trained after a reset. All models hear the same test sentences, which none of them has seen in training.

# %%
from paper_lib.profiles import profile_of
from paper_lib.studies import model_size

chosen = chapter.parameters
profile_settings = profile_of(chosen.profile)
records = model_size(
    profile_settings, chosen.seeds, chosen.draws, chosen.sizes
).records()

# %% tags=["hide-input"]
from statistics import mean

from paper_lib.claims.findings import sweeps_by
from paper_lib.conformer.sizes import count_parameters, millions
from paper_lib.figures.tables import percent, table
from paper_lib.layers.ranking import intact_wer, layer_effects

models = {record.size: profile_settings.models[record.size] for record in records}
counts = {size: count_parameters(settings) for size, settings in models.items()}
sweeps = sweeps_by(records, "size")
intact = {size: intact_wer(of_size) for size, of_size in sweeps.items()}
varied = "; ".join(f"{size}: {of_size.varied}" for size, of_size in sweeps.items())
trained = {
    size: [record.training.result for record in records if record.size == size]
    for size in models
}
table(
    [
        (
            size,
            f"{settings.encoder.layers} × {millions(counts[size].layer, 3)}",
            settings.encoder.dim,
            millions(counts[size].total, 2),
            percent(intact[size]),
            f"{mean(result['distance_steps'][-1] for result in trained[size]):,.0f}",
            f"{min(result['seconds'] for result in trained[size]) / 60:.0f}",
        )
        for size, settings in models.items()
    ],
    [
        "Size",
        "Layers",
        "Width",
        "Parameters",
        "Intact WER, % [95 %]",
        "Steps",
        "Minutes",
    ],
    "The models as trained. Steps are those of one training, on average; minutes those of the quickest, for machines "
    f"differed and were shared. Intervals are over trainings and speakers ({varied}).",
)

# %% [markdown]
# Before a reset can tell anything the model has to be good: resetting a layer of a model that recognises nothing
# changes nothing. And it has to be finished: the paper trains "to convergence".

# %% tags=["hide-input"]
from paper_lib.figures.convergence import dev_wer_curves
from paper_lib.figures.style import show

schedule = profile_settings.training[records[0].size]
latest = round((1 - schedule.decay_fraction) * schedule.steps)
show(
    dev_wer_curves(trained),
    caption="WER of dev speech on the way, %; one line per training, a dot where it ends. Beyond 1 % the scale is "
    "logarithmic. The learning rate begins to fall "
    + (
        f"after {schedule.patience} measurements without a new lowest WER, at the latest after {latest:,} steps. "
        if schedule.patience
        else f"after {latest:,} steps. "
    )
    + "The WER falls with it, and the training ends at a rate of 0.",
    alt="For each model size falling lines of the word error rate of dev speech against the training step.",
    name="convergence",
)

# %% [markdown]
# ## Which layers survive a reset?

# %% tags=["hide-input"]
from paper_lib.figures.resets import change_intervals, reset_columns
from paper_lib.summaries.captions import at_the_line

effects = {size: layer_effects(of_size) for size, of_size in sweeps.items()}
found = at_the_line(effects)
show(
    reset_columns(effects, intact),
    caption=f"{found} "
    "WER after the reset of one layer, mean over trainings and draws; dots: each of them. Blue: "
    f"re-initialised. Orange: re-randomised. Whiskers: 95 % intervals ({varied}). Dashed: the intact model. All "
    "rows have one scale.",
    alt=f"{found} "
    "For each model size a pair of columns per layer: word error rate with that layer re-initialised or "
    "re-randomised.",
    name="reset-columns",
)

# %% [markdown]
# A column at the dashed line belongs to a layer that could be put back without anybody noticing. A tall one belongs to
# a layer that the others cannot replace.
#
# ## Ambient or critical?
#
# The paper gives no threshold. Here is ours. For every layer take the paired change in {term}`WER` against the intact
# model, with a {term}`confidence interval` over speakers and trainings ({doc}`sure` says how it is made). A layer is
#
# - **critical** if all of the interval lies above a margin of 2 points of WER,
# - **ambient** if all of it lies below: a layer is not called ambient because harm *was not seen*, but because harm
#   above the margin *is excluded*,
# - **{term}`unresolved <unresolved layer>`** if the interval holds the margin: more trainings, or more speakers, would
#   tell.
#
# A model of *L* layers is asked *L* questions at once, so each interval has confidence 1 − 0.05 / *L* (Bonferroni), and
# all the verdicts on one model hold together with 95 %; {doc}`sure` tells where it is less. With several trainings the
# question is about the mean over all possible trainings of this size, not only over these few.

# %% tags=["hide-input"]
show(
    change_intervals(effects),
    caption="Change in WER by the reset of one layer, with its interval (95 % for all layers of a model together). "
    "Filled: re-initialisation; hollow: re-randomisation. Grey band: less than 2 points. Beyond it the scale is "
    "logarithmic.",
    alt="For each model size and layer the interval of the WER change, coloured by its class: ambient, critical or "
    "unresolved.",
    name="change-intervals",
)

# %% tags=["hide-input"]
from paper_lib.layers.variants import KINDS

rows = []
for size, layers in effects.items():
    by_layer = {(effect.layer, effect.kind): effect for effect in layers}
    for layer in range(1, models[size].encoder.layers + 1):
        both = [by_layer[layer, kind] for kind in KINDS]
        cells = [
            cell
            for effect in both
            for cell in (percent(effect.change, sign=True), effect.classification)
        ]
        rows.append((size, layer, *cells))
table(
    rows,
    [
        "Size",
        "Layer",
        "Re-initialised, points",
        "Class",
        "Re-randomised, points",
        "Class",
    ],
    "Change in WER against the intact model, in points, with intervals that hold together for all layers of a model.",
    row_headers=2,
    folded="The numbers of the figure",
)

# %% [markdown]
# An interval over few trainings is wide: two say little of a third. What a *trained model* can spare is another
# question, and its interval is over speakers alone. Here each training is asked by itself:

# %% tags=["hide-input"]
from paper_lib.layers.ranking import CLASSES, reinitialised
from paper_lib.layers.sweeps import Sweeps

rows = []
for record in records:
    alone = Sweeps.of([record.reset.result])
    changes = reinitialised(alone)
    by_class = {
        name: [effect.layer for effect in changes if effect.classification == name]
        for name in CLASSES
    }
    rows.append(
        (
            record.size,
            record.seed,
            percent(intact_wer(alone)),
            *(len(by_class[name]) for name in CLASSES),
            ", ".join(map(str, by_class["critical"])) or "–",
        )
    )
table(
    rows,
    [
        "Size",
        "Seed",
        "Intact WER, % [95 %]",
        *(name.capitalize() for name in CLASSES),
        "Critical are",
    ],
    "Re-initialised layers of each trained model by class, with intervals over speakers that hold together for all "
    "layers of the model.",
    row_headers=2,
)

# %% [markdown]
# Two points are a choice. Where the intact model errs in 1 % of the words, a layer whose reset triples the errors is
# still called ambient by it. So here is the same count under other margins, in points and in multiples of the intact
# WER:

# %% tags=["hide-input"]
from paper_lib.figures.margins import margins_table

margins_table(sweeps)

# %% [markdown]
# ## What agrees with the paper, and what does not
#
# The verdicts are computed from the {term}`records <record>` by the criteria in the table; nobody wrote them by hand.

# %% tags=["hide-input"]
from paper_lib.claims.model_size import judge
from paper_lib.figures.claims import claims_table

claims_table(
    judge(sweeps),
    f"The paper's three claims beside this page's measurements. Brackets: 95 % intervals ({varied}).",
)

# %% [markdown]
# ## What this does not show
#
# - The models recognise synthetic speech; {doc}`corpus` says what that leaves out. The first table has the size of
#   their encoders: at {term}`profile` `laptop` that of the paper's, at `quick` a fiftieth of it and six layers.
# - All sizes hear the same few hours of speech. The paper's had 960 hours, and there larger models have more to learn.
# - With one training a size, the intervals say what *these* trained models do, and no verdict on sizes is given.
# - The effect of a reset is measured one layer at a time. Two layers that can each be reset for free need not be free
#   together.
# - The norm of the convolution module is {term}`GroupNorm` here, which has no running statistics. {doc}`group_norm` has
#   the other.
#
# ## Ask yourself

# %% tags=["remove-input"]
summary.questions

# %% [markdown]
# ## Run it again
#
# ```
# python -m paper_lib chapter model_size -p profile quick -p seeds 3
# ```
#
# trains three models a size and draws this page again; `-p draws 10` re-randomises each layer ten times, and
# `-p sizes S,M` leaves the largest model out. What the {term}`store` already holds is not computed again.
