"""Synthetic speech: reproducible to the byte, in splits that share nothing, by speakers who differ."""

import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paper_lib.corpus import Corpus, open_corpus
from paper_lib.corpus.features import log_mel
from paper_lib.corpus.grammars import split_of
from paper_lib.corpus.speakers import ACCENTS, PEOPLE, all_speakers
from paper_lib.corpus.speakers import split_of as split_of_speaker
from paper_lib.corpus.synthetic import speakers_of
from paper_lib.settings import Domain, Split, SyntheticSettings

SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def small(**changes: Any) -> SyntheticSettings:
    fields: dict[str, Any] = {
        "domains": {"short_form": 2.0, "telephone": 1.0},
        "channels": {"clean": 1.0, "telephone": 1.0, "far_field": 1.0, "noise": 1.0},
        "utterances": {"train": 50, "dev": 12, "test": 12},
        "speakers": {"train": 8, "dev": 4, "test": 4},
        "shard_utterances": 20,
    }
    return SyntheticSettings(**fields | changes)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def files(directory: Path) -> dict[str, bytes]:
    """Returns the content of every shard's files, by path below `directory`."""
    paths = [path for path in directory.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def texts(corpus: Corpus, split: Split) -> list[str]:
    return [u.text for k in range(corpus.shards(split)) for u in corpus.shard(split, k).utterances]


def speakers(corpus: Corpus, split: Split) -> set[str]:
    return {u.speaker for k in range(corpus.shards(split)) for u in corpus.shard(split, k).utterances}


def test_two_caches_hold_the_same_bytes_whoever_made_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path / "pool"))
    open_corpus(small()).prepare(workers=2)
    assert "x real time" in capfd.readouterr().err
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path / "here"))
    corpus = open_corpus(small())
    for split in reversed(SPLITS):
        for k in reversed(range(corpus.shards(split))):
            corpus.shard(split, k)
    made = files(tmp_path / "pool")
    assert len(made) == 3 * (3 + 1 + 1)
    assert made == files(tmp_path / "here")


def test_an_utterance_does_not_depend_on_its_shard(cache: Path) -> None:
    one = open_corpus(small(shard_utterances=50)).shard("train", 0)
    some = open_corpus(small())
    for index, utterance in enumerate(one.utterances[40:], 40):
        assert utterance == some.shard("train", 2).utterances[index - 40]
        np.testing.assert_array_equal(one.features(index), some.shard("train", 2).features(index - 40))


def test_the_waveform_is_what_the_features_were_made_of(cache: Path) -> None:
    corpus = open_corpus(small())
    shard = corpus.shard("dev", 0)
    assert {utterance.channel for utterance in shard.utterances} == {"clean", "telephone", "far_field", "noise"}
    for index, utterance in enumerate(shard.utterances):
        features = shard.features(index)
        assert features.shape == (utterance.frames, 80)
        assert features.dtype == np.float16
        np.testing.assert_array_equal(features, log_mel(corpus.waveform(utterance.id)).astype(np.float16))


def test_splits_share_neither_sentences_nor_speakers(cache: Path) -> None:
    corpus = open_corpus(small())
    for split in SPLITS:
        assert {split_of(text) for text in texts(corpus, split)} == {split}
    assert len(set().union(*(speakers(corpus, split) for split in SPLITS))) == sum(
        len(speakers(corpus, split)) for split in SPLITS
    )


MOST = {"train": 648, "dev": 104, "test": 248}


@pytest.mark.parametrize(
    "wanted", [{"train": 8, "dev": 4, "test": 4}, {"train": 300, "dev": 1, "test": 190}, MOST], ids=str
)
def test_no_vocal_tract_is_heard_in_two_splits_however_many_speakers_there_are(wanted: dict[str, int]) -> None:
    settings = small(speakers=wanted)
    people = {split: speakers_of(settings, split) for split in SPLITS}
    for split in SPLITS:
        assert len(people[split]) == wanted[split]
        assert {split_of_speaker(person) for person in people[split]} == {split}
    everyone = [person for split in SPLITS for person in people[split]]
    assert len({person.voice.tract for person in everyone}) == len(everyone)
    assert len({person.name for person in everyone}) == len(everyone)


