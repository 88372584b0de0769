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
# # The model
#
# You will know what a Conformer layer is made of, where its parameters are, and what it means to reset it.
#
# Every experiment of this book trains a speech recogniser, breaks one of its layers and counts the errors. This page
# shows the recogniser: what is in it, where its parameters are, and what breaking a layer means.

# %% tags=["parameters", "hide-input"]
profile = "quick"

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("model", globals())

# %% tags=["hide-input"]
from itertools import combinations

import torch

from paper_lib.conformer.loss import transducer_loss
from paper_lib.conformer.sizes import (
    SLIDE,
    count_modules,
    count_parameters,
    count_weights,
    millions,
)
from paper_lib.conformer.transducer import BLANK, Transducer
from paper_lib.corpus import open_corpus
from paper_lib.figures import architecture
from paper_lib.figures.lattice import lattice
from paper_lib.figures.parameters import stacked_shares
from paper_lib.figures.style import show
from paper_lib.figures.tables import table
from paper_lib.profiles import SIZES, profile_of
from paper_lib.settings import SyntheticSettings

profile_settings = profile_of(chapter.parameters.profile)
# Of this profile the models are the paper's own.
sizes = profile_of("gpu").models
# Models are small here: threads that wait for each other on a busy machine took a hundred times as long as one.
torch.set_num_threads(1)

# %% [markdown]
# ## The whole: a transducer
#
# **Question.** What turns sound into text?
#
# **Method.** A {term}`transducer` (RNN-T, Graves 2012) has three parts. The *encoder* turns the sound into one vector
# for every 40 ms. The *prediction network* is a small language model over the labels written so far. The *joint
# network* adds the two and gives a probability to every label, and to the *blank*, which means: write nothing more, go
# on to the next frame.

# %% tags=["hide-input"]
show(
    architecture.transducer(),
    caption="The Conformer transducer. The paper resets Conformer layers, one at a time; it leaves all else as it was "
    "trained.",
    alt="Block diagram. Above, the encoder: log-mel features, subsampling, a stack of Conformer layers. Below, the "
    "prediction network: labels so far, embedding, LSTM. Both feed the joint network, which gives the probability of "
    "label k at frame t after u labels. A blank moves on to the next frame, a label is fed back.",
)

# %% [markdown]
# **What it shows.** The encoder begins by *subsampling*: two convolutions of stride two keep every fourth frame, so
# that everything above works on 40 ms instead of 10. Most of the model is the stack of layers, and that is what this
# book takes apart.

# %% [markdown]
# ## One Conformer layer
#
# **Question.** What is in the unit that is reset?
#
# **Method.** A {term}`Conformer` layer (Gulati et al. 2020) has four modules beside a *residual stream*. Each reads the
# stream and adds its answer to it. The two feed-forward modules add only half of theirs.

# %% tags=["hide-input"]
show(
    architecture.conformer_layer(sizes["S"].encoder.kernel),
    caption="One Conformer layer of the paper's sizes, of width d. Outlined: the only norm that differs between the "
    "paper's models, BatchNorm or GroupNorm. Dropout is not drawn.",
    alt="Diagram of a layer. A vertical residual stream passes four modules, whose outputs are added to it: "
    "feed-forward module 1 with weight one half, self-attention with weight one, convolution with weight one, "
    "feed-forward module 2 with weight one half. A LayerNorm ends the layer. Inside the convolution, the norm after "
    "the depthwise convolution is outlined: group or batch norm.",
)

# %% [markdown]
# - *Feed-forward*: works on every frame alone, in four times the width.
# - *Self-attention*: every frame looks at all frames of the utterance. It knows how far away they are from sinusoids of
#   the distance (relative positions, as in Transformer-XL).
# - *Convolution*: every channel looks at its neighbours in time.
# - *The outlined norm*: Conformer has {term}`BatchNorm` there, whose statistics mix the utterances of a batch. The
#   paper puts {term}`GroupNorm` in its place, which looks at one utterance at a time. According to the paper,
#   BatchNorm interferes with the formation of {term}`ambient layers <ambient layer>`, GroupNorm does not, and it suits
#   federated learning, where {term}`clients <client>` share no batch.
#
# **What it shows.** Because of the residual stream, a layer that is reset does not cut the path from sound to text:
# the stream still carries what the layers below have written into it. But the LayerNorm at the end belongs to the
# layer, and the reset layer adds the noise of untrained modules. Whether the layers above can live with that is the
# question of this book.

