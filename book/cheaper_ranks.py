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
# # Cheaper ranks
#
# You will know which cheap readings of a layer rank it as a reset does, and what each costs.
#
# To rank layers by resetting each of them takes a trained model and many evaluations of it. The paper asks whether
# ranks can be had without (*Numerical Signatures*), and leaves it there. Which quick reading of a layer predicts the
# harm of its reset, and what does it cost?

# %% tags=["parameters", "hide-input"]
profile = "quick"

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("cheaper_ranks", globals())

# %% tags=["remove-input", "in-short"]
from paper_lib.summaries import summarised

summary = summarised("cheaper_ranks", dict(chapter.parameters))
summary.in_short

# %% tags=["hide-input"]
from paper_lib.figures.markup import paragraph
from paper_lib.layers.cheap_ranks import quantities, ranked
from paper_lib.layers.criticality import Path
from paper_lib.layers.sweeps import Sweeps
from paper_lib.profiles import profile_of
from paper_lib.studies.beyond import SIZE, profile_beyond
from paper_lib.studies.cheaper_ranks import cheaper_ranks
from paper_lib.summaries.words import listed

own = profile_of(chapter.parameters.profile)
shown = profile_beyond(own)
records = cheaper_ranks(shown).records()
trainings = [one.training.result for one in records.models]
paths = [Path.read(one.path.result) for one in records.models]
probes = [one.probe.result for one in records.models]
sweeps = Sweeps.of([one.reset.result for one in records.models])
harm = sweeps.harm()
of_models = quantities(trainings, paths, probes)
rows = ranked(of_models, harm)
seeds = [one.training.settings["seed"] for one in records.models]
paragraph(
    f"This page shows the published records of profile {shown.name}: profile {own.name} measures nothing beyond the "
    "paper."
    if shown.name != own.name
    else f"Models are those of profile {own.name}.",
    f"They are of size {SIZE}, from the seed{'s' if len(seeds) > 1 else ''} {listed(map(str, seeds))}.",
)

# %% [markdown]
# ## What is compared with what
#
# The **harm** is what the other pages measure: the change of the {term}`WER` of *test* speech by the
# {term}`re-initialisation` of one layer. Every reading is taken from *dev* speech, or from none, so that no speaker is
# heard for both. All readings are said beforehand to be the *larger* the more {term}`critical <critical layer>` a layer
# is.
#
# | reading | what it is |
# |---|---|
# | depth | the layer's number; what every other reading must beat |
# | signature | the paper's {term}`numerical signature`, mean over the layer's weight matrices |
# | relative distance | ‖W(T) − W(0)‖ / ‖W(0)‖, mean over the same matrices: no layer is measured by another |
# | {term}`block influence` | 1 − cosine of what enters the layer and what leaves it {cite}`men2024shortgpt` |
# | gradient norm | of the mean transducer loss, in the layer's parameters |
# | {term}`Fisher information` | mean squared gradient of one utterance's loss, summed over the layer |
# | reset, dev speech | the reset itself, heard on other utterances: how far the harm repeats on other speakers |
# | {term}`skip` | WER change without the layer |
# | mean of the way | WER change at (1 − α) W(0) + α W(T), mean over ten α from 0 to 0.9 |
# | {term}`criticality` | α² ‖W(T) − W(0)‖² for the least α within 2 points {cite}`chatterji2020intriguing` |
#
# **The cost** is counted, not timed, in *evaluations*: once the whole dev speech through all layers, and decoded. A
# variant of the model that changes layer *l* of *L* takes the layers from *l* on, so it counts (*L* − *l* + 1) / *L*;
# its decoding is counted in the same proportion, which is a little too kind to the variants. A pass backward counts as
# two forward. What training or a server records anyway costs nothing.
#
# ## What does a good rank cost?

# %% tags=["hide-input"]
from paper_lib.federated.client_ranks import client_quantities
from paper_lib.figures.cheaper_ranks import rank_against_cost, rank_table
from paper_lib.figures.style import show
from paper_lib.summaries.captions import highest_at_depth

