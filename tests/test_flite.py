"""The second synthesiser: the sentences of the first, by four voices that sound the same twice and like no other."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.spatial.distance import cdist

from paper_lib.corpus import open_corpus
from paper_lib.corpus.espeak import SynthesiserError
from paper_lib.corpus.features import log_mel
from paper_lib.corpus.flite import VOICES
from paper_lib.corpus.speakers import all_speakers, speak
from paper_lib.corpus.synthetic import version
from paper_lib.settings import SyntheticSettings


def spoken_by(synthesiser: str | None, **changes: Any) -> SyntheticSettings:
    fields: dict[str, Any] = {
        "synthesiser": synthesiser,
        "domains": {"short_form": 2.0, "telephone": 1.0},
        "channels": {"clean": 1.0, "telephone": 1.0, "far_field": 1.0, "noise": 1.0},
        "utterances": {"test": 16},
        "speakers": {"test": 4},
    }
    return SyntheticSettings(**fields | changes)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.usefixtures("flite")
def test_its_voices_say_what_the_first_synthesiser_says() -> None:
    one, other = (open_corpus(spoken_by(name)).shard("test", 0) for name in (None, "flite"))
    for index, (first, second) in enumerate(zip(one.utterances, other.utterances, strict=True)):
        assert (second.id, second.text, second.domain) == (first.id, first.text, first.domain)
        assert second.channel == first.channel
        assert not np.array_equal(one.features(index), other.features(index))
    assert {utterance.speaker for utterance in other.utterances} == {"awb", "kal16", "rms", "slt"}


@pytest.mark.usefixtures("flite")
def test_an_utterance_is_a_function_of_its_settings() -> None:
    corpus = open_corpus(spoken_by("flite", utterances={"test": 4}))
    shard = corpus.shard("test", 0)
    for index in reversed(range(4)):
        made = log_mel(corpus.waveform(f"test-{index}")).astype(np.float16)
        np.testing.assert_array_equal(shard.features(index), made)


SENTENCES = ("play jazz in the hallway", "find the cheapest pharmacy in rome", "add thirty seven minutes")


def cepstrum(waveform: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns 8 cepstral coefficients of every second frame, [frames, 8], without the utterance's mean."""
    coefficients = dct(log_mel(waveform)[::2].astype(float), norm="ortho")[:, 1:9]
    return coefficients - coefficients.mean(0)


def warped_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Returns the mean distance of two utterances' frames along the best alignment (dynamic time warping)."""
    steps = cdist(one, other)
    total = np.full((len(one) + 1, len(other) + 1), np.inf)
    total[0, 0] = 0
    for i, j in np.ndindex(*steps.shape):
        before = min(total[i, j] + steps[i, j], total[i, j + 1], total[i + 1, j])
        total[i + 1, j + 1] = before + steps[i, j]
    return float(total[-1, -1] / (len(one) + len(other)))


@pytest.mark.usefixtures("flite")
def test_every_voice_speaks_english_at_16_khz() -> None:
    people = all_speakers()[1:3]
    said = [[cepstrum(speak(sentence, person)) for person in people] for sentence in SENTENCES]
    for voice in VOICES:
        for place, sentence in enumerate(SENTENCES):
            waveform = speak(sentence, voice)
            assert waveform.dtype == np.float32
            assert np.abs(waveform).max() == pytest.approx(0.5)
            assert 120 < len(sentence.split()) / (len(waveform) / 16_000 / 60) < 300  # words a minute
            heard = [sum(warped_distance(cepstrum(waveform), other) for other in others) for others in said]
            assert int(np.argmin(heard)) == place, f"{voice.name}: {sentence}"


@pytest.mark.usefixtures("flite")
def test_voices_sound_the_same_twice_and_unlike_each_other() -> None:
    first = [speak(SENTENCES[0], voice) for voice in VOICES]
    again = [speak(SENTENCES[0], voice) for voice in reversed(VOICES)]
    for one, other in zip(first, reversed(again), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len({waveform.tobytes() for waveform in first}) == len(VOICES)


def test_a_corpus_of_the_first_synthesiser_keeps_its_name() -> None:
    # The digest that these settings had before there was a second one.
    first = spoken_by(None)
    assert first.digest() == "cbf1cff82c2e7a61"
    loader = importlib.metadata.version("espeakng-loader")
    assert version(first).endswith(f", espeakng-loader {loader}")
    assert version(spoken_by("flite")).endswith(", flite 2.2")
    assert open_corpus(spoken_by("flite")).digest != open_corpus(first).digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"synthesiser": "pico"}, "synthesiser\n.*should be 'flite'"),
        ({"speakers": {"test": 5}}, r"speakers asks for {'test': 5}; there are {'test': 4}"),
        (
            {"utterances": {"train": 8, "test": 8}, "speakers": {"train": 2, "test": 2}},
            "unseen_speakers is True, and utterances asks for train, test: all of flite's 4 voices",
        ),
    ],
)
def test_settings_that_cannot_be_met_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_corpus(spoken_by(**{"synthesiser": "flite"} | changes))


def test_voices_may_speak_in_several_splits_where_they_need_not_be_unseen() -> None:
    counts = {"train": 8, "test": 8}
    open_corpus(spoken_by("flite", utterances=counts, speakers={"train": 4, "test": 4}, unseen_speakers=False))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (None, r"the synthesiser flite is not installed: install it \(Debian or Ubuntu: apt install flite; "),
        ("echo '  version: flite-2.1-release Dec 2017'", "flite 2.2 is needed, and .*/flite says 'version: flite-2.1-"),
        (
            "[ $1 = -lv ] && echo 'Voices available: kal awb slt' || echo 'version: flite-2.2-current'",
            "lacks the voices kal16, rms; it has kal, awb, slt",
        ),
        (
            '[ $1 = -lv ] && echo "Voices available: kal16 awb rms slt" || '
            '{ [ $1 = --version ] && echo "version: flite-2.2-current"; } || { echo "out of memory" >&2; exit 3; }',
            "gave nothing, status 3: out of memory",
        ),
    ],
    ids=["none", "another version", "fewer voices", "no speech"],
)
def test_a_program_that_cannot_speak_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None, message: str
) -> None:
    if program:
        (tmp_path / "flite").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "flite").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    corpus = open_corpus(spoken_by("flite"))  # a record of it can be found
    with pytest.raises(SynthesiserError, match=message) as told:
        corpus.shard("test", 0)
    assert "\n" not in str(told.value)
