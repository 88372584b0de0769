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
# # The corpus
#
# You will know what the models hear: what is said, by whom, through what, and how much of it there is.
#
# Before any layer can be reset, a recogniser has to be trained, and for that it needs speech. This page shows the
# speech that this book uses: what is said, by whom, how it is heard, how much there is, and what the model reads of it
# and writes.

# %% tags=["parameters", "hide-input"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("corpus", globals())

# %% [markdown]
# ## Why synthetic speech
#
# **Question.** The paper trains on two bodies of speech. Can a reader have them?
#
# | in the paper | hours | can a reader have it? |
# |---|---|---|
# | LibriSpeech, read audio books (experiment 1) | 960 | yes, but training on it takes GPUs for days |
# | Multi-domain, "MD" (experiment 2) | 400,000 | no, it is in-house |
# | its short-form domain, "SF" | 27,000 | no |
# | MD without SF, "MD-SF" | 373,000 | no |
#
# **Method.** This book makes its own speech, so that every experiment can be run again on a laptop, without a download.
# A *sentence grammar* writes the text, the free synthesiser espeak-ng speaks it, and an *acoustic channel* stands
# between mouth and recogniser. Every utterance is a function of the settings and its number: the same settings give the
# same speech on the same machine. {term}`Profile <profile>` `librispeech` reads the paper's own corpus instead, and
# `librispeech_mini` five hours of it, with the rest of the code unchanged.

# %% tags=["hide-input"]
import numpy as np
import torch

from paper_lib.corpus import open_corpus
from paper_lib.corpus.augment import spec_augment
from paper_lib.corpus.batches import bucket, padding_share
from paper_lib.corpus.channels import transmit
from paper_lib.corpus.features import SAMPLE_RATE, log_mel
from paper_lib.corpus.grammars import GRAMMARS, sentence_of_split, vocabulary
from paper_lib.corpus.speakers import all_speakers
from paper_lib.corpus.survey import survey
from paper_lib.corpus.tokens import CharacterTokenizer, WordPieceTokenizer
from paper_lib.figures import speech
from paper_lib.figures.sound import samples
from paper_lib.figures.style import show
from paper_lib.figures.tables import table
from paper_lib.profiles import profile_of
from paper_lib.settings import SpecAugmentSettings, SyntheticSettings

profile_settings = profile_of(chapter.parameters.profile)
corpus = open_corpus(profile_settings.corpus)
drawn_by = chapter.parameters.seed

# %% [markdown]
# ## What is said: five domains
#
# **Question.** The paper's experiment 2 adapts a recogniser to a domain that it has never heard. What are our domains?
#
# **Method.** Five grammars write sentences of five kinds: voice commands (*short form*), novels (*prose*), messages
# spoken to a phone (*dictation*), calls to a service (*telephone*) and things said at home (*conversation*). To show
# all of them here, whatever the profile trains on, the next cell makes 64 utterances of its own by speakers drawn from
# 64, each domain equally likely.

# %%
shown = open_corpus(
    SyntheticSettings(
        domains=dict.fromkeys(GRAMMARS, 1.0),
        utterances={"test": 64},
        speakers={"test": 64},
        seed=drawn_by,
    )
)
stored = shown.shard("test", 0)
chapter.note(corpus=shown.digest, seeds=[drawn_by])

# %% tags=["hide-input"]
by_domain = {
    domain: [u for u in stored.utterances if u.domain == domain] for domain in GRAMMARS
}
rows = [
    (
        domain.replace("_", " "),
        f"“{utterance.text}”",
        f"{utterance.frames / 100:.1f}",
        utterance.speaker,
    )
    for domain, said in by_domain.items()
    for utterance in said[:3]
]
table(
    rows,
    ["domain", "sentence", "seconds", "speaker (accent+person)"],
    f"Three sentences of each domain, drawn by seed {drawn_by}.",
)

# %% tags=["hide-input"]
vocabularies = {domain: vocabulary(domain) for domain in GRAMMARS}
every_word = frozenset.union(*vocabularies.values())
pairs = [
    len(a & b) / len(a)
    for a in vocabularies.values()
    for b in vocabularies.values()
    if a is not b
]
commands = vocabularies["short_form"]
elsewhere = frozenset.union(
    *(words for domain, words in vocabularies.items() if domain != "short_form")
)
show(
    speech.overlap(vocabularies),
    caption=f"Words that the domains share, counted in the grammars themselves. All five together have "
    f"{len(every_word)} words. Of the {len(commands)} words of voice commands, {len(commands & elsewhere)} are said in "
    "another domain too.",
    alt=f"Heat map of five by five domains. On the diagonal 100 percent; elsewhere from {100 * min(pairs):.0f} % to "
    f"{100 * max(pairs):.0f} % of a domain's words are also words of another domain.",
    name="shared-words",
)

