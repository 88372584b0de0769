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
# # Use it on your own model
#
# The other pages are about the models of this book. The same question can be asked of any recogniser in PyTorch: which
# of its layers can be reset without harm? This page trains a small model that is not the book's, of torchaudio's
# Conformer layers and with a {term}`CTC` head, while it runs. Then it does with a few lines what the other pages do
# with theirs.

# %% tags=["parameters", "hide-input"]
profile = "quick"
steps = None

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("own_model", globals())

# %% [markdown]
# ## A model, a test and a transcriber
#
# You have these already. Here the speech is voice commands by the book's synthesiser, and the model writes characters.
# It is trained for about twenty seconds, enough to read some of what it hears.

# %%
import torch
from torch import nn
from torchaudio.models import Conformer

from paper_lib.corpus import open_corpus
from paper_lib.corpus.batches import collate, evaluation_batches, training_batches
from paper_lib.corpus.tokens import ALPHABET, CharacterTokenizer
from paper_lib.settings import SyntheticSettings

smoke = chapter.parameters.profile == "smoke"
corpus = open_corpus(
    SyntheticSettings(
        domains={"short_form": 1.0},
        utterances={"train": 20, "test": 8} if smoke else {"train": 1500, "test": 100},
        speakers={"train": 4, "test": 4} if smoke else {"train": 20, "test": 20},
        most_words=5,
        unseen_speakers=False,
    )
)
corpus.prepare(("train", "test"))
chapter.note(corpus=corpus.digest, seeds=[0])


