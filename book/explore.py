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
# # Explore the layers
#
# All the other chapters chose what to show. Here you do. Both explorers below hold what the models of this book did,
# and nothing else: every number was measured, none is interpolated. They need no network. Two more stand where they
# belong: the *signature through training* in {doc}`signatures`, and the *planner* of {doc}`comparable_plans`.

# %% tags=["parameters", "hide-input"]
profile = "quick"
utterances = 8

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("explore", globals())

# %% [markdown]
# ## One layer at a time
#
# Choose a model, then a column: the layer whose reset made it. With the keyboard, the arrow keys move from layer to
# layer. Blue is an {term}`ambient <ambient layer>` layer, red a {term}`critical <critical layer>` one, grey is
# {term}`not resolved <unresolved layer>` ({doc}`model_size` says by which test). Below the columns: what the layer's
# modules do when each is reset alone, and how far the layer's weights moved in training (its
# {term}`signature <numerical signature>`). Is the layer that moved least the one that can be reset?

# %%
from paper_lib.profiles import profile_of
from paper_lib.studies import explore

chosen = chapter.parameters
settings = profile_of(chosen.profile)
records = explore(settings).records()

# %% tags=["hide-input"]
from paper_lib.explorers.layers import ExploredModel, layer_explorer
from paper_lib.layers.ranking import intact_wer, layer_effects
from paper_lib.layers.signature import signature
from paper_lib.layers.sweeps import Sweeps

models = [
    ExploredModel(
        size=model.size,
        norm=model.norm,
        seed=model.seed,
        intact=intact_wer(Sweeps.of([model.reset.result])),
        layers=layer_effects(Sweeps.of([model.reset.result])),
        modules=layer_effects(Sweeps.of([model.modules.result]))
        if model.modules
        else [],
        signature=signature(model.training.result),
    )
    for model in records
]
layer_explorer(
    models,
    caption="WER on the test speech with one layer reset, of one training; dashed: the intact model. Whiskers and "
    "brackets: 95 % intervals over the speakers, for changes simultaneous over the layers (or the modules). "
    "Signatures are those of the end of training.",
)

# %% tags=["remove-input", "in-short"]
from paper_lib.figures.markup import in_short
from paper_lib.summaries.making import sweep_in_short
from paper_lib.summaries.words import counted

*_, last = dict.fromkeys(model.size for model in models)
opened = next(model for model in models if model.size == last)
in_short(
    [
        f"{counted(len(models), 'trained model')} to take apart, layer by layer.",
        *sweep_in_short(
            f"Conformer{opened.size}",
            opened.intact,
            [e for e in opened.layers if e.kind == "re-initialisation"],
        ),
    ]
)

# %% [markdown]
# ## What the model hears
#
# Choose a sentence, listen, and reset a layer. The sentences are the first of the test speech by name; nobody picked
# them. Words that were said and not heard are struck out, words that were heard and not said are underlined.

# %% tags=["hide-input"]
from paper_lib.corpus import open_corpus
from paper_lib.evaluation import Spoken
from paper_lib.explorers.hearing import HeardUtterance, Transcripts, hearing

sweeps = {
    model.size: model.reset.result
    for model in records
    if model.seed == 0 and model.norm == settings.models[model.size].encoder.norm_name
}
corpus = open_corpus(settings.corpus)
spoken = Spoken.read(next(iter(sweeps.values())))
names = sorted(spoken.ids)[: chosen.utterances]
places = [spoken.ids.index(name) for name in names]
hearing(
    [
        HeardUtterance(
            spoken.references[place],
            spoken.speakers[place],
            corpus.waveform(spoken.ids[place]),
        )
        for place in places
    ],
    {size: Transcripts.of(result, names) for size, result in sweeps.items()},
    caption="Transcripts by the first training of every size, intact and with one layer reset. Re-randomised: the "
    "first draw. The spectrogram shows what the model sees, before each band is normalised.",
)

# %% [markdown]
# ## What this does not show
#
# - A single sentence shows *how* a model fails, not how often. The columns above do that.
# - A combination that the menus do not offer was not trained.
# - Modules were reset in some of the trainings only; elsewhere the table says *not measured*.
#
# In JupyterLab the same questions can be asked of a real model, with your own sentences: `make lab` opens the notebook
# `live.ipynb`, which comes with a trained model.
#
# ## Run it again
#
# ```
# python -m paper_lib chapter explore -p profile quick -p utterances 16
# ```
