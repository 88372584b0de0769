"""Log-mel features against torchaudio's, and their edges."""

import numpy as np
import pytest
import torch
import torchaudio

from paper_lib.corpus.features import FFT, FLOOR, HOP, WINDOW, frame_count, log_mel, mel_filters


def test_features_are_torchaudios(rng: np.random.Generator) -> None:
    waveform = (0.1 * rng.standard_normal(16_000)).astype(np.float32)
    oracle = torchaudio.transforms.MelSpectrogram(
        16_000, n_fft=FFT, win_length=WINDOW, hop_length=HOP, n_mels=80, center=False
    )
    # torchaudio centres the window in its FFT, and reads as many samples more on both sides.
    beside = (FFT - WINDOW) // 2
    expected = (oracle(torch.from_numpy(np.pad(waveform, beside))).T + FLOOR).log().numpy()
    features = log_mel(waveform)
    assert features.dtype == np.float32
    assert features.shape == expected.shape == (frame_count(16_000), 80)
    np.testing.assert_allclose(features, expected, atol=2e-4)


def test_no_mel_filter_is_empty() -> None:
    assert (mel_filters().sum(axis=1) > 0).all()


@pytest.mark.parametrize(("samples", "frames"), [(0, 1), (1, 1), (400, 1), (559, 1), (560, 2), (16_000, 98)])
def test_frames_are_whole_windows_and_at_least_one(samples: int, frames: int) -> None:
    assert frame_count(samples) == frames
    assert log_mel(np.zeros(samples, np.float32)).shape == (frames, 80)


def test_silence_is_the_floor() -> None:
    np.testing.assert_allclose(log_mel(np.zeros(1600, np.float32)), np.log(FLOOR))


def test_a_tone_is_loudest_in_its_bin() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    frequencies = np.linspace(0, 8000, FFT // 2 + 1)
    centres = frequencies[mel_filters().toarray().argmax(1)]
    assert abs(centres[log_mel(tone).mean(0).argmax()] - 1000) < 40


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
