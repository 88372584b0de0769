"""Synthetic speakers: every one sounds as was drawn for them, the same twice, and like nobody else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.ndimage import gaussian_filter1d
from scipy.signal import detrend

from paper_lib.corpus.espeak import SAMPLE_RATE, Voice, synthesise
from paper_lib.corpus.features import log_mel
from paper_lib.corpus.speakers import ACCENTS, PEOPLE, RATES, Person, all_speakers, speak


def accent_of(speaker: Person) -> str:
    return speaker.name.partition("+")[0]


def test_every_voice_sounds_the_same_twice_and_in_any_order() -> None:
    people = all_speakers()[:104]
    first = [synthesise("call mom", person.voice, person.rate) for person in people]
    again = [synthesise("call mom", person.voice, person.rate) for person in reversed(people)]
    for person, one, other in zip(people, first, reversed(again), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=person.name)


def test_there_are_a_thousand_speakers_and_no_two_sound_alike() -> None:
    everyone = all_speakers()
    assert len(everyone) == PEOPLE == 1000
    spoken = {log_mel(speak("yes", speaker)).astype(np.float16).tobytes() for speaker in everyone[::3]}
    assert len(spoken) == len(everyone[::3])
    assert len({speaker.name for speaker in everyone}) == len({speaker.voice.tract for speaker in everyone}) == PEOPLE
    assert {accent_of(speaker) for speaker in everyone[100 : 100 + len(ACCENTS)]} == set(ACCENTS)
    assert all(RATES[0] <= speaker.rate < RATES[1] for speaker in everyone)


def test_speech_has_its_level_and_its_margins() -> None:
    for speaker in all_speakers()[:16]:
        waveform = speak("stop the radio", speaker)
        assert waveform.dtype == np.float32
        assert np.abs(waveform).max() == pytest.approx(0.5)
        assert not waveform[:800].any()
        assert not waveform[-800:].any()
        assert waveform[800] != 0 != waveform[-801]


SENTENCE = "the kids are at the museum and the oven in the hall"


def pitch_of(samples: NDArray[np.int16]) -> float:
    """Returns the median pitch, Hz, by the first high peak of the autocorrelation of every loud window of 80 ms."""
    waveform = samples.astype(float)
    window = np.hanning(round(0.08 * SAMPLE_RATE))
    lags = np.arange(SAMPLE_RATE // 400, SAMPLE_RATE // 60)
    own = _autocorrelation(window)
    pitches = []
    for start in range(0, len(waveform) - len(window), len(window) // 4):
        frame = waveform[start : start + len(window)]
        if frame.std() > waveform.std() / 4:
            found = _autocorrelation(window * (frame - frame.mean()))
            likeness = found[lags] / found[0] * own[0] / own[lags]
            peak = int(np.argmax(likeness > 0.85 * likeness.max()))
            while peak + 1 < len(lags) and likeness[peak + 1] > likeness[peak]:
                peak += 1
            if likeness[peak] > 0.6:  # else it has no voice
                pitches.append(SAMPLE_RATE / lags[peak])
    return float(np.median(pitches))


def _autocorrelation(frame: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.fft.irfft(np.abs(np.fft.rfft(frame, 2 * len(frame))) ** 2)


def drawn(speaker: Person, attribute: str) -> list[float]:
    """Returns the numbers of the first line of a tract that begins with `attribute`."""
    (line, *_) = [line for line in speaker.voice.tract.splitlines() if line.startswith(attribute)]
    return [float(number) for number in line.removeprefix(attribute).split()]


def test_a_voice_has_the_pitch_that_was_drawn_for_it() -> None:
    people = all_speakers()[:160]
    wanted = np.array([np.sqrt(np.prod(drawn(person, "pitch"))) for person in people])
    heard = np.array([pitch_of(synthesise(SENTENCE, person.voice, person.rate)) for person in people])
    assert np.quantile(heard / wanted, [0, 1]).tolist() == pytest.approx([1, 1.2], abs=0.06)
    for accent in ACCENTS:
        own = np.array([accent_of(person) == accent for person in people])
        assert own.sum() == 20
        assert stats.spearmanr(wanted[own], heard[own]).statistic > 0.9, accent
    women = np.array(["gender female" in person.voice.tract for person in people])
    assert 60 < women.sum() < 100
    assert np.median(heard[women]) > 1.5 * np.median(heard[~women])


SCALES = np.geomspace(0.75, 1.33, 81)  # of formants, that are tried
MIDDLE = np.geomspace(450, 3500, 280)  # Hz, where formants are compared


def spectrum(samples: NDArray[np.int16]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Returns the smoothed mean log spectrum of speech, without its slope, as a function of frequencies in Hz."""
    windows = np.lib.stride_tricks.sliding_window_view(samples.astype(float), 2048)[::512] * np.hanning(2048)
    power = (np.abs(np.fft.rfft(windows)) ** 2).mean(0)
    hertz = np.geomspace(300, 5000, 400)
    levels = gaussian_filter1d(np.log(np.interp(hertz, np.fft.rfftfreq(2048, 1 / SAMPLE_RATE), power)), 12)
    return lambda wanted: np.interp(wanted, hertz, detrend(levels))


def formant_scale(one: NDArray[np.int16], other: NDArray[np.int16]) -> float:
    """Returns by how much the formants of `one` are higher than those of `other`: where their spectra are most alike.

    They say the same at about the same pitch.
    """
    first, second = spectrum(one), spectrum(other)
    likeness = [np.corrcoef(first(scale * MIDDLE), second(MIDDLE))[0, 1] for scale in SCALES]
    return float(SCALES[int(np.argmax(likeness))])


@pytest.mark.parametrize("accent", ACCENTS)
def test_every_accent_is_spoken_with_the_vocal_tract_that_is_asked_for(accent: str) -> None:
    def said(scale: int, pitch: str) -> NDArray[np.int16]:
        formants = "".join(f"formant {formant} {scale} 100 100\n" for formant in range(9))
        return synthesise(SENTENCE, Voice(f"{accent}+tried", f"language variant\npitch {pitch}\n{formants}"), 180)

    for scale in (90, 110):
        assert formant_scale(said(scale, "100 120"), said(100, "100 120")) == pytest.approx(scale / 100, abs=0.02)
    assert pitch_of(said(100, "200 240")) == pytest.approx(2 * pitch_of(said(100, "100 120")), rel=0.05)


def test_a_voice_has_the_formants_that_were_drawn_for_it() -> None:
    people = all_speakers()[:160]
    wanted = np.array([np.mean([drawn(p, f"formant {k}")[0] for k in (1, 2, 3, 4)]) / 100 for p in people])
    heard = []
    for person in people:
        own_pitch = "\n".join(line for line in person.voice.tract.splitlines() if not line.startswith("formant"))
        plain = synthesise(SENTENCE, Voice(f"{accent_of(person)}+plain", f"{own_pitch}\n"), 180)
        heard.append(formant_scale(synthesise(SENTENCE, person.voice, 180), plain))
    assert np.median(np.abs(np.array(heard) / wanted - 1)) < 0.04
    for accent in ACCENTS:
        own = np.array([accent_of(person) == accent for person in people])
        assert stats.spearmanr(wanted[own], np.array(heard)[own]).statistic > 0.7, accent
