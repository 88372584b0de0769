"""Words cut out of recordings, and joined into a string that sounds as if it had been said at one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.signal import butter, oaconvolve, sosfilt
from scipy.signal.windows import hann

from paper_lib.corpus.features import HOP, SAMPLE_RATE, WINDOW

SPEECH_DB = 30.0  # below the loudest frame of a word, a frame is no speech
BACKGROUND_DB = 10.0  # up to so much above the background, a frame is no speech either
MARGIN = 5  # frames kept before and after the speech, 50 ms
LEAST_CONTRAST_DB = 10.0  # of the loudest frame against the background
LEAST_SPEECH = 10  # frames, 100 ms: less is a piece of a word
FADE = 80  # samples, 5 ms
FEWEST_FRAMES = 5  # that the background is estimated from
TAPS = 512  # of the filter that colours noise like the background


@dataclass(frozen=True)
class Word:
    """A recording of one word, taken apart."""

    speech: NDArray[np.float32]  # [samples]
    background: NDArray[np.float64]  # power density of what is heard beside the speech, [bins from 0 to 8 kHz]


def cut_word(recording: NDArray[np.float32]) -> Word:
    """Returns the word in `recording`, [samples] at 16 kHz, of at least one window; its mean is taken out.

    Raises ValueError as `find_speech`.
    """
    recording = recording - recording.mean()
    first, last, loudness = find_speech(recording)
    start, end = max(0, first - MARGIN), last + 1 + MARGIN
    beside = np.r_[0:start, end : len(loudness)]
    if len(beside) < FEWEST_FRAMES:
        beside = np.argsort(loudness, kind="stable")[:FEWEST_FRAMES]
    return Word(recording[start * HOP : end * HOP], _density(recording, beside))


def find_speech(
    recording: NDArray[np.float32], least_contrast: float = LEAST_CONTRAST_DB
) -> tuple[int, int, NDArray[np.float64]]:
    """Returns the first and the last frame with speech of `recording`, and how loud each frame is, dB, [frames].

    A frame of 10 ms is speech where its level is within 30 dB of the loudest one and stands out from the background: by
    10 dB, or by half of what the loudest does. Two levels count: that of what is above 100 Hz, in which a vowel or a
    nasal is heard, and that of the differences from sample to sample, in which weak consonants are; one that never
    stands out by `least_contrast`, dB, is noise, and does not count. Raises ValueError where nothing stands out, or no
    more than a piece of a word.
    """
    signals = sosfilt(_above_hum(), recording.astype(np.float64)), np.diff(recording.astype(np.float64), prepend=0)
    levels = np.array([_levels(signal) for signal in signals])
    quiet, loudest = np.quantile(levels, [0.1, 1], axis=1, keepdims=True)
    contrast = loudest - quiet
    least = np.maximum(loudest - SPEECH_DB, quiet + np.minimum(BACKGROUND_DB, contrast / 2))
    places = np.flatnonzero((levels > np.where(contrast < least_contrast, np.inf, least)).any(0))
    if not len(places):
        raise ValueError("is silent: nothing in it stands out from its background")
    first, last = int(places[0]), int(places[-1])
    if last + 1 - first < LEAST_SPEECH:
        raise ValueError(f"has {10 * (last + 1 - first)} ms of speech: less than a word")
    return first, last, levels.max(0)


def join(words: Sequence[Word], pauses: Sequence[float], rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns `words` one after another, `pauses` seconds apart: one pause less than words. [samples]

    In a pause the background of one word fades into that of the next: noise drawn from `rng`, coloured like them.
    """
    joined = words[0].speech
    for before, after, seconds in zip(words, words[1:], pauses, strict=False):
        samples = round(seconds * SAMPLE_RATE) + 2 * FADE
        out, into = _fades(samples)
        noise = out * _noise(before.background, samples, rng) + into * _noise(after.background, samples, rng)
        joined = _overlap(_overlap(joined, noise.astype(np.float32)), after.speech)
    return joined


def _levels(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the level of every whole frame of 10 ms, dB."""
    frames = signal[: len(signal) // HOP * HOP].reshape(-1, HOP)
    return 10 * np.log10((frames**2).mean(1) + 1e-12)


@cache
def _above_hum() -> NDArray[np.float64]:
    return butter(4, 100, "highpass", fs=SAMPLE_RATE, output="sos")


def _density(recording: NDArray[np.float32], frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the power density of `recording` around `frames`, by the median: a click in one of them has no weight."""
    starts = np.clip(frames * HOP - (WINDOW - HOP) // 2, 0, len(recording) - WINDOW)
    window = hann(WINDOW, sym=False)
    windows = np.lib.stride_tricks.sliding_window_view(recording, WINDOW)[starts] * window
    power = np.abs(fft.rfft(windows, TAPS)) ** 2 / (window**2).sum()
    return np.median(power, axis=0) / np.log(2)  # the mean of a power that is distributed exponentially, as noise is


def _noise(density: NDArray[np.float64], samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    taps = np.roll(fft.irfft(np.sqrt(density), TAPS), TAPS // 2) * hann(TAPS, sym=False)
    return oaconvolve(rng.standard_normal(samples + TAPS - 1), taps, mode="valid")


def _overlap(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns `one` and then `other`; the end of one and the start of the other fade into each other."""
    out, into = _fades(FADE)
    return np.concatenate([one[:-FADE], out * one[-FADE:] + into * other[:FADE], other[FADE:]])


def _fades(samples: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns the weights of what goes and of what comes; their squares add up to 1, as powers of noise do."""
    angle = (np.arange(samples) + 0.5) / samples * np.pi / 2
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
