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
# # Numerical signatures
#
# You will know whether the weights tell, without any reset, which layers matter, and how early they do.
#
# Resetting every layer of a trained model is an experiment of its own. Could one read from the training itself which
# layers matter?
#
# **The paper's hypothesis** (under *Numerical Signatures*): weights that change least during training are the least
# harmful to reset. For every weight matrix *m* of layer *l* take the distance that it has moved by step *t*, relative
# to the layer whose matrix of that kind moved farthest:
#
# <math display="block">
#   <msup><mi>s</mi><mrow><mi>m</mi><mo>,</mo><mi>l</mi></mrow></msup>
#   <mo stretchy="false">(</mo><mi>t</mi><mo stretchy="false">)</mo><mo>=</mo>
#   <mfrac>
#     <msub><mrow><mo>‖</mo>
#       <msup><mi>W</mi><mrow><mi>m</mi><mo>,</mo><mi>l</mi></mrow></msup>
#       <mo stretchy="false">(</mo><mi>t</mi><mo stretchy="false">)</mo><mo>−</mo>
#       <msup><mi>W</mi><mrow><mi>m</mi><mo>,</mo><mi>l</mi></mrow></msup>
#       <mo stretchy="false">(</mo><mn>0</mn><mo stretchy="false">)</mo>
#     <mo>‖</mo></mrow><mi>F</mi></msub>
#     <mrow><munder><mo>max</mo><mi>l′</mi></munder><msub><mrow><mo>‖</mo>
#       <msup><mi>W</mi><mrow><mi>m</mi><mo>,</mo><mi>l′</mi></mrow></msup>
#       <mo stretchy="false">(</mo><mi>t</mi><mo stretchy="false">)</mo><mo>−</mo>
#       <msup><mi>W</mi><mrow><mi>m</mi><mo>,</mo><mi>l′</mi></mrow></msup>
#       <mo stretchy="false">(</mo><mn>0</mn><mo stretchy="false">)</mo>
#     <mo>‖</mo></mrow><mi>F</mi></msub></mrow>
#   </mfrac>
# </math>
#
# **The paper's claims**: upper layers move more in all attention-related weights, convolutions about alike; the
# {term}`signature <numerical signature>` of attention emerges during training, is stable under {term}`seeds <seed>`, is
# less pronounced in smaller models, and shares features with the {term}`WER` after resets.

# %% tags=["parameters", "hide-input"]
profile = "quick"
seeds = None
sizes = ["S", "M", "L"]
matrices = [
    "ffn1.w1",
    "ffn1.w2",
    "attention.q",
    "attention.k",
    "attention.v",
    "attention.pos",
    "attention.out",
    "convolution.pointwise1",
    "convolution.depthwise",
    "convolution.pointwise2",
    "ffn2.w1",
    "ffn2.w2",
]
step = None

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("signatures", globals())

# %% tags=["remove-input", "in-short"]
from paper_lib.summaries import summarised

summary = summarised("signatures", dict(chapter.parameters))
summary.in_short

# %% [markdown]
# ## What is measured
#
# The trainings are those of {doc}`stability`. Each recorded the distance of every weight matrix from its initial value
# as it went along; the formula needs nothing else.

# %%
from paper_lib.layers.sweeps import Sweeps
from paper_lib.profiles import profile_of
from paper_lib.studies import signatures

chosen = chapter.parameters
profile_settings = profile_of(chosen.profile)
records = signatures(profile_settings, chosen.seeds, chosen.sizes).records()
of_size = {record.size: [] for record in records}
for record in records:
    of_size[record.size].append(record)
trainings = {
    size: [record.training.result for record in group]
    for size, group in of_size.items()
}
harm = {
    size: Sweeps.of([record.reset.result for record in group]).harm()
    for size, group in of_size.items()
}

# %% [markdown]
# ## Which layers move farthest?

# %% tags=["hide-input"]
import numpy as np

from paper_lib.figures.signatures import signature_maps
from paper_lib.figures.style import show
from paper_lib.layers.matrices import ATTENTION, CONVOLUTION
from paper_lib.layers.signature import (
    common_steps,
    signature,
    signatures_over_time,
)
from paper_lib.summaries.captions import farthest_moved