def test_every_split_has_its_speakers_of_all_accents_alike() -> None:
    # All who may speak in a split: one more of any split is refused.
    people = {split: speakers_of(small(speakers=MOST), split) for split in SPLITS}
    assert sorted(p.number for split in SPLITS for p in people[split]) == list(range(PEOPLE))
    for split in SPLITS:
        accents = [person.name.partition("+")[0] for person in people[split]]
        assert {accents.count(accent) for accent in ACCENTS} == {MOST[split] // len(ACCENTS)}
        with pytest.raises(ValueError, match="there are"):
            open_corpus(small(speakers={**MOST, split: MOST[split] + 1}))


def test_an_utterance_is_spoken_by_a_speaker_of_its_split(cache: Path) -> None:
    corpus = open_corpus(small(speakers={"train": 300, "dev": 40, "test": 150}))
    named = {speaker.name: speaker for speaker in all_speakers()}
    for split in SPLITS:
        heard = speakers(corpus, split)
        assert len(heard) > 5
        assert {split_of_speaker(named[name]) for name in heard} == {split}


def test_speakers_may_be_seen(cache: Path) -> None:
    corpus = open_corpus(small(unseen_speakers=False))
    assert speakers(corpus, "test") <= speakers(corpus, "train")


def test_test_speakers_stay_when_more_train(cache: Path) -> None:
    more = open_corpus(small(speakers={"train": 16, "dev": 4, "test": 4}))
    assert texts(more, "test") == texts(open_corpus(small()), "test")
    assert speakers(more, "test") == speakers(open_corpus(small()), "test")


def test_a_channel_changes_no_word_and_no_speaker(cache: Path) -> None:
    clean, noisy = (open_corpus(small(channels={channel: 1.0})) for channel in ("clean", "noise"))
    assert clean.digest != noisy.digest
    for one, other in zip(clean.shard("test", 0).utterances, noisy.shard("test", 0).utterances, strict=True):
        assert (one.text, one.speaker, one.frames) == (other.text, other.speaker, other.frames)
        assert not np.array_equal(clean.waveform(one.id), noisy.waveform(other.id))


def test_the_order_of_shares_plays_no_part(cache: Path) -> None:
    turned = small(domains={"telephone": 1.0, "short_form": 2.0})
    assert open_corpus(turned).digest == open_corpus(small()).digest
    assert texts(open_corpus(turned), "dev") == texts(open_corpus(small()), "dev")


def test_shares_are_kept(cache: Path) -> None:
    corpus = open_corpus(small(utterances={"train": 300}, channels={"clean": 3.0, "noise": 1.0}))
    utterances = list(chain.from_iterable(corpus.shard("train", k).utterances for k in range(corpus.shards("train"))))
    assert len({utterance.id for utterance in utterances}) == len(utterances) == 300
    assert abs(np.mean([u.domain == "short_form" for u in utterances]) - 2 / 3) < 0.1
    assert abs(np.mean([u.channel == "noise" for u in utterances]) - 1 / 4) < 0.1


@pytest.mark.parametrize(
    ("domain", "shortest", "longest"),
    [
        ("short_form", 0.8, 1.6),
        ("prose", 2.0, 4.0),
        ("dictation", 1.5, 3.5),
        ("telephone", 1.5, 3.0),
        ("conversation", 0.8, 2.0),
    ],
)
def test_mean_durations_are_plausible(cache: Path, domain: Domain, shortest: float, longest: float) -> None:
    settings = small(domains={domain: 1.0}, channels={"clean": 1.0}, utterances={"train": 60}, shard_utterances=60)
    frames = [utterance.frames for utterance in open_corpus(settings).shard("train", 0).utterances]
    assert shortest < np.mean(frames) / 100 < longest
    assert min(frames) > 40


def test_feature_statistics_are_those_of_the_first_training_shard(cache: Path) -> None:
    corpus = open_corpus(small(channels={"telephone": 1.0}))
    mean, deviation = corpus.feature_statistics()
    features = np.asarray(corpus.shard("train", 0).matrix, np.float64)
    assert mean.dtype == deviation.dtype == np.float32
    np.testing.assert_allclose(mean, features.mean(0), rtol=1e-5)
    # Above the telephone's band there is nothing but the floor.
    np.testing.assert_allclose(deviation, np.maximum(features.std(0), 0.1), rtol=1e-3)
    assert deviation[-1] == pytest.approx(0.1)


def test_prefetch_makes_shards_beside_the_caller(cache: Path) -> None:
    corpus = open_corpus(small())
    with corpus.prefetch("train", [1, 0, 2]):
        assert [len(corpus.shard("train", k)) for k in range(3)] == [20, 20, 10]
    assert not list(cache.rglob("*.new"))
    with corpus.prefetch("train", [0, 1]):
        pass


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"domains": {}}, "domains needs shares"),
        ({"channels": {"clean": -1.0, "noise": 2.0}}, "channels needs shares"),
        ({"speakers": {"train": 8, "dev": 4}}, "speakers says nothing of test"),
        (
            {"speakers": {"train": 649, "dev": 104, "test": 248}},
            r"speakers asks for {'train': 649, .*}; there are {'train': 648, 'dev': 104, 'test': 248}",
        ),
        ({"speakers": {"train": 8, "dev": 105, "test": 4}}, "'dev': 105, .*; there are .*'dev': 104"),
        ({"speakers": {"train": 8, "dev": 4, "test": 249}}, "'test': 249}; there are .*'test': 248"),
        (
            {"speakers": {"train": 1001, "dev": 4, "test": 4}, "unseen_speakers": False},
            "there are {'train': 1000, 'dev': 1000, 'test': 1000}",
        ),
    ],
)
def test_settings_that_cannot_be_met_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_corpus(small(**changes))


def test_a_shard_beyond_the_last_is_refused(cache: Path) -> None:
    with pytest.raises(IndexError, match="train has 3 shards"):
        open_corpus(small()).shard("train", 3)
    assert open_corpus(small(utterances={"train": 20})).shards("test") == 0


def test_a_process_that_makes_speech_does_not_load_torch() -> None:
    program = "import sys, paper_lib.corpus; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
