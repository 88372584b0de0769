"""Acoustic channels between a speaker's mouth and the recogniser. Waveforms are [samples] at 16 kHz."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.signal import fftconvolve, firwin, resample_poly

from paper_lib.corpus.features import SAMPLE_RATE
from paper_lib.settings import Channel

TELEPHONE_BAND = (300.0, 3400.0)  # Hz
REVERBERATION = (0.2, 0.7)  # seconds until the reverberation has decayed by 60 dB
DIRECT_TO_REVERBERANT = (-3.0, 9.0)  # dB
# Exponent of the noise's power spectrum: 0 is white, 1 pink, 2 brown.
NOISE_SLOPE = (0.0, 2.0)
# Of G.711's logarithmic quantiser with 256 levels.
_MU = 255


def transmit(
    waveform: NDArray[np.float32], channel: Channel, snr_db: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Returns `waveform` as received through `channel`, as long as it was.

    Room and noise are drawn from `rng`; `snr_db` is the range of the noise channel's signal-to-noise ratio.
    """
    match channel:
        case "clean":
            return waveform
        case "telephone":
            return telephone(waveform)
        case "far_field":
            room = room_impulse_response(rng.uniform(*REVERBERATION), rng.uniform(*DIRECT_TO_REVERBERANT), rng)
            return fftconvolve(waveform, room)[: len(waveform)].astype(np.float32)
        case "noise":
            return add_noise(waveform, rng.uniform(*snr_db), rng)


def telephone(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns `waveform` through a narrow-band telephone line: 300 to 3400 Hz, 8 kHz, 8-bit μ-law (ITU-T G.711)."""
    narrow = resample_poly(fftconvolve(waveform, _telephone_filter(), mode="same"), 1, 2, window=_half_band())
    compressed = np.sign(narrow) * np.log1p(_MU * np.minimum(np.abs(narrow), 1)) / np.log1p(_MU)
    quantised = np.round(compressed * 127) / 127
    expanded = np.sign(quantised) * np.expm1(np.abs(quantised) * np.log1p(_MU)) / _MU
    return resample_poly(expanded, 2, 1, window=_half_band())[: len(waveform)].astype(np.float32)


@cache
def _telephone_filter() -> NDArray[np.float64]:
    return firwin(401, TELEPHONE_BAND, pass_zero=False, fs=SAMPLE_RATE)


@cache
def _half_band() -> NDArray[np.float64]:
    """Returns the filter for 8 kHz; scipy's own leaves an image of the band, 60 dB down, above the features' floor."""
    return firwin(161, 0.5, window=("kaiser", 9.0))


def room_impulse_response(
    reverberation: float, direct_to_reverberant_db: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Returns a room's impulse response, [samples]: the direct sound, then noise that decays exponentially.

    The noise has lost 60 dB after `reverberation` seconds (Moorer 1979, "About this reverberation business"); the
    energy of the direct sound is `direct_to_reverberant_db` above all of it.
    """
    samples = round(reverberation * SAMPLE_RATE)
    tail = rng.standard_normal(samples) * 10 ** (-3 * np.arange(1, samples + 1) / samples)
    tail *= np.sqrt(10 ** (-direct_to_reverberant_db / 10) / np.sum(tail**2))
    return np.concatenate([[1.0], tail])


def add_noise(waveform: NDArray[np.float32], snr_db: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns `waveform` with stationary coloured noise, `snr_db` below its mean power."""
    samples = fft.next_fast_len(len(waveform), real=True)
    spectrum = fft.rfft(rng.standard_normal(samples))
    frequency = np.maximum(fft.rfftfreq(samples, 1 / SAMPLE_RATE), 50.0)
    noise = fft.irfft(spectrum * frequency ** (-rng.uniform(*NOISE_SLOPE) / 2), samples)[: len(waveform)]
    power = np.mean(waveform.astype(np.float64) ** 2) / 10 ** (snr_db / 10)
    return (waveform + noise * np.sqrt(power / np.mean(noise**2))).astype(np.float32)