mean_signatures = {
    size: np.mean(
        [signature(run, chosen.matrices, chosen.step) for run in runs], axis=0
    )
    for size, runs in trainings.items()
}
when = f"step {chosen.step}" if chosen.step else "the end of training"
found = farthest_moved(
    {
        size: np.mean([signature(run, ATTENTION, chosen.step) for run in runs], (0, 1))
        for size, runs in trainings.items()
    }
)
show(
    signature_maps(mean_signatures, chosen.matrices),
    caption=f"{found} "
    f"Signatures at {when}, mean over the trainings of a size. A row is one weight matrix of the layer; 1 is "
    "the layer in which that matrix moved farthest.",
    alt=f"{found} "
    "For each model size a heat map of weight matrices by layers with the relative distance from "
    "initialisation.",
    name="signatures",
)

# %% [markdown]
# ## Through training
#
# Move the slider. Step 1 shows no signature, and cannot: Adam's first update moves every weight by about the learning
# rate, however large its gradient is, so that all layers move alike.

# %% tags=["hide-input"]
from paper_lib.explorers.signature import signature_slider

over_time = {
    size: signatures_over_time(runs, chosen.matrices).mean(0)
    for size, runs in trainings.items()
}
steps = {size: common_steps(runs) for size, runs in trainings.items()}
signature_slider(
    over_time,
    steps,
    chosen.matrices,
    caption="Signature by weight matrix and layer, mean over the trainings of a size, at the step of the slider. Every "
    "number was recorded at that step; nothing is interpolated.",
)

# %% [markdown]
# How pronounced is a signature? Take the layer that moved least. Its signature is 1 if all layers move alike, and near
# 0 if it hardly moved beside the others. One minus that number is the *spread*: 0 means alike, near 1 means unequal. A
# signature may come and go, so not only the ends are shown. Beside it: how much the signature of attention resembles
# the one that the *other* trainings end with ({term}`Spearman's ρ` over the layers). If the signature emerges during
# training, this begins low and rises.

# %% tags=["hide-input"]
from paper_lib.claims.signatures import resemblance
from paper_lib.figures.signatures import emergence
from paper_lib.layers.signature import spread


def spread_over_time(runs, matrices):
    """Returns the mean over matrices, [trainings, steps]."""
    return spread(signatures_over_time(runs, matrices)).mean(-1)


show(
    emergence(
        {
            size: {
                "spread, attention": spread_over_time(runs, ATTENTION),
                "spread, convolution": spread_over_time(runs, CONVOLUTION),
                "ρ with the others' end": resemblance(runs),
            }
            for size, runs in trainings.items()
        },
        steps,
    ),
    caption="Spread of the signatures of attention and of convolution matrices, mean over the matrices of a module, "
    "and resemblance of the attention signature with the end of the other trainings, by step. Thick: mean over "
    "trainings; thin: each.",
    alt="For each model size three curves over the training steps: the spread of the attention signature, that of the "
    "convolution signature, and the rank correlation with the other trainings' last signature.",
    name="emergence",
)

# %% [markdown]
# ## Does the signature tell the harm of a reset?
#
# This is what the paper's talk only hints at ("shares some features"). For every weight matrix: Spearman's ρ over the
# layers between its signature and the WER change by {term}`re-initialisation` of the layer, averaged over the
# trainings. If the hypothesis holds, ρ is positive: what moved less can be put back at less cost.
#
# The trainings of a size share their layers: a signature and a harm that have nothing to do with each other may go
# together by accident, and then they do in all trainings. So the *layers* are the units of the test: they are shuffled,
# in all trainings alike, and *p* is how often that gives as large a ρ ({term}`permutation test`). And both may follow
# from *where* a layer stands. The small mark below is ρ at fixed depth: what is left when a parabola in depth has been
# taken from both ranks.

# %% tags=["hide-input"]
from paper_lib.figures.signatures import correlation_over_time, correlations_at_depth
from paper_lib.layers.agreement import association, spearman
from paper_lib.layers.signature import correlation_with_harm
from paper_lib.summaries.captions import told_beyond_depth

