"""Sentences with sound that come with the page: of the kinds that each model has learnt, by voices known to it and new.

A reader who wants others types them (`paper_lib/browser/synthesis.py`), or speaks.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray

from paper_lib.corpus.features import SAMPLE_RATE
from paper_lib.corpus.grammars import sentence_of_split
from paper_lib.corpus.speakers import Speaker
from paper_lib.evaluation import word_errors
from paper_lib.layers.variants import KINDS, Kind
from paper_lib.widgets.recogniser import Recogniser
from paper_lib.widgets.shipped import ModelCard, ShippedModel
from paper_lib.widgets.speech import typed, voices

LEAST_WORDS, MOST_WORDS = 4, 6  # in a sentence
STRING = (2, 3)  # words in the strings of a model that knows single words


@dataclass(frozen=True)
class Prepared:
    """A sentence that a synthetic voice says, and what the library makes of it with a model's layers reset in turn."""

    text: str
    voice: str  # who says it, and whether the model has heard that voice in training
    waveform: NDArray[np.float32]  # [samples] at 16 kHz, as the page plays it
    intact: str
    resets: Mapping[Kind, Sequence[str]]  # by layer, from the first

    def errors(self, kind: Kind | None = None, layer: int = 1) -> int:
        """Returns the word errors of the intact model, or with `layer`, from 1, reset."""
        return word_errors(self.text, self.resets[kind][layer - 1] if kind else self.intact)


def prepare(shipped: ShippedModel, texts: Sequence[str]) -> list[Prepared]:
    """Returns every text as two speakers say it, one whom the model has heard in training and one whom it has not."""
    recogniser = Recogniser(shipped)
    speakers = voices(shipped)
    prepared = []
    for place, text in enumerate(texts):
        for name, speaker in (speakers[place % len(speakers)], speakers[-1 - place % len(speakers)]):
            waveform = spoken(text, speaker, shipped.card)
            heard = {kind: recogniser.recognise(waveform, kind) for kind in KINDS}
            resets = {kind: found.resets for kind, found in heard.items()}
            prepared.append(Prepared(text, name, waveform, heard[KINDS[0]].intact, resets))
    return prepared


def spoken(text: str, speaker: Speaker, card: ModelCard | None) -> NDArray[np.float32]:
    """Returns what is heard of `text` by `speaker` once it is written with 16 bits, as a page holds sound."""
    speech = typed(text, speaker, card.words if card else None)
    file = io.BytesIO()
    soundfile.write(file, speech.waveform, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    file.seek(0)
    waveform: NDArray[np.float32] = soundfile.read(file, dtype="float32")[0]
    return waveform


def sentences_for(shipped: ShippedModel, count: int, seed: int) -> list[str]:
    """Returns `count` new sentences of the domains that the model was trained on, or strings of the words it knows."""
    rng = np.random.default_rng(seed)
    texts: list[str] = []
    while len(texts) < count:
        if shipped.card:
            length = rng.integers(*STRING, endpoint=True)
            text = " ".join(rng.choice(shipped.card.words, length, replace=False))
        else:
            assert shipped.run.domains
            domain = shipped.run.domains[len(texts) % len(shipped.run.domains)]
            text = sentence_of_split(domain, "test", rng, MOST_WORDS)
        if text not in texts and (shipped.card or len(text.split()) >= LEAST_WORDS):
            texts.append(text)
    return texts