# %% [markdown]
# **What it shows.** Messages, calls and conversations speak of what voice commands are about: rooms, devices, times,
# names, shops. A model that has never heard a voice command knows most of its words from them. It does not know how
# commands put them together: experiment 2 needs such a gap, and one that clients with little speech can close.
#
# **What it does not show.** These are small, closed languages. Real speech has tens of thousands of words, slips and
# restarts, and sentences that no grammar foresees.

# %% [markdown]
# ## Who says it: listen
#
# **Question.** How does it sound?
#
# **Method.** espeak-ng has accents of English, and speaks them with any vocal tract that it is given a description of.
# A *speaker* is an accent, a vocal tract and a pace. The tract is drawn for that person alone: female or male, the
# pitch and its range, how rough the voice is, and the formants, which all rise as the tract gets shorter and differ a
# little each. Below is one utterance of each domain, through the *clean* channel, with its log-mel spectrogram: exactly
# what you hear is what is drawn.

# %% tags=["hide-input"]
# Natural logarithm of the power; the features' floor is at -13.8.
limits = (-13.8, 5.0)


def heard(heading, waveform):
    """Returns a sample for the page: its spectrogram and its sound, [samples]."""
    alt = (
        f"Spectrogram of {len(waveform) / SAMPLE_RATE:.1f} seconds of speech, {heading}"
    )
    return heading, speech.spectrogram(log_mel(waveform), limits), alt, waveform


# What is heard is what a model reads.
for number, utterance in enumerate(stored.utterances[:4]):
    made, kept = log_mel(shown.waveform(utterance.id)), stored.features(number)
    same = made.shape == kept.shape and np.allclose(made, kept, atol=0.05)
    assert same, "the cache holds speech that older code made"

samples(
    [
        heard(
            f"{domain.replace('_', ' ')}: “{said[0].text}”", shown.waveform(said[0].id)
        )
        for domain, said in by_domain.items()
    ],
    caption=f"One utterance of each domain, each by one of {len(all_speakers())} speakers. Log-mel spectrograms: 80 "
    "bands, windows of 25 ms every 10 ms. The colour is the natural logarithm of the power in a band.",
)

# %% [markdown]
# **What it shows.** Vowels are the bright bars below 4 kHz (formants), and sibilants the bright patches above. Speakers
# differ in accent, pitch, formants and pace, so a recogniser has to generalise across them.
#
# **What it does not show.** This is formant synthesis: buzzy, regular, without breath, emotion or hesitation. It is
# easier than human speech. A word error rate ({term}`WER`) on it must never be compared with one on LibriSpeech.

# %% [markdown]
# ## How it is heard: four channels
#
# **Question.** What lies between a mouth and a recogniser?
#
# **Method.** One and the same waveform is sent through each channel:
#
# - *clean*: as it was spoken;
# - *telephone*: 300 to 3400 Hz, 8 kHz, 8-bit μ-law, the old telephone network (ITU-T G.711);
# - *far field*: a room that echoes for 0.2 to 0.7 seconds;
# - *noise*: steady coloured noise. In a corpus the ratio of speech to noise is drawn from 10 to 25 dB; here it
#   is 10 dB.

# %% tags=["hide-input"]
utterance = by_domain["short_form"][0]
spoken = shown.waveform(utterance.id)
samples(
    [
        heard(
            channel.replace("_", " "),
            transmit(spoken, channel, (10.0, 10.0), np.random.default_rng(drawn_by)),
        )
        for channel in ("clean", "telephone", "far_field", "noise")
    ],
    caption=f"“{utterance.text}” through the four channels. The colours mean the same in all of them.",
)

# %% [markdown]
# **What it shows.** The telephone cuts everything above 3.4 kHz. The room smears every sound into the next. The noise
# fills the gaps and leaves only the strongest parts of the speech.
#
# **What it does not show.** These are models of channels, with no competing talkers, no music and no broken packets.

# %% [markdown]
# ## How much speech there is
#
# **Question.** How much speech does this page's profile train and test on?

# %%
surveys = {split: survey(corpus, split) for split in ("train", "dev", "test")}
chapter.note(corpus=corpus.digest)

# %% tags=["remove-input", "in-short"]
from paper_lib.figures.markup import in_short
from paper_lib.summaries.making import corpus_in_short

in_short(corpus_in_short(surveys))

