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
# # Sets of layers
#
# You will know how many layers can be reset together, and whether the harm of two is the sum of what each does.
#
# Ranks are of single layers, one reset at a time. Plans are of sets: Federated Dropout drops more in four layers *at
# once*, others freeze half a model. So a plan rests on something that the paper does not measure: that layers which can
# be reset one by one can be reset together.

# %% tags=["parameters", "hide-input"]
profile = "quick"

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("layer_sets", globals())

# %% tags=["remove-input", "in-short"]
from paper_lib.summaries import summarised

summary = summarised("layer_sets", dict(chapter.parameters))
summary.in_short

# %% tags=["hide-input"]
from paper_lib.claims.layer_sets import ambient_together
from paper_lib.figures.markup import paragraph
from paper_lib.layers.orders import GREEDY, SINGLE, largest_ambient
from paper_lib.layers.sets import pairs_of
from paper_lib.profiles import profile_of
from paper_lib.studies.beyond import SIZE, profile_beyond
from paper_lib.studies.layer_sets import layer_sets
from paper_lib.summaries.layer_sets import each, told

own = profile_of(chapter.parameters.profile)
shown = profile_beyond(own)
records = layer_sets(shown).records()
models = [record.searched for record in records]
layers = models[0].heard.layers

seeds = each(models, lambda model: model.seed)
paragraph(
    f"Models are of size {SIZE}, from the seed{'s' if len(models) > 1 else ''} {seeds}.",
    *(
        [
            f"Profile {own.name} measures nothing beyond the paper: these are the published records of {shown.name}."
        ]
        if own.name != shown.name
        else []
    ),
)

# %% [markdown]
# ## What is measured
#
# The trained models are of those of size S of {doc}`model_size`. A profile names their seeds, and did so before any set
# was reset; shown are those of which all is measured. Sets of their layers are
# {term}`re-initialised <re-initialisation>` together: every layer of a set gets its weights of step 0, all others stay
# as trained.
#
# What is chosen is chosen on *dev* speech, and what is told of it is measured on *test* speech, by other speakers. That
# matters: whoever takes the best of many sets takes one whose errors chance made few. Which layers are
# {term}`ambient <ambient layer>` alone is decided on dev speech too, by the rule of {doc}`model_size`.
#
# A set's {term}`WER` change is that of one trained model. So intervals on this page are over speakers, for each
# training by itself, unless they say otherwise.
#
# ## Does harm add up?
#
# If it did, the reset of two layers would add what the two resets add alone. What is left is the
# {term}`interaction`:
#
# <math display="block">
#   <msub><mi>I</mi><mrow><mi>i</mi><mi>j</mi></mrow></msub><mo>=</mo>
#   <msub><mi>Δ</mi><mrow><mi>i</mi><mi>j</mi></mrow></msub><mo>−</mo>
#   <mo stretchy="false">(</mo><msub><mi>Δ</mi><mi>i</mi></msub><mo>+</mo><msub><mi>Δ</mi><mi>j</mi></msub>
#   <mo stretchy="false">)</mo>
# </math>
#
# where Δ is a WER change. Above 0, a pair does more harm than its parts. Below 0 it does less, and often has to: few
# words are left to mishear when either of two layers alone makes most of them wrong.

# %% tags=["hide-input"]
import numpy as np

from paper_lib.figures.layer_sets import pair_maps
from paper_lib.figures.style import show
from paper_lib.layers.sets import set_effects, signs

pairs = pairs_of(range(1, layers + 1))
effects = {model.seed: set_effects(model.heard, pairs) for model in models}
of_seed = {seed: signs(of) for seed, of in effects.items()}
single = [(layer,) for layer in range(1, layers + 1)]
harm = np.mean([model.heard.harm([*single, *pairs]) for model in models], axis=0)
interaction = np.mean([[e.beyond.value for e in of] for of in effects.values()], axis=0)
agreed = [
    signs_of[0] if len(set(signs_of)) == 1 else 0
    for signs_of in zip(*of_seed.values(), strict=True)
]
show(
    pair_maps(
        dict(zip([*single, *pairs], harm, strict=True)),
        dict(zip(pairs, interaction, strict=True)),
        dict(zip(pairs, agreed, strict=True)),
        layers,
    ),
    caption=f"WER change with two layers of Conformer{SIZE} re-initialised, on the diagonal with one; and what of it "
    "is beyond the sum of the two alone. Mean over trainings, of which there "
    f"{'are' if len(models) > 1 else 'is'} {len(models)}. + and −: more and less than the sum in every training, "
    "by tests over speakers that hold together for all pairs of a training (Holm). So are "
    f"{agreed.count(1)} and {agreed.count(-1)} of the {len(pairs)} pairs.",
    alt="Two maps of layers by layers: the change in word error rate when both are reset, and what of it the sum of "
    "the single changes does not tell.",
    name="pair-maps",
)

# %% tags=["hide-input"]
from paper_lib.figures.tables import table
from paper_lib.layers.sets import neighbours