correlations = {
    size: correlation_with_harm(runs, harm[size], chosen.matrices, chosen.step)
    for size, runs in trainings.items()
}
alone = {
    size: association(
        np.broadcast_to(np.arange(of_size.shape[1], dtype=float), of_size.shape),
        of_size,
    )[0]
    for size, of_size in harm.items()
}
found = told_beyond_depth(correlations, chosen.matrices)
show(
    correlations_at_depth(correlations, chosen.matrices, alone),
    caption=f"{found} Rank correlation over the layers between signature and WER change, mean over trainings; the "
    "line reaches from the least to the largest training. Filled: p < 0.05 (layers shuffled in all trainings alike, "
    "Benjamini-Hochberg over the matrices). Below it, smaller: the same at fixed depth. Dotted: depth alone, without "
    "any signature.",
    alt=f"{found} For each model size and weight matrix the rank correlation of signature and harm, and that at fixed "
    "depth.",
    name="signature-and-harm",
)

# %% tags=["hide-input"]
from paper_lib.figures.tables import table


def with_p(rho, p):
    return f"{rho:.2f} (p = {p:.2g})"


table(
    [
        (
            size,
            matrix,
            with_p(found.rho, found.p),
            with_p(found.given_depth, found.p_given_depth),
        )
        for size, of_size in correlations.items()
        for matrix, found in zip(chosen.matrices, of_size, strict=True)
    ],
    ["Size", "Matrix", "ρ with harm", "At fixed depth"],
    "The numbers of the figure. Harm by depth alone: "
    + ", ".join(f"{size} {rho:.2f}" for size, rho in alone.items())
    + ".",
    row_headers=2,
    folded="The numbers of the figure",
)

# %% tags=["hide-input"]
rho_over_time = {
    size: spearman(
        signatures_over_time(runs, chosen.matrices), harm[size][:, None, None]
    ).mean(0)
    for size, runs in trainings.items()
}
show(
    correlation_over_time(rho_over_time, steps, chosen.matrices),
    caption="The same correlation with the signature at every recorded step: how early could one have known? One line "
    "per weight matrix, mean over trainings. The WER changes are those of the finished model.",
    alt="For each model size lines of the rank correlation against the training step, coloured by module.",
    name="correlation-over-time",
)

# %% [markdown]
# The paper reads the signature of attention. Every matrix has one, and the small marks say which of them tell more than
# the layer's number, which is known without any training.
#
# Few layers make coarse ranks: by chance |ρ| exceeds 0.5 of sixteen layers, and 0.8 of six, about one time in twenty.
# Step 1 has a ρ too, of differences that are far too small to see: Adam moves all layers alike there. A line that is
# high soon after, and stays so, says that the order of the layers is *there from the beginning*, as it would be if it
# came from where a layer stands and not from what it learns.
#
# ## When does a layer become critical?
#
# A reset to step 0 takes away all that a layer has learnt. With the weights that the layer had after *some* steps, it
# is {term}`rewound <rewinding>` (Zhang, Bengio & Singer 2019): that takes away only what it has learnt since. The paper
# does not do this. A layer that may be rewound to step *t* without harm had by then all that the finished model needs
# of it, whatever it went on to do. And where a layer is critical at step 0 and soon not any more, it is the first steps
# that count: too few for its signature to have shown anything.

# %% tags=["hide-input"]
from paper_lib.figures.markup import paragraph
from paper_lib.figures.rewinding import rewinding_maps
from paper_lib.layers.ranking import CLASSES, reinitialised

rewound = {}
for size, group in of_size.items():
    kept = [record for record in group if record.rewound]
    if kept:
        by_step = {0: [record.reset for record in kept]} | {
            step: [record.rewound[step] for record in kept] for step in kept[0].rewound
        }
        rewound[size] = {
            step: reinitialised(Sweeps.of([record.result for record in of_step]))
            for step, of_step in by_step.items()
        }
nothing = paragraph(
    f"Of profile {profile_settings.name} no layer has been rewound: this question stays open here."
)


def counts(effects):
    """Returns how many layers are of each class."""
    classes = [effect.classification for effect in effects]
    return [classes.count(name) for name in CLASSES]


ambient = "; ".join(
    f"{size}, of {len(by_step[0])} layers, "
    + ", ".join(f"{counts(by_step[step])[0]} at step {step}" for step in by_step)
    for size, by_step in rewound.items()
)
show(
    rewinding_maps(rewound),
    caption="WER change, in points, with one layer put back to the weights that it had at a step of its training; step "
    "0 is re-initialisation. Mean over the trainings whose weights were kept. Framed: critical. Ambient are: "
    f"{ambient}.",
    alt="For each model size a heat map of layers by the step that a layer is rewound to, with the change in word "
    f"error rate. Ambient are: {ambient}.",
    name="rewinding",
) if rewound else nothing

