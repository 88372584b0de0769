"""Synthetic speakers: the voices of espeak-ng, each with its own pace and pitch."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin, resample_poly

from paper_lib.corpus import espeak
from paper_lib.corpus.features import SAMPLE_RATE
from paper_lib.settings import Split

# British "en" takes variants; its alias "en-gb" takes none.
ACCENTS = ("en", "en-us", "en-us-nyc", "en-029", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-x-rp")
# Vocal tracts, without whispers, robots, chipmunks, all but one of near copies, and Reed, which never sounds the same
# twice: its breath comes from memory that nobody has written.
_VARIANTS = """
Alex Alicia Andrea Andy Annie AnxiousAndy Denis Diogo Gene Henrique Hugo Jacky Lee Marco Mario Michael Mike Nguyen
Storm adam anika antonio aunty belinda benjamin boris croak david ed edward f1 f2 f3 f4 f5 grandma grandpa gustave iven
iven4 john klatt klatt4 klatt5 klatt6 linda m1 m2 m3 m4 m5 m6 m7 m8 marcelo max michel miguel mike2 norbert pablo paul
pedro quincy rob robert sandro shelby steph travis victor
"""
VARIANTS = tuple(_VARIANTS.split())
RATES = (170, 230)  # words a minute
PITCHES = (35, 65)  # 50 is the variant's own

_UP, _DOWN = Fraction(SAMPLE_RATE, espeak.SAMPLE_RATE).as_integer_ratio()
_MARGIN = 800  # samples, 50 ms
_SILENCE = 0.01  # of the peak


@dataclass(frozen=True)
class Speaker:
    """One person: the same accent, vocal tract, pace and pitch in every utterance."""

    accent: str
    variant: str
    rate: int  # words a minute
    pitch: int  # from 0 to 99

    @property
    def name(self) -> str:
        return f"{self.accent}+{self.variant}"


def split_of(variant: str) -> Split:
    """Returns the split for which `variant` is kept where dev and test speakers must be unheard, under any accent.

    Every third variant is kept for test, and every eighth of the others for dev.
    """
    if variant in VARIANTS[::3]:
        return "test"
    others = [other for other in VARIANTS if other not in VARIANTS[::3]]
    return "dev" if variant in others[::8] else "train"


@cache
def all_speakers() -> tuple[Speaker, ...]:
    """Returns every speaker. No two share accent and variant; any `len(ACCENTS)` in a row have all the accents."""
    rng = np.random.default_rng(0)
    orders = [rng.permutation(VARIANTS) for _ in ACCENTS]
    return tuple(
        Speaker(accent, str(order[turn]), int(rng.integers(*RATES)), int(rng.integers(*PITCHES)))
        for turn in range(len(VARIANTS))
        for accent, order in zip(ACCENTS, orders, strict=True)
    )


def speak(text: str, speaker: Speaker) -> NDArray[np.float32]:
    """Returns `text` spoken at 16 kHz, [samples], with a peak of 0.5 and 50 ms of silence at both ends.

    The level is set because the loudest variant is eight times as loud as the quietest. Raises SynthesiserError.
    """
    spoken = espeak.synthesise(text, speaker.name, speaker.rate, speaker.pitch).astype(np.float32)
    waveform = resample_poly(spoken, _UP, _DOWN, window=_low_pass())
    level = np.abs(waveform)
    loud = np.flatnonzero(level > _SILENCE * level.max())
    scaled = waveform[loud[0] : loud[-1] + 1] * np.float32(0.5 / level.max())
    return np.pad(scaled, _MARGIN).astype(np.float32, copy=False)


@cache
def _low_pass() -> NDArray[np.float32]:
    """Returns the filter that scipy would design again for every utterance."""
    return firwin(20 * _DOWN + 1, 1 / _DOWN, window=("kaiser", 5.0)).astype(np.float32)