# %% tags=["hide-input"]
rows = [
    (
        split,
        part.total,
        f"{part.hours:.2f}" if part.complete else f"≈ {part.hours:.0f}",
        len(part.utterances),
        len(part.speakers),
        len(part.sentences),
        len(part.words),
    )
    for split, part in surveys.items()
]
table(
    rows,
    [
        "split",
        "utterances",
        "hours",
        "looked at",
        "speakers",
        "different sentences",
        "different words",
    ],
    f"The corpus of profile {profile_settings.name}. The columns after “looked at” count what is in the utterances "
    "looked at: all of a split, or only its first shard where it has more than 10,000 utterances. Its hours (≈) then "
    "follow from the mean duration.",
)

# %% tags=["hide-input"]
lengths = {split: part.seconds for split, part in surveys.items()}
show(
    speech.durations(lengths),
    caption=f"Durations of the utterances of profile {profile_settings.name} that were looked at.",
    alt="Three histograms of durations. "
    + " ".join(
        f"{split}: half of the utterances last from {np.quantile(s, 0.25):.1f} to {np.quantile(s, 0.75):.1f} s, the "
        f"longest {s.max():.1f} s."
        for split, s in lengths.items()
    ),
    name="durations",
)

# %% [markdown]
# **What it shows.** The sentences of the grammars are short, so that a small model learns them within minutes. An
# utterance of LibriSpeech lasts about 12 s.
#
# **What it does not show.** How much speech is enough. The paper trains larger models on far more; whether its findings
# need that scale is a question of the later chapters.

# %% [markdown]
# ## What the splits share
#
# **Question.** A model that is tested on what it was trained on proves nothing. Are the splits apart?
#
# **Method.** A sentence of a grammar belongs to one split, by a hash of its text. Whether the test speakers are heard
# in training is a setting: profile `quick`, which has minutes to learn in, tests new sentences by known speakers;
# `laptop` and `gpu` test new sentences by new speakers. No two speakers share a vocal tract, so a new speaker is a
# voice that was never heard in training, with an accent that was. The corpus of the second experiment is another one:
# there the speakers are the {term}`clients <client>`, who are tested themselves, with new sentences. (LibriSpeech comes
# with splits that share no speaker.) The table does not trust that: it counts.

# %%
adaptation = open_corpus(profile_settings.adaptation.corpus)
chapter.note(corpus=adaptation.digest)
clients = {split: survey(adaptation, split) for split in surveys}

# %% tags=["hide-input"]
rows = []
for name, parts in (("first experiment", surveys), ("second experiment", clients)):
    for a, b in (("train", "dev"), ("train", "test"), ("dev", "test")):
        first, second = parts[a], parts[b]
        rows.append(
            (
                name,
                f"{a} and {b}",
                len(first.sentences & second.sentences),
                len(first.speakers & second.speakers),
                len(second.words - first.words),
            )
        )
table(
    rows,
    [
        "corpus",
        "splits",
        "sentences in both",
        "speakers in both",
        "words only in the second",
    ],
    f"What two splits have in common; profile {profile_settings.name}, utterances looked at.",
    row_headers=2,
)

# %% [markdown]
# **What it shows.** A zero in the first column: no sentence of the second split is said in the first. A zero in the
# second: nor is any of its voices heard there. Where it is not zero, a word error rate says nothing of strangers'
# voices.
#
# **What it does not show.** How new the test sentences are. Those of a grammar combine known phrases anew: an easy
# test, and the same one for every model and every reset in this book.

# %% [markdown]
# ## What the model reads
#
# **Question.** What becomes of a waveform before the first layer, and what does training do to it?
#
# **Method.** Windows of 25 ms, one every 10 ms, become the logarithm of the power in 80 mel bands. Each band is
# normalised to mean 0 and variance 1 over the training speech. A training with SpecAugment (Park et al. 2019) hides
# bands of frequencies and spans of time, new ones at each step: the model cannot rely on any single cue. No speech is
# warped in time.

# %%
mean, deviation = corpus.feature_statistics()
shard = surveys["train"].shards[0]
normalised = (shard.features(0).astype(np.float32) - mean) / deviation
trained_with = profile_settings.training["S"].augment
# Where the profile masks nothing, the masks of the paper's sizes are shown.
augment = trained_with if trained_with.time_masks else SpecAugmentSettings()
masked = spec_augment(
    torch.from_numpy(normalised)[None],
    torch.tensor([len(normalised)]),
    augment,
    torch.Generator().manual_seed(drawn_by),
)[0].numpy()

# %% tags=["hide-input"]
show(
    speech.masks(normalised, masked),
    caption=f"“{shard.utterances[0].text}”, the first training utterance of profile {profile_settings.name}, before "
    f"and after SpecAugment (frequency masks: {augment.frequency_masks}, up to {augment.frequency_bins} of 80 bands "
    f"wide; time masks: {augment.time_masks}, up to {100 * augment.time_fraction:.0f} % of the utterance long). White "
    "is masked: set to 0, the mean."
    + (
        ""
        if trained_with.time_masks
        else f" The models of profile {profile_settings.name} learn without masks; these are the paper's."
    ),
    alt="Two spectrograms of the same utterance. In the right one "
    f"{100 * (masked == 0).mean():.0f} % of the area is masked.",
)