# %% tags=["hide-input"]
table(
    [
        (
            size,
            step,
            *counts(effects),
            f"{100 * np.mean([e.change.value for e in effects]):+.1f}",
            f"{100 * max(e.change.value for e in effects):+.1f}",
        )
        for size, by_step in rewound.items()
        for step, effects in by_step.items()
    ],
    [
        "Size",
        "Rewound to step",
        *(name.capitalize() for name in CLASSES),
        "Mean change, points",
        "Largest change, points",
    ],
    "Layers by class and by the step that they are rewound to, with intervals that hold together for all layers of a "
    "model (Bonferroni), and the WER change. With the weights of the last step it is 0: nothing is put back.",
    row_headers=2,
    folded="Classes of layers by the step that they are rewound to",
) if rewound else None

# %% [markdown]
# ## Resetting one module at a time
#
# The paper suggests ablations by module and leaves them to others. Here each of the four modules of every layer is
# re-initialised alone: first feed-forward, attention, convolution, second feed-forward.

# %% tags=["hide-input"]
from paper_lib.figures.signatures import module_maps
from paper_lib.layers.ranking import layer_effects

of_modules = {
    size: reset
    for size, group in of_size.items()
    if (reset := [record for record in group if record.modules])
}
module_effects = {
    size: layer_effects(Sweeps.of([record.modules.result for record in group]))
    for size, group in of_modules.items()
}
show(
    module_maps(module_effects),
    caption="WER change, in points, by the re-initialisation of one module of one layer, everything else as trained.",
    alt="For each model size a heat map of modules by layers with the change in word error rate.",
    name="module-resets",
) if module_effects else paragraph(
    f"Of profile {profile_settings.name} no module has been reset alone."
)

# %% tags=["hide-input"]
from paper_lib.layers.variants import MODULES

rows = []
for size, effects in module_effects.items():
    # Of the trainings whose modules were reset, as the modules' own.
    layers = Sweeps.of([record.reset.result for record in of_modules[size]])
    whole = layers.harm().mean(0).sum()
    for module in MODULES:
        own = [effect for effect in effects if effect.module == module]
        total = sum(effect.change.value for effect in own)
        rows.append(
            (
                size,
                module,
                *counts(own),
                f"{100 * total / len(own):+.1f}",
                f"{total / whole:.2f}" if whole else "–",
            )
        )
table(
    rows,
    [
        "Size",
        "Module",
        *(name.capitalize() for name in CLASSES),
        "Mean change, points",
        "Of the layer's",
    ],
    "Modules by class, over the layers, with intervals that hold together for all modules of a model (Bonferroni), and "
    "the mean WER change beside that of the whole layer's reset in the same trainings.",
    row_headers=2,
) if rows else None

# %% [markdown]
# If the modules of a layer harmed independently, the last column would add up to 1 within a size. Less: the modules
# cover for each other, and only together they are missed. More: a module fits its neighbours in the layer so closely
# that the layer is better put back as a whole.
#
# ## What agrees with the paper, and what does not

# %% tags=["hide-input"]
from paper_lib.claims.findings import judge_signatures
from paper_lib.figures.claims import claims_table

claims_table(
    judge_signatures(records),
    "The paper's claims beside this page's measurements; verdicts are computed from the records.",
)

# %% [markdown]
# ## What this does not show
#
# - A distance in weights is no distance in function. A matrix may move far along a direction that changes nothing.
# - The initial scale of a matrix is the same in all layers here, so that distances of one kind compare; other
#   initialisations would need a relative distance.
# - That signature and harm correlate does not make one the reason of the other.
# - One layer is rewound at a time, the others stay as trained. That all of them could be rewound together is not said.
# - The {term}`streaming model`, in which the paper sees a dip at layer 4, is no part of this chapter.
#
# ## Ask yourself

# %% tags=["remove-input"]
summary.questions

# %% [markdown]
# ## Run it again
#
# ```
# python -m paper_lib chapter signatures -p step 250 -p matrices attention.q,attention.k
# ```
