"""Speech that a reader brings: a sentence that is typed and then spoken here, or a recording."""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from paper_lib.corpus.features import SAMPLE_RATE
from paper_lib.corpus.speakers import Speaker, speak
from paper_lib.corpus.tokens import ALPHABET

MOST_CHARACTERS = 120
LONGEST = 20  # seconds; a mini model has heard nothing half as long
SLOWEST_RATE = 8000  # Hz, that of a telephone
LEVEL = 0.5  # peak of every synthetic utterance, the only level that the models have heard


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


def typed(text: str, speaker: Speaker) -> Speech:
    """Returns `text` spoken by `speaker`, in small letters and without punctuation, as the models write.

    Raises SpeechError for an empty or too long text, and for characters that no model here can write.
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
    return Speech(speak(plain, speaker), f"“{plain}”, spoken by {speaker.name}", plain)


def recorded(content: bytes, name: str) -> Speech:
    """Returns the sound in the file `content`, called `name`: its channels averaged, at 16 kHz, at the models' level.

    Raises SpeechError for what is no sound, or too long, or holds nothing to hear.
    """
    try:
        about = soundfile.info(io.BytesIO(content))
    except soundfile.LibsndfileError:
        raise SpeechError(f"{name} is no sound file that can be read here: WAV, FLAC, OGG and MP3 can.") from None
    if about.samplerate < SLOWEST_RATE:
        raise SpeechError(f"{name} has {about.samplerate} samples a second; at least {SLOWEST_RATE} are needed.")
    if about.duration > LONGEST:
        minutes, seconds = divmod(round(about.duration), 60)
        length = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
        raise SpeechError(f"{name} lasts {length}; at most {LONGEST} s can be recognised. Cut out a sentence.")
    samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    peak = float(np.abs(mono).max(initial=0))
    if not math.isfinite(peak):
        raise SpeechError(f"{name} holds values that are not numbers.")
    if peak < 1e-4:  # −80 dB
        raise SpeechError(f"{name} is silent.")
    common = math.gcd(rate, SAMPLE_RATE)
    waveform = resample_poly(mono * (LEVEL / peak), SAMPLE_RATE // common, rate // common)
    return Speech(waveform.astype(np.float32), f"{name}, {about.duration:.1f} s")
