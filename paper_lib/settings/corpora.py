"""Settings of corpora: what is spoken by whom, how it is split, and how many utterances a shard has."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from paper_lib.settings.base import Alphabet, Channel, Domain, Positive, Settings, Split


class SyntheticSettings(Settings):
    """Speech made by sentence grammars, synthetic speakers and acoustic channels."""

    source: Literal["synthetic"] = "synthetic"
    synthesiser: Literal["flite"] | None = Field(default=None, description="who speaks; none: espeak-ng")
    domains: dict[Domain, float] = Field(description="share of the utterances of each domain; any positive weights")
    channels: dict[Channel, float] = Field(default={"clean": 1.0}, description="share of each acoustic channel")
    snr_db: tuple[float, float] = Field(default=(10.0, 25.0), description="range of the noise channel's SNR, dB")
    utterances: dict[Split, Positive] = Field(description="utterances per split")
    speakers: dict[Split, Positive] = Field(description="distinct speakers per split")
    evaluation_domains: dict[Domain, float] | None = Field(
        default=None, description="share of each domain in dev and test; none: as in training"
    )
    most_words: Positive | None = Field(default=None, description="in a sentence; none: any number")
    unseen_speakers: bool = Field(
        default=True, description="dev and test speakers have vocal tracts that are never heard in training"
    )
    shard_utterances: Positive = Field(default=500, description="utterances that are made and stored together")
    seed: int = 0


class LibriSpeechSettings(Settings):
    """The paper's corpus (Panayotov et al. 2015), or a part of it, as its archives lay it out."""

    source: Literal["librispeech"] = "librispeech"
    subsets: dict[Split, tuple[str, ...]] = Field(
        default={
            "train": ("train-clean-100", "train-clean-360", "train-other-500"),
            "dev": ("dev-clean",),
            "test": ("test-clean",),
        },
        description="subsets that make up each split",
    )
    shard_utterances: Positive = 2000


class SpeechCommandsSettings(Settings):
    """Strings of words by one person each, joined from recordings of Speech Commands (Warden 2018)."""

    source: Literal["speech_commands"] = "speech_commands"
    passes: dict[Split, Positive] = Field(
        default={"train": 4, "dev": 1, "test": 2},
        description="times that a split's recordings are cut anew into strings",
    )
    most_words: Positive = Field(default=4, description="in a string")
    pause_seconds: tuple[float, float] = Field(default=(0.05, 0.3), description="range of the pauses between words")
    shard_utterances: Positive = 500
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _pauses_in_order(self) -> SpeechCommandsSettings:
        shortest, longest = self.pause_seconds
        if not 0 <= shortest <= longest < math.inf:
            raise ValueError(
                f"pause_seconds is {self.pause_seconds}; it must be a shortest, from 0, and a longest pause"
            )
        return self


class RecordingsSettings(Settings):
    """Recordings of one's own, each with its text, listed in a manifest: a line of JSON for every utterance."""

    source: Literal["recordings"] = "recordings"
    manifest: str | dict[Split, str] = Field(
        min_length=1,
        description="path of the manifest, or the path of each split's; a relative one starts at the working directory",
    )
    alphabet: Alphabet | None = Field(
        default=None, description="characters of the texts; none: English small letters, apostrophe and space"
    )
    texts: Literal["normalised", "as_written"] = Field(
        default="normalised", description="as_written: a text that the normaliser would change is a fault"
    )
    skip_bad: bool = Field(default=False, description="entries with faults are left out; else they are an error")
    shard_utterances: Positive = 500


# Five hours of LibriSpeech; without a test set of its own, it takes that of LibriSpeech, whose speakers are others.
MINI_LIBRISPEECH = LibriSpeechSettings(
    subsets={"train": ("train-clean-5",), "dev": ("dev-clean-2",), "test": ("test-clean",)}
)

CorpusSettings = Annotated[
    SyntheticSettings | LibriSpeechSettings | SpeechCommandsSettings | RecordingsSettings,
    Field(discriminator="source"),
]