# %% [markdown]
# **What it shows.** With masks each training step sees the utterance with other parts missing, and has to write the
# same text.
#
# **What it does not show.** That every profile trains so. `gpu` and the profiles of LibriSpeech train with the paper's
# masks: two of up to 27 bands, ten of up to 5 % of the time. `laptop`, `human` and `quick` train without: masks slow
# learning down (in one trial of 500 steps 72 % WER on dev with masks, 63 % without), and steps are what two cores lack.

# %% [markdown]
# ## What the model writes
#
# **Question.** Characters or word-pieces?
#
# **Method.** The paper's models write about a thousand {term}`word-pieces <word-piece>`. The cell learns 512 pieces
# from sentences of all domains and counts labels.

# %%
words = np.random.default_rng(drawn_by)
texts = [
    sentence_of_split(domain, "train", words) for domain in GRAMMARS for _ in range(500)
]
characters, pieces = CharacterTokenizer(), WordPieceTokenizer.train(texts, 512)

# %% tags=["hide-input"]
rows = []
for domain, said in by_domain.items():
    text = said[0].text
    seconds = sum(u.frames for u in said) / 100
    rates = [
        sum(len(tokenizer.encode(u.text)) for u in said) / seconds
        for tokenizer in (characters, pieces)
    ]
    rows.append(
        (
            domain.replace("_", " "),
            " ".join(pieces.pieces(text)),
            *(f"{rate:.1f}" for rate in rates),
        )
    )
table(
    rows,
    [
        "domain",
        "a sentence in word-pieces",
        "characters a second",
        "word-pieces a second",
    ],
    "Labels that a transducer has to emit for a second of speech, over the 64 utterances made above.",
)

# %% [markdown]
# **What it shows.** Word-pieces (“▁” begins a word) need far fewer labels, so the {term}`transducer`'s lattice is
# shorter. But every piece is a class of its own that has to be seen often enough.
#
# Models that learn on a CPU write **characters**, 28 of them and the blank. In trials before this book (one run each,
# width 48, six layers, an hour of commands), characters reached 10.8 % WER after 500 steps and 1.5 % after 1000. With
# 320 word-pieces it was 75 % after 250 steps and still 44 % after 1500. Profiles `gpu` and `librispeech` write the
# paper's **word-pieces**. (These trainings were of voices that the book no longer has.)
#
# **What it does not show.** Whether the kind of label moves the importance of layers. No experiment of this book
# separates the two.

# %% [markdown]
# ## Batches
#
# **Question.** Utterances of a batch are padded to the longest one. How much computing is spent on padding?
#
# **Method.** A batch holds at most so many frames, padding included. Utterances are sorted by length before they are
# cut into batches, with lengths jittered by a tenth so that batches differ from epoch to epoch; the batches are then
# shuffled. For comparison, the same utterances are cut in the order in which they come.

# %%
batch_frames = profile_settings.training["S"].batch_frames
items = [
    (shard, index) for shard in surveys["train"].shards for index in range(len(shard))
]
jitter = np.random.default_rng(drawn_by).uniform(0.95, 1.05, len(items))
frames = np.array([shard.utterances[index].frames for shard, index in items])
by_length = [items[place] for place in np.argsort(frames * jitter)]
ways = {
    "as they come": bucket(items, batch_frames),
    "sorted by length": bucket(by_length, batch_frames),
}

# %% tags=["hide-input"]
table(
    [
        (way, len(batches), f"{100 * padding_share(batches):.1f} %")
        for way, batches in ways.items()
    ],
    ["utterances are batched", "batches", "padding, share of all frames"],
    f"Padding in batches of at most {batch_frames:,} frames ({batch_frames / 100:g} s); training utterances of profile "
    f"{profile_settings.name}, as far as they were looked at.",
)

# %% tags=["hide-input"]
middle = {
    way: [shard.utterances[index].frames for shard, index in batches[len(batches) // 2]]
    for way, batches in ways.items()
}
show(
    speech.padding(middle),
    caption="The batch in the middle of each list. Blue: speech; hatched: padding.",
    alt=" ".join(
        f"{way}: a batch of {len(batch)} utterances, from {min(batch) / 100:.1f} to {max(batch) / 100:.1f} s."
        for way, batch in middle.items()
    ),
    name="padding",
)

# %% [markdown]
# **What it shows.** Sorting removes most of the padding, and with it the computing spent on nothing.
#
# **What it does not show.** That padding is harmless. A layer that lets padding into its statistics gives another
# answer for each batch that an utterance happens to be in; see the chapter on the model.