# %% [markdown]
# ## Sizes: the paper's numbers and ours
#
# **Question.** Are these the paper's models?
#
# **Method.** The paper names three sizes and prints rounded counts. We build each model and count its weights.

# %%
counts = {size: count_parameters(settings) for size, settings in sizes.items()}
for size, count in counts.items():
    assert millions(count.total) == SLIDE[size][2]

# %% tags=["hide-input"]
rows = []
for size, count in counts.items():
    layers = sizes[size].encoder.layers
    ours = (
        millions(count.layers),
        f"{layers} × {millions(count.layer)}",
        millions(count.total),
    )
    rows.append(
        (
            f"Conformer{size}",
            *(value for pair in zip(SLIDE[size], ours, strict=True) for value in pair),
        )
    )
    assert ours == SLIDE[size]
table(
    rows,
    [
        "model",
        "in layers: paper",
        "ours",
        "layers: paper",
        "ours",
        "in all: paper",
        "ours",
    ],
    "Parameters as the slide “Experiment 1” prints them, beside those that we count, rounded likewise.",
)

# %% [markdown]
# **What it shows.** Every digit that the paper prints comes out.
#
# **What it does not show.** That all is the same inside. The counts fix the width, the layers, the kernel of 32 and
# relative attention: without the fifth matrix of relative attention, L comes out too small. They do not fix what holds
# no weights, such as the number of heads or of groups in GroupNorm. Those are from Gulati et al. (2020) or our choice.

# %% tags=["hide-input"]
NAMES = {
    "subsampling.conv1": "subsampling: first convolution",
    "subsampling.conv2": "subsampling: second convolution",
    "subsampling.linear": "subsampling: linear",
    "prediction.embedding": "prediction: embedding of labels",
    "prediction.lstm": "prediction: LSTM",
    "joint.encoder": "joint: from the encoder",
    "joint.prediction": "joint: from the prediction",
    "joint.out": "joint: to the labels",
}
weights = {size: count_weights(settings) for size, settings in sizes.items()}
table(
    [
        ("width d", *(settings.encoder.dim for settings in sizes.values())),
        ("attention heads", *(settings.encoder.heads for settings in sizes.values())),
        ("layers", *(settings.encoder.layers for settings in sizes.values())),
        ("one Conformer layer", *(count.layer for count in counts.values())),
        ("all Conformer layers", *(count.layers for count in counts.values())),
        *(
            (text, *(weights[size][name] for size in SIZES))
            for name, text in NAMES.items()
        ),
        ("in all", *(count.total for count in counts.values())),
    ],
    ["part", *(f"Conformer{size}" for size in SIZES)],
    "Exact counts of the paper's sizes, with a vocabulary of 1,024 word-pieces. The LSTM has one vector of biases.",
)

# %% [markdown]
# ## Where the parameters of a layer are
#
# **Question.** Which module holds the weights that are reset, or dropped in federated learning?
#
# **Method.** Add up the matrices of the drawing, for width d and a depthwise kernel of k frames.
#
# | module | parameters |
# |---|---|
# | each of two feed-forward modules | 8d² + 7d |
# | self-attention | 5d² + 8d |
# | convolution | 3d² + (k + 8)d |
# | LayerNorm at the end | 2d |
# | **one layer** | **24d² + (k + 32)d**; with k = 32, **24d² + 64d** |

# %%
for size, settings in sizes.items():
    d = settings.encoder.dim
    assert counts[size].layer == 24 * d**2 + 64 * d
    print(f"Conformer{size}: 24·{d}² + 64·{d} = {counts[size].layer:,}")

# %% tags=["hide-input"]
MODULES = {
    "ffn1": "feed-forward 1",
    "attention": "self-attention",
    "convolution": "convolution",
    "ffn2": "feed-forward 2",
    "norm": "LayerNorm",
}
settings_of = {f"paper {size}": sizes[size] for size in SIZES}
settings_of |= {
    f"{profile_settings.name} {size}": profile_settings.models[size]
    for size in SIZES
    if profile_settings.models[size] != sizes[size]
}
modules = {
    row: count_modules(settings.encoder) for row, settings in settings_of.items()
}
feed_forward = [(m["ffn1"] + m["ffn2"]) / sum(m.values()) for m in modules.values()]
show(
    stacked_shares(
        {
            row: {MODULES[name]: count for name, count in parts.items()}
            for row, parts in modules.items()
        },
        {text: architecture.MODULE_FILLS[name] for name, text in MODULES.items()},
        "one layer",
    ),
    caption=f"Parameters of one layer by module: the paper's sizes and those of profile {profile_settings.name}. The "
    "last LayerNorm is too small to be seen.",
    alt=f"Stacked bars, one per model. The two feed-forward modules hold {100 * min(feed_forward):.0f} % to "
    f"{100 * max(feed_forward):.0f} % of a layer's parameters, then self-attention, then convolution.",
    name="layer-parameters",
)

