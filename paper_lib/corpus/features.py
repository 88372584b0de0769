"""Log-mel features, with numpy and scipy alone: a process that makes speech starts without torch."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, sparse
from scipy.signal.windows import hann

from paper_lib.settings import MEL_BINS

SAMPLE_RATE = 16_000  # Hz
WINDOW, HOP = 400, 160  # samples, 25 and 10 ms
FFT = 512
# Added to the power in every bin, about -80 dB of full scale: synthetic silence is exactly zero.
FLOOR = 1e-6


def frame_count(samples: int) -> int:
    """Returns the number of whole windows in `samples`; a waveform shorter than one window is padded to one."""
    return 1 + (max(samples, WINDOW) - WINDOW) // HOP


def log_mel(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the natural logarithm of the mel power spectrum of `waveform` [samples] at 16 kHz: [frames, 80].

    Hann windows of 25 ms every 10 ms without padding; triangular filters, spaced by the HTK mel scale from 0 to 8 kHz.
    """
    padded = np.pad(waveform.astype(np.float32, copy=False), (0, max(0, WINDOW - len(waveform))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    spectrum = fft.rfft(windows * hann(WINDOW, sym=False).astype(np.float32), FFT)
    power = spectrum.real**2 + spectrum.imag**2
    # A sparse product sums in one order on every machine and with any number of threads, as BLAS would not.
    mel = mel_filters() @ np.ascontiguousarray(power.T)
    return np.ascontiguousarray(np.log(mel.T + np.float32(FLOOR)))


@cache
def mel_filters() -> sparse.csr_array:
    """Returns the triangular filters, [80, 257], each with a peak of 1."""
    edges = _mel_to_hertz(np.linspace(0, _hertz_to_mel(SAMPLE_RATE / 2), MEL_BINS + 2))
    frequencies = np.linspace(0, SAMPLE_RATE / 2, FFT // 2 + 1)
    rising = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    return sparse.csr_array(np.maximum(0, np.minimum(rising, falling)).astype(np.float32))


def _hertz_to_mel(hertz: float) -> float:
    return 2595 * float(np.log10(1 + hertz / 700))


def _mel_to_hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return 700 * (10 ** (mel / 2595) - 1)
