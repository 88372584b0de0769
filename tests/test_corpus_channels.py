"""Channels: bands, decay and noise measured on what comes out."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import welch

from paper_lib.corpus.channels import add_noise, room_impulse_response, telephone, transmit
from paper_lib.settings import Channel


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def white(rng: np.random.Generator) -> NDArray[np.float32]:
    return (0.1 * rng.standard_normal(32_000)).astype(np.float32)


def power_db(signal: NDArray[np.float32], low: float, high: float) -> float:
    frequencies, density = welch(signal, 16_000, nperseg=1024)
    return float(10 * np.log10(density[(frequencies >= low) & (frequencies <= high)].mean()))


def test_telephone_passes_its_band_only(white: NDArray[np.float32]) -> None:
    received = telephone(white)
    band = power_db(received, 400, 3200)
    assert abs(band - power_db(white, 400, 3200)) < 0.5
    assert power_db(received, 0, 150) < band - 25
    assert power_db(received, 4400, 8000) < band - 75


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 12.5, 30.0])
def test_noise_has_the_signal_to_noise_ratio_asked_for(
    white: NDArray[np.float32], rng: np.random.Generator, snr_db: float
) -> None:
    noise = add_noise(white, snr_db, rng).astype(np.float64) - white
    assert 10 * np.log10(np.mean(white.astype(np.float64) ** 2) / np.mean(noise**2)) == pytest.approx(snr_db, abs=0.01)


@pytest.mark.parametrize("reverberation", [0.2, 0.45, 0.7])
def test_room_decays_by_60_db_in_its_reverberation_time(reverberation: float, rng: np.random.Generator) -> None:
    tail = room_impulse_response(reverberation, 0.0, rng)[1:]
    # Schroeder 1965: the energy that is still to come, here from -5 to -25 dB.
    left = 10 * np.log10(np.cumsum(tail[::-1] ** 2)[::-1] / np.sum(tail**2))
    span = np.flatnonzero((left < -5) & (left > -25))
    slope = np.polyfit(span / 16_000, left[span], 1)[0]
    assert -60 / slope == pytest.approx(reverberation, rel=0.15)


def test_room_has_the_direct_to_reverberant_ratio_asked_for(rng: np.random.Generator) -> None:
    response = room_impulse_response(0.4, 6.0, rng)
    assert 10 * np.log10(response[0] ** 2 / np.sum(response[1:] ** 2)) == pytest.approx(6.0)


@pytest.mark.parametrize("channel", ["clean", "telephone", "far_field", "noise"])
def test_a_channel_keeps_the_length_and_repeats_itself(white: NDArray[np.float32], channel: Channel) -> None:
    # An odd length: the telephone halves the rate.
    sent = white[:12_345]
    received = [transmit(sent, channel, (10.0, 20.0), np.random.default_rng(7)) for _ in range(2)]
    assert received[0].shape == sent.shape
    assert received[0].dtype == np.float32
    np.testing.assert_array_equal(*received)
    assert np.array_equal(received[0], sent) == (channel == "clean")
