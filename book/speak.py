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
# # Speak to it

# %% tags=["parameters", "hide-input"]
profile = "quick"

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("speak", globals())

# %% tags=["hide-input"]
from paper_lib.browser.export import PLACES, recogniser_script
from paper_lib.browser.sentences import prepare, sentences_for
from paper_lib.browser.synthesis import synthesiser_script
from paper_lib.figures.markup import paragraph
from paper_lib.figures.tables import percent
from paper_lib.layers.variants import KINDS
from paper_lib.widgets.shipped import load_shipped

SENTENCES = 6  # of each model, each by two voices

models = {name: load_shipped(path) for name, path in PLACES.items()}
prepared = {
    name: prepare(shipped, sentences_for(shipped, SENTENCES, seed=0))
    for name, shipped in models.items()
}
sizes = len(recogniser_script().encode()), len(synthesiser_script().encode())
encoder = models["sentences"].run.model.encoder
weights = sum(weight.numel() for weight in models["sentences"].model.parameters())
everything = prepared["sentences"]
words = sum(len(p.text.split()) for p in everything)
intact = sum(p.errors() for p in everything)
errors = [
    sum(p.errors(KINDS[0], layer) for p in everything)
    for layer in range(1, encoder.layers + 1)
]
worst, least = errors.index(max(errors)) + 1, errors.index(min(errors)) + 1
for spoken in prepared.values():
    # A sentence that is understood, until this layer is reset, comes first.
    spoken.sort(key=lambda p: p.errors() - p.errors(KINDS[0], worst))
card = models["words"].card
paragraph(
    f"A recogniser of {encoder.layers} Conformer layers and {weights:,} weights runs in this page, in your "
    f"browser; nothing that you say leaves your machine. It is {sizes[0] / 1e6:.1f} MB and is loaded when you ask for "
    "it. "
    f"Of the {words} words of its prepared sentences it makes {intact} errors; with layer {worst} put back to its "
    f"first weights it makes {errors[worst - 1]}, and {errors[least - 1]} with layer {least}. A second model "
    f"understands people who say one of {len(card.words)} words: on people it never heard its WER is "
    f"{percent(card.test_wer)} %.",
    name="in-short",
)

# %% [markdown]
# ## Try it
#
# 1. Press *Load the recogniser*. It then hears the sentence that the menus name, and writes what it heard: intact, and
#    with one layer reset.
# 2. Choose another layer, or *each in turn*. Which reset hurts most, which not at all?
# 3. Choose another voice. Of each sentence one voice is *known*, heard in training, and one is *new*.
# 4. Type a sentence of your own, of the same kind or of another one, and press *Say it*: the synthesiser that spoke the
#    training speech says it in the page. Which words has the model learnt as words, which does it only spell?
# 5. Choose the model of *single words*, press *Speak yourself*, say two or three of its words with short pauses, and
#    press *Stop*. A recording from a file works, too. Does the layer that you can do without differ from your
#    neighbour's?
#
# Words that were said and not heard are struck out, words that were heard and not said are underlined. Of your own
# voice nobody wrote down what you said, so there the resets are compared with the intact model.

# %% tags=["hide-input"]
from paper_lib.browser.panel import speak_panel

speak_panel(
    prepared,
    models,
    {
        "sentences": "sentences, by synthetic voices",
        "words": "single words, by people",
    },
    worst,
    sizes,
    caption=f"The models that come with the library. The first sentence is the one that the reset of layer {worst} "
    "harms most; seed 0 drew all of them. Re-initialised: a layer's weights of step 0 of the synthetic "
    "training. Re-randomised: weights drawn anew, the first draw of the sweeps.",
)

# %% [markdown]
# ## What it knows

# %% tags=["hide-input"]
paragraph(
    "The first model has learnt two kinds of speech from the synthesiser, "
    f"{' and '.join(models['sentences'].run.domains)}, and spells what it hears letter by letter. It has not heard a "
    "human being. The second is the same model, fine-tuned on recordings of people. It knows the words "
    f"{', '.join(card.words)}, said singly with pauses between; whatever else you say, it hears these. {card.credit}."
)

# %% [markdown]
# ## How it is done
#
# The library writes the model as three [ONNX](https://onnx.ai) graphs: the subsampling, a layer, and one step of the
# decoder. They hold no weights; these are inputs. So a reset layer is the same graph with other weights, and the page
# has the trained ones, those of step 0 and the redrawn ones. onnxruntime-web, compiled to WebAssembly, runs the graphs
# on one thread. Log-mel features are computed in JavaScript. A test compares features and
# transcripts with the library's, for every reset.
#
# What you type is spoken by espeak-ng, compiled to JavaScript, with the voices of the corpus: the same samples, as a
# test shows, that the library's synthesiser gives for the same sentence. Its licence is the
# [GNU GPL, version 3](https://www.gnu.org/licenses/gpl-3.0.html); the rest of the page is under the MIT licence.
#
# ## What this does not show
#
# - One sentence shows *how* a model fails, not how often: {doc}`model_size` counts that, on models as deep as the
#   paper's.
# - The model is small: six layers show less of the paper's finding than sixteen do ({doc}`model_size`).
# - It was trained at one level of loudness. Your recording is brought to it; noise in it stays.
#
# ## Run it again
#
# ```
# python -m paper_lib chapter speak
# ```