clients = [one.adaptation.result for one in records.clients]
clients_harm = (
    Sweeps.of([one.reset.result for one in records.clients]).harm() if clients else None
)
of_clients = client_quantities(clients) if clients else []
clients_rows = ranked(of_clients, clients_harm) if clients else []
show(
    rank_against_cost([*rows, *clients_rows]),
    caption=f"{highest_at_depth(rows)} "
    "Spearman's ρ over layers between a reading and the harm of the layer's reset, mean over trainings, by "
    "what the reading costs. Filled: p < 0.05, one-sided (layers shuffled in all trainings alike, Benjamini-Hochberg "
    "over the readings of a model). Below: less what a parabola in depth tells of both. Squares: of the clients' "
    "model, against the harm in that model. Cross: depth, which needs no reading and is not tested.",
    alt=f"{highest_at_depth(rows)} "
    "Two panels of points: rank correlation with the harm of a reset, by the cost of the reading, plain and at "
    "fixed depth. "
    + "; ".join(
        f"{one.quantity.name} {one.rho:.2f}, at fixed depth {one.given_depth:.2f}"
        for one in [*rows, *clients_rows]
    )
    + ".",
    name="rank-against-cost",
)

# %% tags=["hide-input"]
varied = f"{len(trainings)} training{'s' if len(trainings) > 1 else ''}"
rank_table(
    rows,
    f"The numbers of the figure, for size {SIZE}, mean over {varied} of {harm.shape[1]} layers. Cost: evaluations of "
    f"the dev speech ({paths[0].utterances} utterances; probes hear {probes[0]['utterances']} of them). The last "
    "column: which share of the less harmful half of the layers is in the lower half of the reading, too; lots would "
    "find about 50 %. By training: ρ at fixed depth.",
    folded="The numbers of the figure",
)

# %% [markdown]
# Layers are the units: two trainings of sixteen layers are sixteen units. Both a reading and the harm may follow from
# where a layer stands; ρ *at fixed depth* is what is left when a parabola in depth is taken from both ranks. It is the
# number to look at: depth itself is known without any reading. {doc}`sure` tells how often such tests err.
#
# A reading may come out above the reset on dev speech. That is no ceiling: both are set beside the harm on *test*
# speech, and a reset on dev speech carries the chance of its own speakers, which is large where harm is small.
#
# ## The way from W(0) to W(T)
#
# A reset jumps back to W(0) at once. On the way there one sees *where* a layer begins to harm: a layer whose curve is
# flat could have stopped learning early, and one whose curve stands high up to the end needs all that it has learnt.
# {term}`Skipping <skip>` a layer is another question: a reset layer still adds something to its input, a skipped one
# does not.

# %% tags=["hide-input"]
import numpy as np

from paper_lib.figures.cheaper_ranks import ways

least = np.mean([path.least_shares() for path in paths], axis=0)
show(
    ways(paths, seeds),
    caption="WER change of dev speech, in points, with one layer at a share of its way from its initial to its trained "
    "weights, all others as trained. Thick: mean over trainings; thin: each. Square: without the layer. Dotted: 2 "
    "points. Least share within 2 points, mean over trainings of each one's, by layer: "
    + ", ".join(f"{share:.2f}" for share in least)
    + ".",
    alt="A panel per layer: change of the word error rate by the share of the way from W(0) to W(T), and without the "
    "layer.",
    name="ways",
)

# %% [markdown]
# Chatterji et al. average the error over noise on the weights and divide by its variance. There is no noise here: our
# {term}`criticality` is their measure without it, and the WER takes the place of the error. Where a layer may go all
# the way back within 2 points, its criticality is 0: it says nothing about which of two such layers is the safer one.
# The mean of the way needs no margin.
#
# ## The best of the cheap

# %% tags=["hide-input"]
from paper_lib.claims.cheaper_ranks import best_cheap
from paper_lib.figures.cheaper_ranks import harm_by_rank

best = best_cheap(rows)
show(
    harm_by_rank(best.quantity, harm, seeds),
    caption=f"WER change of test speech by the reset of a layer, over the layer's rank by {best.quantity.name}: of "
    f"all readings that cost less than two evaluations the one with the largest ρ at fixed depth. ρ = {best.rho:.2f}. "
    "A number is a layer. Dotted: 2 points. Chosen after the fact: another model may have another best.",
    alt=f"Points: word error rate change by the rank of a layer by {best.quantity.name}.",
    name="harm-by-rank",
)

# %% [markdown]
# ## Is one weight matrix enough?
#
# The paper's signature is one per weight matrix. The table has every one, as it is and relative to the matrix's own
# initial norm.

# %% tags=["hide-input"]
from paper_lib.claims import p_text
from paper_lib.figures.tables import table
from paper_lib.layers.cheap_ranks import matrices_relative, matrices_signed


