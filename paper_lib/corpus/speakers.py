"""Synthetic speakers: espeak-ng's accents, spoken by vocal tracts that are drawn here, one for every person."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin, resample_poly

from paper_lib.corpus import espeak
from paper_lib.corpus.features import SAMPLE_RATE
from paper_lib.settings import Split

# British "en" takes variants; its alias "en-gb" takes none.
ACCENTS = ("en", "en-us", "en-us-nyc", "en-029", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-x-rp")
PEOPLE = 1000
RATES = (165, 235)  # words a minute
# Of women and men, in this order. Formants are relative to espeak-ng's own, which are a man's.
_TRACTS = (1.13, 0.98)  # mean scale of all formants: a shorter tract has higher ones
_MEDIAN_PITCHES = (190.0, 110.0)  # Hz

UP, DOWN = Fraction(SAMPLE_RATE, espeak.SAMPLE_RATE).as_integer_ratio()  # from its rate of samples to the models'
MARGIN = 800  # samples, 50 ms, of silence at both ends
QUIET = 0.01  # of the peak: no louder is silence
LEVEL = 0.5  # the peak of every utterance, the only level that the models have heard


class Speaker(Protocol):
    """Who says a sentence, always with the same voice."""

    @property
    def name(self) -> str: ...

    def say(self, text: str) -> NDArray[np.float32]:
        """Returns `text` spoken at 16 kHz, [samples], at any level. Raises SynthesiserError."""


@dataclass(frozen=True)
class Person:
    """One person whom espeak-ng speaks as: the same accent, vocal tract and pace in every utterance.

    No two people share a vocal tract.
    """

    number: int  # from 0
    voice: espeak.Voice
    rate: int  # words a minute

    @property
    def name(self) -> str:
        return self.voice.name

    def say(self, text: str) -> NDArray[np.float32]:
        spoken = espeak.synthesise(text, self.voice, self.rate).astype(np.float32)
        return resample_poly(spoken, UP, DOWN, window=low_pass())


def split_of(person: Person) -> Split:
    """Returns the split for which `person` is kept where dev and test speakers must be unheard.

    Of those with one accent every fourth is kept for test, and every tenth for dev.
    """
    turn = person.number // len(ACCENTS)
    if turn % 4 == 3:
        return "test"
    return "dev" if turn % 10 == 0 else "train"


@cache
def all_speakers() -> tuple[Person, ...]:
    """Returns every speaker of espeak-ng; any `len(ACCENTS)` in a row have all the accents."""
    return tuple(_person(number) for number in range(PEOPLE))


def _person(number: int) -> Person:
    rng = np.random.default_rng((0, number))
    accent = ACCENTS[number % len(ACCENTS)]
    voice = espeak.Voice(f"{accent}+p{number:03}", _vocal_tract(rng))
    return Person(number, voice, int(rng.integers(*RATES)))


def _vocal_tract(rng: np.random.Generator) -> str:
    """Returns a description of a voice, as espeak-ng reads it: its pitch, its roughness, and its formants.

    Formants are multiplied by one scale, which is the length of the tract, and each a little by its own.
    """
    sex = int(rng.integers(2))
    scale = _TRACTS[sex] * rng.normal(1, 0.05)
    low = _MEDIAN_PITCHES[sex] * 2 ** (rng.normal(0, 2.5) / 12) / (span := rng.uniform(1.1, 1.3))
    lines = [
        f"gender {('female', 'male')[sex]}",
        f"pitch {low:.0f} {low * span**2:.0f}",
        f"flutter {rng.integers(12)}",
        f"roughness {rng.integers(5)}",
        f"consonants {rng.integers(80, 121)} {rng.integers(80, 121)}",
    ]
    for formant in range(9):
        frequency = 100 * scale * rng.normal(1, 0.03)
        lines.append(f"formant {formant} {frequency:.0f} {rng.integers(75, 106)} {rng.integers(85, 141)}")
    return "\n".join(["language variant", *lines, ""])


def speak(text: str, speaker: Speaker) -> NDArray[np.float32]:
    """Returns `text` spoken at 16 kHz, [samples], with a peak of `LEVEL` and 50 ms of silence at both ends.

    The level is set because the loudest voice is several times as loud as the quietest. Raises SynthesiserError.
    """
    waveform = speaker.say(text)
    level = np.abs(waveform)
    loud = np.flatnonzero(level > QUIET * level.max())
    scaled = waveform[loud[0] : loud[-1] + 1] * np.float32(LEVEL / level.max())
    return np.pad(scaled, MARGIN).astype(np.float32, copy=False)


@cache
def low_pass() -> NDArray[np.float32]:
    """Returns the filter that scipy would design again for every utterance: half of its taps on each side of one."""
    return firwin(20 * DOWN + 1, 1 / DOWN, window=("kaiser", 5.0)).astype(np.float32)
