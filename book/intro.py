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
# # Which layers of a speech recogniser matter?

# %% tags=["parameters", "hide-input"]
profile = "quick"

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("intro", globals())

# %% tags=["remove-input"]
from paper_lib.claims.findings import findings, sweeps_by
from paper_lib.figures.claims import verdict_strip
from paper_lib.figures.markup import paragraph
from paper_lib.layers.ranking import intact_wer, layer_effects, reinitialised
from paper_lib.profiles import profile_of
from paper_lib.studies import layer_sets, model_size
from paper_lib.studies.measurements import NotMeasuredError
from paper_lib.summaries.headline import headline

published = profile_of("laptop")
measured = sweeps_by(model_size(published).records(), "size")
try:
    searched = [record.searched for record in layer_sets(published).records()]
except NotMeasuredError:
    searched = []
paragraph(
    *headline(
        {size: reinitialised(of_size) for size, of_size in measured.items()}, searched
    ),
    name="in-short",
)

# %% tags=["remove-input"]
found = findings(published)
verdict_strip(found, f"{len(found)} claims of the paper, judged by what was measured")

# %% [markdown]
# {doc}`The experiment <model_size>` · {doc}`Every claim with its verdict <claims>` ·
# {doc}`Reset a layer and listen <explore>` · {doc}`Ask it of your own model <own_model>`

# %% tags=["remove-input"]
from paper_lib.figures.resets import reset_columns
from paper_lib.figures.style import show

trained = "; ".join(
    f"Conformer{size}: over {of_size.varied}" for size, of_size in measured.items()
)
show(
    reset_columns(
        {size: layer_effects(of_size) for size, of_size in measured.items()},
        {size: intact_wer(of_size) for size, of_size in measured.items()},
    ),
    caption="Middle layers sit at the line of the intact model when they are reset, the last ones do not. Word error "
    "rate with one layer of the paper's encoders re-initialised or re-randomised, on synthetic speech: the published "
    f"results, profile laptop. Whiskers: 95 % intervals ({trained}). Dots: single draws and trainings.",
    alt="For each size a pair of columns per encoder layer: the word error rate with that layer re-initialised or "
    "re-randomised. "
    + " ".join(
        headline({size: reinitialised(of_size) for size, of_size in measured.items()})
    ),
    name="published",
)

# %% [markdown]
# ## Reset a layer and read
#
# Choose a layer of the largest model, and read what it makes of a sentence without what that layer has learnt. Words
# that were said and not heard are struck out, words that were heard and not said are underlined. {doc}`explore` has the
# sound and the other numbers, and in {doc}`speak` you say the sentence yourself.

# %% tags=["hide-input"]
from paper_lib.evaluation import Spoken
from paper_lib.explorers.hearing import HeardUtterance, Transcripts, hearing

SENTENCES = 4


def largest_of(profile):
    """Returns what was measured of the profile's largest model, in its first training."""
    return max(
        (record for record in model_size(profile).records() if record.seed == 0),
        key=lambda record: profile.models[record.size].encoder.dim,
    )


deepest = largest_of(published)
spoken = Spoken.read(deepest.reset.result)
names = sorted(spoken.ids)[:SENTENCES]
places = [spoken.ids.index(name) for name in names]
hearing(
    [
        HeardUtterance(spoken.references[place], spoken.speakers[place])
        for place in places
    ],
    {deepest.size: Transcripts.of(deepest.reset.result, names)},
    caption=f"Transcripts by Conformer{deepest.size}, profile {published.name}, of the first {SENTENCES} test "
    "sentences by name. It opens on the layer that costs most words. Re-randomised: the first draw.",
    name="read-a-reset",
)

# %% [markdown]
# ## What is asked
#
# A neural network is a stack of layers, all trained alike. Do all of them need it? In 2022 five researchers at Google
# trained {term}`Conformer` speech recognisers, then put single layers back to their untrained weights and listened
# again. Some resets did nothing: {term}`ambient <ambient layer>` layers. Some destroyed the recogniser: {term}`critical
# <critical layer>` layers. Whoever knows which is which can train, send and store less, which counts where models are
# trained on phones.
#
# The sources are the paper, *Exploring Heterogeneous Characteristics of Layers in ASR Models for More Efficient
# Training* by Lillian Zhou, Dhruv Guliani, Andreas Kabel, Giovanni Motta and Françoise Beaufays (ICASSP 2022,
# [arXiv:2110.04267](https://arxiv.org/abs/2110.04267)), and the slides of their talk at that conference. *The slide*
# in this book is one of those; names like *Model Size* are titles of theirs.
#
# They came without code and without data. This book rebuilds the experiments from nothing, on speech that it makes
# itself and on recordings of people, and puts each of the paper's claims beside what was measured here, with an
# {term}`interval <confidence interval>` and a verdict that is computed and not written. Where our numbers contradict
# the paper, the page says so.

# %% tags=["hide-input"]
from paper_lib.layers.sweeps import Sweeps

profile_settings = profile_of(chapter.parameters.profile)
largest = largest_of(profile_settings)
sweep = Sweeps.of([largest.reset.result])
if profile_settings.name == published.name:
    here = paragraph("The figure above is of this book's own profile_settings.")