def with_p(rho, p):
    return f"{rho:.2f} ({p_text(p)})"


table(
    [
        (
            signed.quantity.name,
            with_p(signed.rho, signed.p),
            with_p(signed.given_depth, signed.p_given_depth),
            with_p(relative.rho, relative.p),
            with_p(relative.given_depth, relative.p_given_depth),
        )
        for signed, relative in zip(
            ranked(matrices_signed(trainings), harm),
            ranked(matrices_relative(trainings, probes), harm),
            strict=True,
        )
    ],
    [
        "Matrix",
        "Signature, ρ",
        "At fixed depth",
        "Relative distance, ρ",
        "At fixed depth",
    ],
    "Rank correlation with the harm of the layer's reset, mean over trainings; p corrected over the matrices. A matrix "
    "begins with about the same norm in all layers, so that the two differ little.",
    folded="Signature and relative distance of every weight matrix",
)

# %% [markdown]
# ## How early is it there?
#
# The harm is that of the finished model. The signature was recorded all through training. The other readings of an
# *early* model are not shown: of early steps only the encoder's layers were kept, and early layers under a finished
# decoder are no model that ever was.

# %% tags=["hide-input"]
from paper_lib.figures.cheaper_ranks import how_early
from paper_lib.layers.cheap_ranks import early_signature

show(
    how_early([early_signature(trainings, harm)], "step"),
    caption="Spearman's ρ between the signature (mean over weight matrices) at a step of training and the harm in the "
    "finished model, mean over trainings.",
    alt="Two lines of the rank correlation against the training step, plain and at fixed depth.",
    name="early-signature",
)

# %% [markdown]
# ## What a server sees anyway
#
# In {term}`federated averaging` a server sees of each {term}`client` how far each layer has moved, and how far the
# clients of a {term}`round` agree (1 − {term}`disagreement`). Norms by layer are also what such updates are clipped by
# {cite}`pelikan2023enabling`. These are the rounds without dropout of {doc}`federated_dropout`, and the harm is that of
# resets in the model that the clients began with, on its own dev speech. We expected a layer to matter where clients
# move it far, and where they agree.

# %% tags=["hide-input"]
from paper_lib.federated.client_ranks import early_clients

rank_table(
    clients_rows,
    f"What a server sees of {len(clients)} federated training{'s' if len(clients) > 1 else ''}, means over the rounds, "
    "and the harm of resets in the model before. Columns as above.",
) if clients else paragraph(
    f"Of profile {shown.name} no clients' rounds have been measured."
)

# %% tags=["hide-input"]
show(
    how_early(early_clients(clients, clients_harm), "rounds"),
    caption="Spearman's ρ between what a server has seen, mean over the first rounds, and the harm of resets in the "
    "model that the clients began with; mean over trainings.",
    alt="For each reading two lines of the rank correlation against the number of rounds.",
    name="early-clients",
) if clients else None

# %% [markdown]
# ## What holds

# %% tags=["hide-input"]
from paper_lib.claims.findings import judge_cheaper_ranks
from paper_lib.figures.claims import beyond_table

beyond_table(
    judge_cheaper_ranks(records),
    "The paper makes no such claims. Their verdicts follow from the records, at fixed depth, and are not corrected for "
    "each other.",
)

# %% [markdown]
# ## What this does not show
#
# - A rank is no verdict: that a layer is {term}`ambient <ambient layer>` takes a reset of it, whatever its rank.
# - Ranks are of *single* layers. Two layers that can be spared one at a time may be missed together.
# - Trainings are few. Layers are the units of every test, so that this is about these trainings' layers; another size,
#   task or norm may have another best reading.
# - Block influence comes from language models whose layers add to a stream. A Conformer layer ends in a LayerNorm: it
#   hands on nothing as it was.
# - The Fisher information is the empirical one {cite}`kunstner2019limitations`: its labels are the reference texts. At
#   the end of training, gradients and their squares are small everywhere, and tell of what training has left undone as
#   much as of the layer.
# - Costs are counted by rules, and not by a clock. Memory is not counted: gradients need several times that of a reset.
#
# ## Ask yourself

# %% tags=["remove-input"]
summary.questions

# %% [markdown]
# ## Run it again
#
# ```
# python -m paper_lib chapter cheaper_ranks -p profile smoke
# ```