class Recogniser(nn.Module):
    """Four frames at a time, Conformer layers, and log-probabilities of characters."""

    def __init__(self, dim: int = 64, layers: int = 6) -> None:
        super().__init__()
        mean, deviation = map(torch.from_numpy, corpus.feature_statistics())
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.subsampling = nn.Linear(4 * len(mean), dim)
        self.encoder = Conformer(dim, 4, 2 * dim, layers, 15, use_group_norm=True)
        self.head = nn.Linear(dim, 1 + len(ALPHABET))

    def forward(self, features, frames):
        x = (features - self.mean) / self.deviation
        x = x[:, : x.shape[1] // 4 * 4].unflatten(1, (-1, 4)).flatten(2)
        x, frames = self.encoder(self.subsampling(x), frames // 4)
        return self.head(x).log_softmax(-1), frames


# %%
torch.manual_seed(0)
model = Recogniser()
initial = {name: tensor.clone() for name, tensor in model.state_dict().items()}

tokenizer = CharacterTokenizer()
count = chapter.parameters.steps or (20 if smoke else 450)
optimizer = torch.optim.AdamW(model.parameters())
schedule = torch.optim.lr_scheduler.OneCycleLR(
    optimizer, 3e-3, total_steps=count, pct_start=0.2
)
batches = training_batches(corpus, batch_frames=1600, seed=0, sorted_epochs=1)
for _ in range(count):
    batch = collate(next(batches), tokenizer)
    scores, frames = model(batch.features, batch.frames)
    loss = nn.functional.ctc_loss(
        scores.transpose(0, 1),
        batch.targets,
        frames,
        batch.lengths,
        zero_infinity=True,
    )
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()

# %% [markdown]
# A transcriber maps the model to its texts. It is all that the library knows of decoding, features and batches.

# %%
test = evaluation_batches(corpus, "test", 3000)
utterances = [shard.utterances[index] for items in test for shard, index in items]


def transcribe(model):
    texts = []
    for items in test:
        batch = collate(items, tokenizer)
        scores, frames = model(batch.features, batch.frames)
        for labels, length in zip(scores.argmax(-1), frames, strict=True):
            labels = labels[:length].unique_consecutive().tolist()
            texts.append(tokenizer.decode([label for label in labels if label]))
    return texts


# %% [markdown]
# ## The sweep
#
# `layers` is a pattern over `model.named_modules()`; its `*` is the layer's place. `initial` is a state dictionary of
# the model at an earlier time: W(0), or for a fine-tuned model the weights that it began with.

# %%
from paper_lib.layers import sweep

result = sweep(
    model,
    layers="encoder.conformer_layers.*",
    transcribe=transcribe,
    references=[utterance.text for utterance in utterances],
    speakers=[utterance.speaker for utterance in utterances],
    resets=["re-initialisation", "re-randomisation", "skip"],
    initial=initial,
    draws=1 if smoke else 2,
)

# %% [markdown]
# Three things can be done to a layer:
#
# - {term}`re-initialisation` puts back what `initial` has of it;
# - {term}`re-randomisation` draws new weights, by the initialisers that the model brings: each module's
#   `reset_parameters`, and the `_init_weights` of models of transformers;
# - {term}`skip` hands on the layer's input as its output.
#
# A layer that is reset still adds something to its input, for its residual paths stay; a skipped one adds nothing.
#
# After the sweep the model is as it was, to the bit, also if it was interrupted. With `directory=` what was heard is
# stored as it comes, and the same call goes on where it ended. The result is what the book's own sweeps give. All its
# figures and tests take it:

# %%
from paper_lib.figures.resets import change_intervals, reset_columns
from paper_lib.figures.style import show
from paper_lib.layers.ranking import intact_wer, layer_effects
from paper_lib.layers.sweeps import Sweeps

sweeps = Sweeps.of([result.record()])
effects = layer_effects(sweeps)
name = "Conformer of torchaudio"
show(
    reset_columns({name: effects}, {name: intact_wer(sweeps)}),
    caption=f"WER with one layer reset or skipped. 95 % intervals over {sweeps.varied}.",
    alt="Three columns for each of six layers: re-initialised, re-randomised, skipped.",
    name="own-columns",
)

# %% tags=["hide-input"]
show(
    change_intervals({name: effects}),
    caption="Change in WER, with intervals that hold together for all layers. From the upper mark to the lower: "
    "re-initialisation, re-randomisation (hollow), skip (half hollow). Grey band: less than 2 points.",
    alt="For each of six layers three intervals of the WER change, coloured by class.",
    name="own-intervals",
)

# %% tags=["remove-input", "in-short"]
from paper_lib.figures.markup import in_short
from paper_lib.layers.ranking import reinitialised
from paper_lib.summaries.making import sweep_in_short

in_short(
    [
        f"A few lines ask of any model which of its layers can be reset. Here {count:,} steps trained one that is not "
        "the book's.",
        *sweep_in_short(name, intact_wer(sweeps), reinitialised(sweeps)),
    ]
)

# %% [markdown]
# ## The ranking
#
# The least harmful layer to reset comes first. {term}`Ambient <ambient layer>` and
# {term}`critical <critical layer>` are decided by the intervals, as in {doc}`model_size`: where the interval holds the
# margin, the test cannot tell.

# %%
from paper_lib.figures.tables import percent, table

ranked = sorted(reinitialised(sweeps), key=lambda effect: effect.change.value)
table(
    [(e.layer, percent(e.change, sign=True), e.classification) for e in ranked],
    ["Layer", "WER change, points", "Class"],
    "Layers by what their re-initialisation does to the WER.",
)

# %% [markdown]
# ## Signatures
#
# How far each weight matrix moved, over the farthest layer's ({term}`numerical signature`). It takes two state
# dictionaries, or the files of checkpoints: `signatures("checkpoints/", layers=...)`.

# %%
from paper_lib.figures.signatures import signature_maps
from paper_lib.layers import signatures

found = signatures(initial, model.state_dict(), layers="encoder.conformer_layers.*")
show(
    signature_maps({name: found.last}, found.matrices),
    caption="‖W(t) − W(0)‖ of every weight matrix, over the largest of all layers. 1 is the layer that moved most.",
    alt="Grid of weight matrices by layers with the signature of each.",
    name="own-signatures",
)

# %% [markdown]
# ## One reset, to share
#
# A reset is a small dictionary that can be stored and sent to others. It is applied for as long as a `with` lasts.

# %%
from paper_lib.layers import applied

reset = {"layer": "encoder.conformer_layers.5", "kind": "re-randomisation", "seed": 7}
with applied(reset, model.eval()), torch.no_grad():
    heard = transcribe(model)
table(
    [
        (u.text, before, after)
        for u, before, after in zip(
            utterances[:4], result.hypotheses[None], heard, strict=False
        )
    ],
    ["Said", "Heard by the intact model", "Heard with the last layer re-randomised"],
    "The shortest sentences of the test.",
)

# %% [markdown]
# ## Other toolkits
#
# With [transformers](https://huggingface.co/docs/transformers) a model, its first weights and its transcriber are:
#
# ```python
# from transformers import AutoProcessor, Wav2Vec2ConformerForCTC
#
# processor = AutoProcessor.from_pretrained(FINE_TUNED)
# model = Wav2Vec2ConformerForCTC.from_pretrained(FINE_TUNED)
# initial = Wav2Vec2ConformerForCTC.from_pretrained(PRE_TRAINED).state_dict()
#
# def transcribe(model):
#     texts = []
#     for waveform in waveforms:  # [samples] at 16 kHz
#         inputs = processor(waveform, sampling_rate=16000, return_tensors="pt")
#         texts += processor.batch_decode(model(**inputs).logits.argmax(-1))
#     return texts
#
# sweep(model, layers="wav2vec2_conformer.encoder.layers.*", transcribe=transcribe, ...)
# ```
#
# Where known toolkits have their layers, and what the parts of these are called:

# %% tags=["hide-input"]
from paper_lib.layers import LAYOUTS

table(
    [
        (toolkit, layout.layers, ", ".join(layout.parts))
        for toolkit, layout in LAYOUTS.items()
    ],
    ["Toolkit", "layers", "Parts"],
    "The dictionary LAYOUTS. A part is swept by a pattern such as encoder.layers.*.self_attn. A pattern that matches "
    "nothing is refused with what would.",
)

# %% [markdown]
# ## What this does not show
#
# - One training of a small model, on little speech. Another seed may rank its layers differently: `Sweeps.of` takes the
#   records of several trainings, and intervals are then over trainings too.
# - Speakers of the test are those of the training. Name the real speakers in `speakers`: intervals are over them.
# - A sweep costs as many evaluations of the whole model as it makes resets, and one more. That of the book's own
#   models is faster, because it knows their encoder ({doc}`costs`).
# - A module whose parameters nothing draws cannot be re-randomised (in NeMo the attention's position biases): the
#   sweep says which, before it begins. Give its class a method `reset_parameters`.
#
# ## Run it again
#
# ```
# python -m paper_lib chapter own_model -p steps 1000
# ```