else:
    here = show(
        reset_columns(
            {largest.size: layer_effects(sweep)}, {largest.size: intact_wer(sweep)}
        ),
        caption=f"The same in this book's own run, profile {profile_settings.name}: its largest model, "
        f"{profile_settings.models[largest.size].encoder.layers} layers, one training. Whiskers: 95 % intervals over "
        f"{sweep.varied}. Small models have less to spare; the other pages are of this profile_settings.",
        alt="A pair of columns for each encoder layer: word error rate with that layer re-initialised or "
        "re-randomised.",
        name="largest-model",
    )
here

# %% [markdown]
# ## How to read this book
#
# *Findings*
#
# - {doc}`model_size`: the experiment, for three sizes.
# - {doc}`group_norm`: the same with other norms, and why BatchNorm is special.
# - {doc}`stability`: everything trained again. Do the ranks stay?
# - {doc}`signatures`: can ranks be read from training, without resets? And resets of single modules.
# - {doc}`federated_dropout`: the use of it all. Phones that train a smaller model, and which units they can spare.
# - {doc}`human_speech`: all of it again with recordings of people, who are the federated clients, too.
# - {doc}`claims`: each of the paper's claims beside what was measured, with a verdict.
# - {doc}`slides`: the talk's slides in their order, and beside each what was measured.
#
# *Beyond the paper*
#
# - {doc}`cheaper_ranks`: which quick reading of a layer predicts the harm of its reset?
# - {doc}`layer_sets`: which layers can be reset *together*, and do neighbours depend on each other?
# - {doc}`uses`: what else the ranks are good for, and what each choice costs and saves a phone.
#
# *How it is made*
#
# - {doc}`corpus`: the speech, to look at and to listen to.
# - {doc}`model`: the recogniser, its sizes, and what a reset is.
# - {doc}`comparable_plans`: what clients drop, counted, and what else might have decided about plans.
# - {doc}`sure`: what the intervals cover and what the tests test, simulated.
# - {doc}`threats`: what else could have made these numbers, and which experiment bounds it.
# - {doc}`costs`: how fast the code is beside other libraries, and how time and memory grow.
# - {doc}`status`: what produced each page, on what machine, in what time.
#
# *Check and reuse*
#
# - {doc}`explore`: what the other pages chose to show, for you to choose: a layer, a sentence.
# - {doc}`speak`: a recogniser in the page itself. Reset a layer, speak, and read what it still understands.
# - {doc}`own_model`: the same questions asked of a model that is not the book's, yours for example.
# - {doc}`own_speech`: the same for recordings of your own, in your language.
# - {doc}`reproduce`: how to make all this again, and what it costs.
# - {doc}`api`: the functions that others may build on; {doc}`glossary` and {doc}`bibliography`: the words, the sources.
#
# Each page says under its title which {term}`profile` made it: how much was computed, on what speech, with which
# models. `quick` computes everything afresh in minutes, with models a fiftieth of the paper's size. `laptop` trains the
# paper's own encoders, 16 and 17 layers of up to 6.3 million parameters each, which takes a day on two cores. Its
# models write characters; `human` fine-tunes them on recordings of people. The paper's whole models need a GPU
# (profile `gpu`), its own speech the LibriSpeech corpus (profile `librispeech`, or `librispeech_mini` for five hours of
# it). What was measured of these comes with the book:

# %% tags=["hide-input"]
from paper_lib.figures.tables import table
from paper_lib.paths import published_records
from paper_lib.profiles import PUBLISHED

files = {
    name: {path.name for path in published_records(name).glob("training/*.json")}
    for name in PUBLISHED
}
# Profile human has copies of the trainings that its own begin with.
published = {
    name: len(of - (files["laptop"] if name != "laptop" else set()))
    for name, of in files.items()
}
table(
    [
        (name, f"{count} trainings" if count else "not measured")
        for name, count in published.items()
    ],
    ["Profile", "Published results"],
    "Verdicts are given for what was measured, and for nothing else.",
)

# %% [markdown]
# ## What is reproduced, and what cannot be
#
# | | paper | here |
# |---|---|---|
# | speech | LibriSpeech, 960 h of read books; 400,000 h in-house | sentences by a synthesiser, single words by people |
# | models | {term}`transducers <transducer>` of 10, 31, 119 million parameters | the same encoders on CPU cores |
# | training | to convergence, on accelerators | until the WER of dev speech stops falling, or to a last step |
# | resets | {term}`re-initialisation`, {term}`re-randomisation` | the same |
# | ambient, critical | no threshold given | a test with intervals |
#
# ## Run it yourself
#
# `make book` in a clone of the repository makes this book afresh at profile `quick`, audio and numbers included, and
# `make book PROFILE=laptop` from the published records. Every chapter takes parameters:
# `python -m paper_lib chapters` lists them. {doc}`reproduce` has the rest.
#
# ## Licence, rights, citation
#
# The code is under the [MIT licence](../LICENSE). The method of the paper is the subject of US patent 12,367,865
# (granted 2025, same title). If you use this book, cite it and the paper {cite}`zhou2022exploring`;
# [CITATION.cff](../CITATION.cff) has both.
