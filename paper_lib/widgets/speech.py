"""Speech that a reader brings: a sentence that is typed and then spoken here, or a recording."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paper_lib.corpus.features import SAMPLE_RATE
from paper_lib.corpus.recordings import (
    SILENCE,
    SLOWEST_RATE,
    RecordingError,
    mixed,
    open_recording,
    resampled,
    samples_of,
)
from paper_lib.corpus.speakers import ACCENTS, LEVEL, Speaker, all_speakers, speak
from paper_lib.corpus.synthetic import speakers_of
from paper_lib.settings import ALPHABET, SyntheticSettings
from paper_lib.widgets.shipped import ShippedModel

MOST_CHARACTERS = 120
LONGEST = 20  # seconds; a mini model has heard nothing half as long
PAUSE = 0.15  # seconds between words that are said one by one


class SpeechError(ValueError):
    """Text that cannot be spoken, or a file that cannot be recognised; the message says why and what can."""


@dataclass(frozen=True)
class Speech:
    """What a model is asked to recognise."""

    waveform: NDArray[np.float32]  # [samples] at 16 kHz
    label: str  # what it is, in a few words
    text: str | None = None  # what was said, where that is known

    @property
    def seconds(self) -> float:
        return len(self.waveform) / SAMPLE_RATE


def typed(text: str, speaker: Speaker, known: Collection[str] | None = None) -> Speech:
    """Returns `text` spoken by `speaker`, in small letters and without punctuation, as the models write.

    Raises SpeechError for an empty or too long text, for characters that no model here can write, and for words that
    are not among the `known` ones where a model knows only these; such words are said one by one, as it learnt them.
    """
    plain = re.sub(r"[-–—/]", " ", text.lower().replace("’", "'"))
    plain = " ".join(re.sub(r"[.,;:!?…\"“”()]", "", plain).split())
    if not plain.replace("'", "").strip():
        raise SpeechError("There is nothing to say: type a sentence.")
    if len(plain) > MOST_CHARACTERS:
        raise SpeechError(f"The sentence has {len(plain)} characters; at most {MOST_CHARACTERS} can be spoken.")
    if foreign := sorted(set(plain) - set(ALPHABET)):
        digits = " (write numbers as words)" if any(character.isdigit() for character in foreign) else ""
        raise SpeechError(f"The models write English letters and the apostrophe, not {' '.join(foreign)}{digits}.")
    if known is not None and (unknown := [word for word in dict.fromkeys(plain.split()) if word not in known]):
        raise SpeechError(f"The model knows the words {', '.join(known)}, not {', '.join(unknown)}.")
    waveform = speak(plain, speaker) if known is None else _one_by_one(plain.split(), speaker)
    return Speech(waveform, f"“{plain}”, spoken by {speaker.name}", plain)


def recorded(content: bytes, name: str) -> Speech:
    """Returns the sound in the file `content`, called `name`: its channels averaged, at 16 kHz, at the models' level.

    A constant offset is taken away. Where the average cancels the sound, as in channels of opposite phase, the loudest
    channel stands for all. Raises SpeechError for what is no sound, or damaged, or too long, or holds nothing to hear.
    """
    try:
        with open_recording(content, name) as file:
            rate, promised = file.samplerate, file.frames
            if rate < SLOWEST_RATE:
                raise SpeechError(f"{name} has {rate} samples a second; at least {SLOWEST_RATE} are needed.")
            samples = samples_of(file, name, LONGEST * rate + 1)
    except RecordingError as error:
        raise SpeechError(str(error)) from None
    if len(samples) > LONGEST * rate:
        minutes, seconds = divmod(round(promised / rate), 60)
        length = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
        raise SpeechError(f"{name} lasts {length}; at most {LONGEST} s can be recognised. Cut out a sentence.")
    if not np.isfinite(samples).all():
        raise SpeechError(f"{name} holds values that are not numbers.")
    mono = mixed(samples)
    mono -= mono.mean()
    peak = float(np.abs(mono).max())
    if peak < SILENCE:
        raise SpeechError(f"{name} is silent.")
    return Speech(resampled(mono * (LEVEL / peak), rate), f"{name}, {len(samples) / rate:.1f} s")


def voices(shipped: ShippedModel) -> list[tuple[str, Speaker]]:
    """Returns two speakers of each accent by label: one whom the model heard in training, and one whom it did not.

    Of a model that was fine-tuned on people, its base heard them.
    """
    corpus = (shipped.run.base or shipped.run).corpus
    assert isinstance(corpus, SyntheticSettings)
    known = speakers_of(corpus, "train")
    new = [speaker for speaker in all_speakers() if speaker not in known]
    count = len(ACCENTS)
    labelled = [(f"{speaker.name}, known", speaker) for speaker in known[:count]]
    return labelled + [(f"{speaker.name}, new", speaker) for speaker in new[-count:]]


def _one_by_one(words: Sequence[str], speaker: Speaker) -> NDArray[np.float32]:
    pause = np.zeros(round(PAUSE * SAMPLE_RATE), np.float32)
    return np.concatenate([part for word in words for part in (pause, speak(word, speaker))][1:])