# %% [markdown]
# **What it shows.** Two thirds of a layer are in its feed-forward modules, at every size. This is why
# {term}`Federated Dropout` takes its units there.
#
# **What it does not show.** Importance. Many parameters need not mean much influence; that has to be measured.

# %% [markdown]
# ## The models of this page's profile
#
# **Question.** What is trained where a GPU is not at hand?
#
# **Method.** Profile `laptop` trains the paper's own encoders: their widths, heads, kernels and layers. Its models
# write characters instead of {term}`word-pieces <word-piece>`, which makes the embedding and the joint network smaller.
# `quick` has minutes for everything. Its mini sizes keep the proportions of the paper's (widths of about 1 : 1.8 : 3.6,
# and L one layer deeper), but they have six or seven layers, a shorter kernel, and at every size the same subsampling
# of 32 channels: it is no layer that is reset.

# %% tags=["hide-input"]
own = {
    size: count_parameters(settings)
    for size, settings in profile_settings.models.items()
}
encoders = {
    size: settings.encoder for size, settings in profile_settings.models.items()
}
table(
    [
        ("width d", *(e.dim for e in encoders.values())),
        ("attention heads", *(e.heads for e in encoders.values())),
        ("layers", *(e.layers for e in encoders.values())),
        ("depthwise kernel, frames", *(e.kernel for e in encoders.values())),
        (
            "channels of the subsampling",
            *(e.channels or e.dim for e in encoders.values()),
        ),
        (
            "vocabulary, blank included",
            *(settings.vocabulary for settings in profile_settings.models.values()),
        ),
        ("one Conformer layer", *(count.layer for count in own.values())),
        ("all Conformer layers", *(count.layers for count in own.values())),
        ("subsampling", *(count.subsampling for count in own.values())),
        ("prediction network", *(count.prediction for count in own.values())),
        ("joint network", *(count.joint for count in own.values())),
        ("in all", *(count.total for count in own.values())),
        (
            "of these in Conformer layers",
            *(f"{100 * count.layers / count.total:.0f} %" for count in own.values()),
        ),
        (
            "the same in the paper's size",
            *(
                f"{100 * counts[size].layers / counts[size].total:.0f} %"
                for size in own
            ),
        ),
    ],
    ["", *own],
    f"Models of profile {profile_settings.name}: settings, and exact counts of parameters.",
)

# %% [markdown]
# **What it shows.** How large the models of this profile are, and that most of their weights are in the Conformer
# layers.
#
# **What it does not show.** That what holds for a layer of a mini model holds for a layer of the paper's. A layer of
# six does more of the work than a layer of sixteen. `laptop` and `librispeech_mini` train the paper's encoders, `gpu`
# and `librispeech` its whole models.

# %% tags=["remove-input", "in-short"]
from paper_lib.figures.markup import in_short
from paper_lib.summaries.making import model_in_short

in_short(model_in_short(profile_settings.name, own, counts, feed_forward))

# %% [markdown]
# ## What it means to reset a layer
#
# **Question.** How does one ask a trained model whether it needs a layer?
#
# **Method.** Train it to the end. Then put untrained weights in the place of one layer, train nothing, and count the
# word errors on the test set. There are two ways:
#
# - {term}`Re-initialisation <re-initialisation>` puts back the very weights that this layer had at step 0 of this run.
# - {term}`Re-randomisation <re-randomisation>` puts there fresh weights, drawn by the same initialiser from another
#   {term}`seed`.

# %% tags=["hide-input"]
show(
    architecture.two_resets(),
    caption="The two resets, of layer 3 of a model with six layers. Blue: trained. Grey: the weights of step 0. "
    "Hatched: a new draw. Numbers count from the layer next to the sound.",
    alt="Four stacks of six layers: at step 0 all grey; trained, all blue; re-initialised, blue but for layer 3, which "
    "has its grey weights of step 0; re-randomised, blue but for layer 3, which is hatched, a new draw.",
)

# %% [markdown]
# A layer whose reset costs nothing is *ambient*, one whose reset costs much is {term}`critical <critical layer>`. The
# layer is reset with all that the drawing of a layer shows. BatchNorm's running statistics belong to it and are reset
# too.
#
# **What it does not show.** What training *without* that layer would give. The other layers were trained with it and
# rely on it.

