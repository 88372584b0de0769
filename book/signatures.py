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
# Resetting every layer of a trained model is an experiment of its own. Could one read from the training itself which
# layers matter?
#
# **The paper's hypothesis** (slides *Numerical Signatures*): weights that change least during training are the least
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
modules = [
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

# %% [markdown]
# ## What is measured
#
# The trainings are those of {doc}`stability`. Each recorded the distance of every weight matrix from its initial value
# as it went along; the formula needs nothing else.

# %%
from paper_lib.profiles import profile_of
from paper_lib.studies import signatures

chosen = chapter.parameters
records = signatures(profile_of(chosen.profile), chosen.seeds, chosen.sizes).records()
of_size = {
    size: [record for record in records if record.size == size] for size in chosen.sizes
}
trainings = {
    size: [record.training.result for record in group]
    for size, group in of_size.items()
}
sweeps = {
    size: [record.reset.result for record in group] for size, group in of_size.items()
}

# %% [markdown]
# ## The picture of the slide

# %% tags=["hide-input"]
import numpy as np

from paper_lib.figures.signatures import signature_maps
from paper_lib.figures.style import show
from paper_lib.layers.signatures import signature, signatures_over_time

mean_signatures = {
    size: np.mean([signature(run, chosen.modules, chosen.step) for run in runs], axis=0)
    for size, runs in trainings.items()
}
when = f"step {chosen.step}" if chosen.step else "the end of training"
show(
    signature_maps(mean_signatures, chosen.modules),
    caption=f"Signatures at {when}, mean over the trainings of a size. A row is one weight matrix of the layer; 1 is "
    "the layer in which that matrix moved farthest.",
    alt="For each model size a heat map of weight matrices by layers with the relative distance from initialisation.",
    name="signatures",
)

# %% [markdown]
# ## Through training
#
# Move the slider: at the first recorded step all layers have hardly begun.

# %% tags=["hide-input"]
from paper_lib.explorers.signature import signature_slider

over_time = {
    size: np.mean([signatures_over_time(run, chosen.modules) for run in runs], axis=0)
    for size, runs in trainings.items()
}
steps = {size: runs[0]["distance_steps"] for size, runs in trainings.items()}
signature_slider(
    over_time,
    steps,
    chosen.modules,
    caption="Signature by weight matrix and layer, mean over the trainings of a size, at the step of the slider. Every "
    "number was recorded at that step; nothing is interpolated.",
)

# %% [markdown]
# How pronounced is a signature? Its *spread* is 1 less the signature of the layer that moved least: 0 if all layers
# move alike.

# %% tags=["hide-input"]
from paper_lib.figures.tables import table
from paper_lib.layers.matrices import ATTENTION, CONVOLUTION
from paper_lib.layers.signatures import spread

rows = []
for size, runs in trainings.items():
    for name, matrices in (("attention", ATTENTION), ("convolution", CONVOLUTION)):
        at = [
            [spread(signature(run, matrices, t)).mean() for run in runs]
            for t in (steps[size][0], steps[size][-1])
        ]
        rows.append(
            (
                size,
                name,
                *(f"{np.mean(v):.2f} ({min(v):.2f} to {max(v):.2f})" for v in at),
            )
        )
table(
    rows,
    ["Size", "Matrices", "Spread at the first recorded step", "Spread at the end"],
    "Spread of the signatures, mean over the matrices of a module and over trainings; in brackets the least and the "
    "largest training.",
    row_headers=2,
)

# %% [markdown]
# ## Does the signature tell the harm of a reset?
#
# This is what the slides only hint at ("shares some features"). For every weight matrix: {term}`Spearman's ρ` over the
# layers between its signature and the WER change by {term}`re-initialisation` of the layer, averaged over the
# trainings. If the hypothesis holds, ρ is positive: what moved less can be put back at less cost.

# %% tags=["hide-input"]
from paper_lib.figures.signatures import correlation_intervals, correlation_over_time
from paper_lib.layers.changes import spearman
from paper_lib.layers.signatures import correlation_with_harm, harm

correlations = {
    size: correlation_with_harm(
        trainings[size], sweeps[size], chosen.modules, chosen.step
    )
    for size in trainings
}
show(
    correlation_intervals(correlations, chosen.modules),
    caption="Rank correlation over the layers between signature and WER change, mean over trainings. Interval: 95 % "
    "bootstrap over test utterances and, from three trainings on, over trainings. Filled: p < 0.05 (exact tests of "
    "Kendall's τ > 0 in each training, combined by Fisher's method, Benjamini-Hochberg over the matrices).",
    alt="For each model size and weight matrix the rank correlation of signature and harm with its interval.",
    name="signature-and-harm",
)

# %% tags=["hide-input"]
rho_over_time = {
    size: np.mean(
        [
            spearman(signatures_over_time(run, chosen.modules), harm(sweep))
            for run, sweep in zip(runs, sweeps[size], strict=True)
        ],
        axis=0,
    )
    for size, runs in trainings.items()
}
show(
    correlation_over_time(rho_over_time, steps, chosen.modules),
    caption="The same correlation with the signature at every recorded step: how early could one have known? One line "
    "per weight matrix, mean over trainings. The WER changes are those of the finished model.",
    alt="For each model size lines of the rank correlation against the training step, coloured by module.",
    name="correlation-over-time",
)

# %% [markdown]
# Six or seven layers make coarse ranks: in one training |ρ| exceeds 0.8 by chance about one time in twenty. A line
# that is high from the first step on says that the order of the layers is *already there*, as it would be if it came
# from where a layer stands and not from what it learns.
#
# ## Resetting one module at a time
#
# The paper suggests ablations by module and leaves them to others. Here each of the four modules of every layer is
# re-initialised alone: first feed-forward, attention, convolution, second feed-forward.

# %% tags=["hide-input"]
from paper_lib.figures.signatures import module_maps
from paper_lib.layers.ranking import layer_effects, pooled

module_results = {
    size: pooled([record.modules.result for record in group if record.modules])
    for size, group in of_size.items()
}
module_effects = {
    size: layer_effects(result) for size, result in module_results.items()
}
show(
    module_maps(module_effects),
    caption="WER change, in points, by the re-initialisation of one module of one layer, everything else as trained.",
    alt="For each model size a heat map of modules by layers with the change in word error rate.",
    name="module-resets",
)

# %% tags=["hide-input"]
from paper_lib.layers.ranking import CLASSES
from paper_lib.layers.variants import MODULES

rows = []
for size, effects in module_effects.items():
    whole = sum(harm(sweeps[size][0]))
    for module in MODULES:
        own = [effect for effect in effects if effect.module == module]
        counts = [
            sum(effect.classification == name for effect in own) for name in CLASSES
        ]
        total = sum(effect.change.value for effect in own)
        rows.append(
            (
                size,
                module,
                *counts,
                f"{100 * total / len(own):+.1f}",
                f"{total / whole:.2f}",
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
    "the mean WER change beside that of the whole layer's reset (seed 0).",
    row_headers=2,
)

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
    "The claims of the slides beside this page's measurements; verdicts are computed from the records.",
)

# %% [markdown]
# ## What this does not show
#
# - A distance in weights is no distance in function. A matrix may move far along a direction that changes nothing.
# - The initial scale of a matrix is the same in all layers here, so that distances of one kind compare; other
#   initialisations would need a relative distance.
# - That signature and harm correlate does not make one the reason of the other.
# - The {term}`streaming model`, on whose slide layer 4 dips, is no part of this chapter.
#
# ## Run it again
#
# ```
# python -m paper_lib chapter signatures -p step 250 -p modules attention.q,attention.k
# ```
