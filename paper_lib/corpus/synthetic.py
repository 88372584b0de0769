"""Speech that is made here: a sentence of a grammar, spoken by a synthetic speaker, through an acoustic channel.

Every utterance is a function of (settings, split, index). Its words and its speaker do not depend on the channels.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from paper_lib.corpus import flite
from paper_lib.corpus.cache import Shard, Utterance
from paper_lib.corpus.channels import transmit
from paper_lib.corpus.features import log_mel
from paper_lib.corpus.grammars import sentence_of_split
from paper_lib.corpus.speakers import Speaker, all_speakers, speak, split_of
from paper_lib.settings import Channel, Domain, Split, SyntheticSettings

# A change of anything that an utterance is made of (grammars, speakers, channels, features) raises this by one.
FORMAT_VERSION = 5

SPLITS: tuple[Split, ...] = ("train", "dev", "test")

Name = TypeVar("Name", bound=str)


def version(settings: SyntheticSettings) -> str:
    """Returns what, beside the settings, determines the corpus."""
    if settings.synthesiser == "flite":
        return f"synthetic {FORMAT_VERSION}, flite {flite.VERSION}"
    return f"synthetic {FORMAT_VERSION}, espeakng-loader {importlib.metadata.version('espeakng-loader')}"


def check(settings: SyntheticSettings) -> None:
    """Raises ValueError, with the reason, for a corpus that cannot be made."""
    for name in ("domains", "evaluation_domains", "channels"):
        if (shares := getattr(settings, name)) is None:
            continue
        if not shares or min(shares.values()) < 0 or not sum(shares.values()) > 0:
            raise ValueError(f"{name} needs shares of at least 0, not all of them 0; it is {dict(shares)}")
    if missing := [split for split in settings.utterances if split not in settings.speakers]:
        raise ValueError(f"speakers says nothing of {', '.join(missing)}, which utterances asks for")
    there = {split: len(_candidates(settings, split)) for split in settings.speakers}
    if any(wanted > there[split] for split, wanted in settings.speakers.items()):
        raise ValueError(f"speakers asks for {dict(settings.speakers)}; there are {there}")
    if settings.synthesiser == "flite" and settings.unseen_speakers and len(settings.utterances) > 1:
        raise ValueError(
            f"unseen_speakers is True, and utterances asks for {', '.join(settings.utterances)}: all of flite's "
            f"{len(flite.VOICES)} voices speak in every split, so ask for one split alone, or set it to False"
        )


def count(settings: SyntheticSettings, split: Split) -> int:
    """Returns the number of utterances of `split`."""
    return settings.utterances.get(split, 0)


def speakers_of(settings: SyntheticSettings, split: Split) -> tuple[Speaker, ...]:
    """Returns the speakers of `split`: as many as are wanted of those who may speak in it, always the first ones."""
    return _candidates(settings, split)[: settings.speakers[split]]


def _candidates(settings: SyntheticSettings, split: Split) -> tuple[Speaker, ...]:
    """Returns who may speak in `split`: everyone, or where speakers must be unseen, those of that split.

    The voices of flite are too few to be kept for one split.
    """
    if settings.synthesiser == "flite":
        return flite.VOICES
    if not settings.unseen_speakers:
        return all_speakers()
    return tuple(speaker for speaker in all_speakers() if split_of(speaker) == split)


def make_shard(settings: SyntheticSettings, split: Split, k: int) -> Shard:
    """Returns shard `k` of `split`, made now."""
    start = k * settings.shard_utterances
    utterances, features = [], []
    for index in range(start, min(start + settings.shard_utterances, count(settings, split))):
        drawn = _draw(settings, split, index)
        frames = log_mel(_hear(drawn, settings)).astype(np.float16)
        utterance = Utterance(
            f"{split}-{index}", drawn.text, drawn.speaker.name, drawn.domain, drawn.channel, len(frames)
        )
        utterances.append(utterance)
        features.append(frames)
    return Shard(utterances, np.concatenate(features))


def waveform(settings: SyntheticSettings, utterance_id: str) -> NDArray[np.float32]:
    """Returns the audio that the features of an utterance were computed from, [samples] at 16 kHz."""
    name, _, index = utterance_id.partition("-")
    split = SPLITS[[str(split) for split in SPLITS].index(name)]
    return _hear(_draw(settings, split, int(index)), settings)


@dataclass(frozen=True)
class _Draw:
    """One utterance, not yet spoken."""

    domain: Domain
    speaker: Speaker
    text: str
    channel: Channel
    acoustics: np.random.Generator  # of the room or the noise


def _draw(settings: SyntheticSettings, split: Split, index: int) -> _Draw:
    place = (settings.seed, SPLITS.index(split), index)
    words, acoustics = np.random.default_rng((*place, 0)), np.random.default_rng((*place, 1))
    domain = _choose((split != "train" and settings.evaluation_domains) or settings.domains, words)
    speakers = speakers_of(settings, split)
    speaker = speakers[words.integers(len(speakers))]
    text = sentence_of_split(domain, split, words, settings.most_words)
    return _Draw(domain, speaker, text, _choose(settings.channels, acoustics), acoustics)


def _hear(drawn: _Draw, settings: SyntheticSettings) -> NDArray[np.float32]:
    return transmit(speak(drawn.text, drawn.speaker), drawn.channel, settings.snr_db, drawn.acoustics)


def _choose(shares: Mapping[Name, float], rng: np.random.Generator) -> Name:
    """Returns one of the names, each as often as its share says; their order plays no part."""
    names = sorted(shares)
    weights = np.array([shares[name] for name in names])
    return names[rng.choice(len(names), p=weights / weights.sum())]