def counts(model, sets):
    """Returns how many sets there are, do more and less than their sum, and are ambient."""
    if not sets:
        return 0, "–", "–", "–"
    effects = set_effects(model.heard, sets)
    found = signs(effects)
    ambient = [effect.classification for effect in effects].count("ambient")
    return len(sets), found.count(1), found.count(-1), ambient


table(
    [
        (model.seed, name, *counts(model, sets))
        for model in models
        for name, sets in {
            "all pairs": pairs,
            "pairs of layers that are ambient alone": pairs_of(model.ambient),
            "three neighbours": neighbours(layers, 3),
        }.items()
    ],
    ["Seed", "Sets", "Number", "More than the sum", "Less", "Ambient together"],
    "Sets of two and three layers, by training. More and less: tests of the interaction over speakers, together for "
    "the sets of a row (Holm). Ambient: the WER change is below 2 points, by intervals that hold together for the row "
    "(Bonferroni): a row of fewer sets may so have more of them. What is neither more nor less is not shown to be the "
    "sum: that is what these data cannot tell.",
    row_headers=2,
)

# %% [markdown]
# ## Can harm of pairs be foretold?
#
# A plan-maker knows single layers. Is their sum enough to put pairs in order, whatever it misses of their size? And is
# it *neighbours* that depend on each other, or do layers that are far apart? Both are {term}`rank correlations
# <Spearman's ρ>` over pairs. But pairs are no units, for each layer is in many of them: the tests shuffle layers, and
# every pair goes where its layers go {cite}`mantel1967detection`.

# %% tags=["hide-input"]
from paper_lib.figures.tables import p_value
from paper_lib.layers.pairs import pair_association

together = np.array([model.heard.harm(pairs) for model in models])
expected = np.array([model.heard.expected(pairs) for model in models])
apart = np.array([[other - one for one, other in pairs] for _ in models], float)
foretold = pair_association(together, expected, layers)
single_harms = [
    model.heard.harm([(layer,) for layer in range(1, layers + 1)]) for model in models
]
products = np.array(
    [[of[one - 1] * of[other - 1] for one, other in pairs] for of in single_harms]
)
of_product, *_ = pair_association(products, apart, layers, True)
rows = [
    (
        "harm of a pair",
        "sum of the single harms",
        "above 0",
        f"{foretold[0]:.2f}",
        p_value(foretold[1]),
    )
]
for name, given in (("", False), (", beyond a term for each layer", True)):
    rho, above, below = pair_association(together - expected, apart, layers, given)
    either = min(1.0, 2 * min(above, below))
    rows.append(
        (
            f"interaction{name}",
            "distance in layers",
            "not 0",
            f"{rho:.2f}",
            p_value(either),
        )
    )
table(
    rows,
    ["Of pairs", "With", "Tested that ρ is", "ρ, mean over trainings", "p"],
    "Spearman's ρ over pairs. In the last row, what one term for each layer tells of both ranks is taken out: a layer "
    "that goes ill with all others says nothing of distance, though layers at the ends have the farthest partners. A "
    "sum of terms takes out no product: that of the single harms, which knows nothing of distance, has "
    f"ρ = {of_product:.2f} with it by the same test. So the last row is not distance alone.",
    row_headers=2,
)

# %% [markdown]
# ## Choose layers
#
# Two layers of your choice, or three neighbours.

# %% tags=["hide-input"]
from paper_lib.explorers.sets import ExploredSets, set_explorer
from paper_lib.inference import rate
from paper_lib.inference import together as confidence_of

triples = neighbours(layers, 3)
set_explorer(
    [
        ExploredSets(
            model.seed,
            [
                rate(model.heard.added[one][None], model.heard.words).estimate(
                    confidence_of(layers)
                )
                for one in single
            ],
            set_effects(model.heard, [*pairs, *triples]),
        )
        for model in models
    ],
    caption=f"WER change of Conformer{SIZE} with layers re-initialised. Brackets: intervals over the speakers of the "
    "test, for one training; they hold together for all sets that can be chosen, and for all single layers (95 %, "
    "Bonferroni).",
)

# %% [markdown]
# ## How many layers can be reset together?
#
# A greedy search begins with no layer. Again and again it resets one more: the one which, with those that it has, gives
# the fewest word errors on dev speech. It stops when all are reset. For 16 layers that takes 136 evaluations, where all
# sets would take 65,536. Nothing says that it finds the best sets; it finds sets that are good on speech which it saw.
#
# Two other orders stand beside it. *Single ranks* take the layers from the least harmful alone on, as plans do.
# *Random* is the mean of three orders by lot.

# %% tags=["hide-input"]
from paper_lib.figures.layer_sets import nested_sets
from paper_lib.layers.orders import nested_changes