# %% [markdown]
# ## Padding must not change an answer
#
# **Question.** Utterances of a batch are padded to the longest one. Does the answer for an utterance depend on its
# neighbours?
#
# **Method.** An encoder with random weights reads one utterance alone; the same utterance followed by two seconds of
# padding; and the same beside a longer one. The encoder is told which frames are valid. It zeroes the padding before
# the depthwise convolution, hides it from attention, and keeps it out of the norms' statistics. The last column shows
# what happens if the encoder is not told.

# %%
domains = {"short_form": 1, "prose": 1}
corpus = open_corpus(
    SyntheticSettings(domains=domains, utterances={"train": 8}, speakers={"train": 8}),
)
chapter.note(corpus=corpus.digest, seeds=[0])
shard = corpus.shard("train", 0)
mean, deviation = corpus.feature_statistics()
features = [
    torch.from_numpy((shard.features(n) - mean) / deviation) for n in range(len(shard))
]
short, long = min(features, key=len), max(features, key=len)
frames = len(short)
padded = torch.nn.functional.pad(short, (0, 0, 0, 200))
pair = torch.nn.utils.rnn.pad_sequence([short, long], batch_first=True)


def encode(norm, training, features, frames):
    """Returns the encoder's output for the first utterance: [its frames / 4, d]."""
    torch.manual_seed(0)
    settings = profile_settings.models["S"]
    encoder = settings.encoder.model_copy(update={"norm": norm, "dropout": 0.0})
    model = Transducer(settings.model_copy(update={"encoder": encoder})).train(training)
    with torch.no_grad():
        output, _ = model.encode(features, torch.tensor(frames))
    return output[0, : -(-len(short) // 4)]


# %% tags=["hide-input"]
def difference(first, second):
    """Returns the largest difference of two outputs, as the table prints it."""
    largest = (first - second).abs().max().item()
    return f"{largest:.1e}" if largest < 0.01 else f"{largest:.1f}"


rows = []
for norm in ("group", "batch"):
    for training in (True, False):
        alone = encode(norm, training, short[None], [frames])
        others = (
            encode(norm, training, padded[None], [frames]),
            encode(norm, training, pair, [frames, len(long)]),
            encode(norm, training, padded[None], [len(padded)]),
        )
        setting = f"{norm} norm, {'training' if training else 'evaluation'}"
        rows.append(
            (
                setting,
                f"{alone.abs().mean():.1f}",
                *(difference(alone, other) for other in others),
            )
        )
table(
    rows,
    [
        "",
        "mean magnitude",
        "with padding",
        "beside a longer one",
        "padding taken for speech",
    ],
    f"Largest difference to the output for the utterance alone ({frames / 100:.1f} s; the longer one has "
    f"{len(long) / 100:.1f} s). Model S of profile {profile_settings.name}, random weights of seed 0.",
)

# %% [markdown]
# **What it shows.** With padding the difference is the rounding of 32-bit floats. There is one exception, and it is
# meant to be there: BatchNorm *in training* takes its statistics over the whole batch, so the longer neighbour counts.
# That is what GroupNorm avoids. If padding is taken for speech, the answer moves by as much as the answer is large.
#
# **What it does not show.** How many words would be wrong. This is a test of the code: an encoder in which one of the
# masks is forgotten fails it.

# %% [markdown]
# ## The loss
#
# **Question.** The training data say *what* was said, not *when*. How can the model be trained?
#
# **Method.** Between frames and labels there are many *alignments*: paths through a lattice that write the right
# labels in the right order. The loss adds up the probability of all of them.

# %% tags=["hide-input"]
word, time = "cat", 5
show(
    lattice(word, time, labels_before=[1, 1, 3]),
    caption="The lattice of “cat” over five frames. Each path from the lower left to “end” is an alignment; the thick "
    "one writes “c” and “a” in frame 2, and “t” in frame 4.",
    alt="Grid of five frames by four states: nothing, c, ca, cat. Arrows to the right write a blank, arrows upwards a "
    "label. One path from nothing in frame 1 to cat in frame 5 is highlighted.",
)

# %% [markdown]
# For the sound *x* and the labels *y* = *y*₁ … *y*<sub>U</sub>,
#
# <p style="text-align: center; font-size: 1.1em">loss(<i>x</i>, <i>y</i>) = −log P(<i>y</i> | <i>x</i>) = −log
# Σ<sub>alignments</sub> Π<sub>arrows</sub> P(<i>k</i> | <i>t</i>, <i>u</i>)</p>
#
# The sum runs over all alignments of *y*; the product over the arrows of one of them, where *k* is what the arrow at
# frame *t*, after *u* labels, writes. There are too many alignments to list them for a real sentence, but a recursion
# along the lattice adds them up in a time that grows with its area. For a lattice as small as the one above, the next
# cell lists them all and compares.

# %%
torch.manual_seed(0)
labels = [1 + "abcdefghijklmnopqrstuvwxyz".index(letter) for letter in word]
logits = torch.randn(1, time, len(word) + 1, 27)
log_p = logits.log_softmax(-1)[0]  # [frame, labels written, label]

alignments = []
# Of all arrows but the last, which is a blank, some write the word.
for writes in combinations(range(time - 1 + len(word)), len(word)):
    t = u = 0
    total = torch.tensor(0.0)
    for arrow in range(time + len(word)):
        if arrow in writes:
            total += log_p[t, u, labels[u]]
            u += 1
        else:
            total += log_p[t, u, BLANK]
            t += 1
    alignments.append(total)

listed = -torch.stack(alignments).logsumexp(0)
lengths = torch.tensor([time]), torch.tensor([len(word)])
recursion = transducer_loss(logits, torch.tensor([labels]), *lengths)[0]
assert torch.isclose(listed, recursion, rtol=1e-5)
print(f"{len(alignments)} alignments, one by one:  {listed:.5f} nats")
print(f"the recursion of the library: {recursion:.5f} nats")

# %% [markdown]
# **What it shows.** The loss is exact. It leaves *when* to the model: in training, the alignments that suit the sound
# gain.
#
# **What it does not show.** Decoding. Word error rates ({term}`WER`) in this book come from *greedy* decoding: at each
# step the most probable label or blank is taken. The paper does not say how it decodes.

# %% [markdown]
# ## Where this differs from the paper
#
# **Question.** What else could explain a difference between the paper's results and ours?

# %% tags=["hide-input"]
mini, paper = profile_settings.training["S"], sizes["S"].encoder
model = profile_settings.models["S"]
table(
    [
        (
            "speech",
            "LibriSpeech, 960 h",
            f"profile {profile_settings.name}: see the chapter on the corpus",
        ),
        (
            "labels",
            "about 1,000 word-pieces",
            f"{profile_settings.tokens.vocabulary - 1} {profile_settings.tokens.kind.replace('_', '-')} and the blank",
        ),
        (
            "width of S, M, L",
            "144, 256, 512",
            ", ".join(str(e.dim) for e in encoders.values()),
        ),
        ("depthwise kernel", "32 frames", f"{model.encoder.kernel} frames"),
        ("subsampling", "d channels", f"{model.encoder.channels or 'd'} channels"),
        ("GroupNorm", "number of groups not given", f"{model.encoder.groups} groups"),
        (
            "loss",
            "transducer",
            f"transducer + {mini.ctc_weight:g} × CTC on the encoder, in training only",
        ),
        (
            "optimiser",
            "Adam, weight decay 1e-6 *",
            f"AdamW, weight decay {mini.weight_decay:g} on matrices and kernels",
        ),
        (
            "learning rate",
            "warm-up of 10,000 steps to 0.05/√d, then 1/√step *",
            f"warm-up of {mini.warmup_steps:,} steps to {mini.learning_rate:.2g}, a plateau, then in a line to 0",
        ),
        (
            "steps",
            "not on the slides",
            f"{'at most ' if mini.patience else ''}{mini.steps:,}",
        ),
        ("dropout", f"{paper.dropout:g} *", f"{model.encoder.dropout:g}"),
        (
            "SpecAugment",
            "2 masks of up to 27 bands, 10 of up to 5 % of the time *",
            f"{mini.augment.frequency_masks} masks of bands, {mini.augment.time_masks} of time",
        ),
        ("weight noise", "variational noise *", "none"),
    ],
    ["", "paper", f"profile {profile_settings.name}, size S"],
    "What differs, or may differ. * not on the slides; from Gulati et al. (2020), on which the paper builds.",
)

# %% [markdown]
# - **The auxiliary CTC loss** is a second head on the encoder. It makes a small transducer learn sooner. It is thrown
#   away after training and not counted in any size, but it may well change what the upper layers learn.
# - **Characters** instead of word-pieces, where models learn on a CPU: see the chapter on the corpus.
# - **The {term}`streaming model`** of the paper's experiment 2 is not on this page. It has causal convolutions and a
#   limited {term}`left context`, and its exact shape was never published.
#
# The page on model size shows what these models make of a reset.
