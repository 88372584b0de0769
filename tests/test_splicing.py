"""Words cut out of recordings and joined: what is kept, and what is heard in between."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import welch

from paper_lib.corpus.splicing import Word, cut_word, join


def tone(frequency: float, seconds: float, level: float = 0.3) -> NDArray[np.float64]:
    return level * np.sin(2 * np.pi * frequency * np.arange(round(16_000 * seconds)) / 16_000)


def recording_of(*parts: tuple[float, NDArray[np.float64]], noise: float = 0.0, offset: float = 0.0) -> NDArray:
    """Returns a second with `parts`, each from its time in seconds on."""
    recording = offset + noise * np.random.default_rng(0).standard_normal(16_000)
    for start, part in parts:
        recording[round(16_000 * start) :][: len(part)] += part
    return recording.astype(np.float32)


@pytest.mark.parametrize("noise", [0.0, 0.001, 0.02])
@pytest.mark.parametrize("offset", [0.0, 0.04])
def test_a_word_is_kept_with_50_ms_around_it(noise: float, offset: float) -> None:
    word = cut_word(recording_of((0.4, tone(500, 0.3)), noise=noise, offset=offset))
    assert len(word.speech) / 16_000 == pytest.approx(0.1 + 0.3, abs=0.03)
    assert abs(word.speech[:400].mean()) < 0.01


def test_hum_is_no_speech() -> None:
    recording = recording_of((0, tone(50, 1.0, level=0.1)), (0.4, tone(500, 0.3)), noise=0.001)
    assert len(cut_word(recording).speech) / 16_000 == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize("end", [tone(200, 0.2, level=0.03), tone(4000, 0.03, level=0.006)], ids=["nasal", "release"])
def test_a_weak_end_of_a_word_is_kept(end: NDArray[np.float64]) -> None:
    start = 0.75 - len(end) / 16_000
    recording = recording_of((0.2, tone(1500, 0.3)), (start, end), noise=1e-4)
    assert len(cut_word(recording).speech) / 16_000 == pytest.approx(0.05 + 0.55 + 0.05, abs=0.03)


def test_a_word_at_the_edge_of_its_recording_is_kept_to_the_edge() -> None:
    recording = recording_of((0, tone(500, 0.3)), noise=0.001)
    np.testing.assert_array_equal(cut_word(recording).speech[:3200], (recording - recording.mean())[:3200])


def noisy_word(level: float, color: NDArray[np.float64] | None = None) -> Word:
    recording = level * np.random.default_rng(1).standard_normal(16_000)
    if color is not None:
        recording = np.convolve(recording, color, mode="same")
    recording[8000:11_200] += tone(500, 0.2)
    return cut_word(recording.astype(np.float32))


def pause_in(words: list[Word], seconds: float) -> NDArray[np.float32]:
    joined = join(words, [seconds], np.random.default_rng(0))
    return joined[len(words[0].speech) :][: round(16_000 * seconds)]


@pytest.mark.parametrize("level", [0.0003, 0.003, 0.03])
def test_a_pause_has_the_level_of_the_background(level: float) -> None:
    pause = pause_in([noisy_word(level)] * 2, 1.0)
    assert 20 * np.log10(pause.std() / level) == pytest.approx(0, abs=1.5)


def test_a_pause_has_the_color_of_the_background() -> None:
    color = np.array([1.0, 0.9, 0.7, 0.4])
    frequencies, power = welch(pause_in([noisy_word(0.01, color)] * 2, 4.0), 16_000, nperseg=256)
    response = 0.01**2 * np.abs(np.exp(-2j * np.pi * np.outer(frequencies, np.arange(4)) / 16_000) @ color) ** 2 / 8000
    heard = slice(4, -4)
    assert np.abs(10 * np.log10(power[heard] / response[heard])).max() < 4


def test_a_pause_fades_from_one_background_to_the_next() -> None:
    pause = pause_in([noisy_word(0.0003), noisy_word(0.03)], 1.0)
    levels = [part.std() for part in np.split(pause, 10)]
    assert levels == sorted(levels)
    assert levels[0] < 0.006
    assert levels[-1] == pytest.approx(0.03, rel=0.2)


def test_the_background_of_silence_is_silence() -> None:
    word = cut_word(recording_of((0.4, tone(500, 0.3))))
    assert np.abs(pause_in([word] * 2, 0.5)).max() < 1e-4


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.3])
def test_words_stay_as_they_are_apart_from_their_edges(seconds: float) -> None:
    one, other = noisy_word(0.001), noisy_word(0.01)
    joined = join([one, other], [seconds], np.random.default_rng(0))
    assert len(joined) == len(one.speech) + round(16_000 * seconds) + len(other.speech)
    np.testing.assert_array_equal(joined[: len(one.speech) - 80], one.speech[:-80])
    np.testing.assert_array_equal(joined[-len(other.speech) + 80 :], other.speech[80:])


def test_no_click_where_a_word_begins_or_ends() -> None:
    words = [noisy_word(0.001), noisy_word(0.001)]
    joined = join(words, [0.2], np.random.default_rng(0))
    around = joined[len(words[0].speech) - 400 :][: 400 + 3200 + 400]
    assert np.abs(np.diff(around)).max() < 0.008
    assert np.abs(np.diff(words[0].speech)).max() > 0.05