show(
    nested_sets(
        {
            f"seed {model.seed}": {
                order: nested_changes(model, order) for order in model.orders
            }
            for model in models
        }
    ),
    caption=f"WER change on test speech against the number of layers of Conformer{SIZE} that are re-initialised "
    "together, by the order in which they join the set. Orders were made on dev speech. Grey: within the margin of 2 "
    "points; the scale is logarithmic beyond. Intervals over speakers hold together for all sizes. Sets end where "
    "those of the search leave most words wrong. Ambient together are up to "
    f"{each(models, lambda model: largest_ambient(model, GREEDY))} layers by the search, "
    f"{each(models, lambda model: largest_ambient(model, SINGLE))} by single ranks "
    f"(seed{'s' if len(models) > 1 else ''} {seeds}).",
    alt="For each training three curves that rise with the number of layers that are reset together.",
    name="nested-sets",
)

# %% tags=["hide-input"]
from paper_lib.figures.margins import MARGINS

table(
    [
        (
            model.seed,
            order,
            ", ".join(map(str, model.orders[order][0])),
            *(largest_ambient(model, order, margin) for margin in MARGINS),
        )
        for model in models
        for order in (GREEDY, SINGLE)
    ],
    ["Seed", "Order", "Layers", *(f"{100 * margin:g}" for margin in MARGINS)],
    "The largest set that is ambient together on test speech, in layers, by the margin in points below which a WER "
    "change counts as no harm (the last columns). A set of so many layers is the first so many of the order.",
    row_headers=2,
)

# %% tags=["hide-input"]
from paper_lib.layers.ranking import reinitialised
from paper_lib.layers.sweeps import Sweeps

table(
    [
        (
            record.seed,
            len(model.ambient),
            sum(
                effect.classification == "ambient"
                for effect in reinitialised(Sweeps.of([record.reset.result]))
            ),
            told(ambient_together(model)),
            largest_ambient(model, SINGLE),
            largest_ambient(model, GREEDY),
        )
        for record, model in zip(records, models, strict=True)
    ],
    [
        "Seed",
        "Ambient alone, dev",
        "Ambient alone, test",
        "The former together, test [95 %]",
        "Largest ambient set, single ranks",
        "Largest ambient set, search",
    ],
    f"What single resets promise and what sets keep, of {layers} layers at a margin of 2 points.",
)

# %% [markdown]
# How much does a search flatter itself? Its sets did best on the speech that it saw; the test has other speakers.

# %% tags=["hide-input"]
table(
    [
        (
            model.seed,
            size,
            f"{100 * model.dev_changes[size - 1]:+.1f}",
            f"{100 * nested_changes(model, GREEDY)[size - 1].value:+.1f}",
        )
        for model in models
        for size in range(1, model.sizes + 1)
    ],
    ["Seed", "Layers", "On dev speech, points", "On test speech, points"],
    "WER change of the sets of the search, on the speech that it searched on and on the test.",
    row_headers=2,
    folded="What the search promised, and what it kept",
)

# %% [markdown]
# ## Neighbours in each other's place
#
# A reset takes away what a layer has learnt. An exchange takes nothing away: layer *i* and the next keep their weights
# and change places. If neighbours do about the same to what passes them, it should hardly matter.

# %% tags=["hide-input"]
from paper_lib.figures.layer_sets import exchange_columns
from paper_lib.layers.sets import exchange_effects

exchanged = {f"seed {model.seed}": exchange_effects(model.heard) for model in models}
harmful = "; ".join(
    f"{', '.join(f'{e.layer}↔{e.layer + 1}' for e in of if e.classification == 'critical') or 'none'} ({training})"
    for training, of in exchanged.items()
)
harmless = ", ".join(
    f"{sum(e.classification == 'ambient' for e in of)} of {len(of)} ({training})"
    for training, of in exchanged.items()
)
show(
    exchange_columns(exchanged),
    caption=f"Exchanges that do harm, above 2 points with confidence: {harmful}. Within 2 points with confidence: "
    f"{harmless}. WER change with two neighbours in each other's place, and with both "
    "re-initialised. Whiskers: intervals over speakers that hold together for all places of a training. Grey: within "
    "the margin of 2 points; the scale is logarithmic beyond.",
    alt="Pairs of columns by place in the stack: the change in word error rate with neighbours exchanged, and with "
    "both reset.",
    name="exchanges",
)

# %% [markdown]
# ## What it comes to
#
# The paper says nothing of this. These are claims that a user of its ranks might make.

# %% tags=["hide-input"]
from paper_lib.claims.layer_sets import judge
from paper_lib.figures.claims import beyond_table

beyond_table(
    judge(models),
    "Claims beyond the paper beside this page's measurements; verdicts are computed from the records. They are about "
    "the trainings that were measured, each by itself.",
)

# %% [markdown]
# ## What this does not show
#
# - Sets are of one size, S, and of few trainings. Another training has other weights and may have other sets.
# - A greedy search is no proof: a larger ambient set may exist that no step of it leads to.
# - A reset layer is the worst that a plan can do. Layers that are dropped in part, or frozen, lose less.
# - The model was not trained on after the resets. Training may mend what sets have broken.
# - Interactions of layers whose reset alone leaves most words wrong say little: a WER of about 100 % cannot rise much.
#
# ## Ask yourself

# %% tags=["remove-input"]
summary.questions

# %% [markdown]
# ## Run it again
#
# ```
# python -m paper_lib run --study layer_sets --profile laptop
# ```
