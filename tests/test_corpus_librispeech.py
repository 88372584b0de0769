"""LibriSpeech on a tiny tree in its exact layout: FLAC files and .trans.txt, as the archives unpack."""

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from paper_lib.corpus import open_corpus
from paper_lib.corpus.features import log_mel
from paper_lib.corpus.librispeech import SUBSETS, IncompleteDownloadError, MissingDataError, Subset, download
from paper_lib.corpus.speakers import all_speakers, speak
from paper_lib.settings import LibriSpeechSettings

CHAPTERS = {
    "train-clean-100": {"103/1240": ["CHAPTER ONE", "MISSUS RACHEL'S SURPRISED", "IT WAS LATE"], "104/7": ["HE SPOKE"]},
    "train-other-500": {"20/205": ["SHE ANSWERED HIM", "NOTHING WAS SAID"]},
    "dev-clean": {"84/121123": ["GO", "DO YOU HEAR"]},
    "test-clean": {"61/70968": ["HE BEGAN"]},
}


def write_subset(home: Path, subset: str) -> None:
    for speaker, (place, transcripts) in enumerate(CHAPTERS[subset].items()):
        chapter = home / subset / place
        chapter.mkdir(parents=True)
        name = place.replace("/", "-")
        lines = []
        for index, text in enumerate(transcripts):
            soundfile.write(chapter / f"{name}-{index:04}.flac", speak(text.lower(), all_speakers()[speaker]), 16_000)
            lines.append(f"{name}-{index:04} {text}\n")
        (chapter / f"{name}.trans.txt").write_text("".join(lines))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for subset in CHAPTERS:
        write_subset(root / "LibriSpeech", subset)
    return root


@pytest.fixture(autouse=True)
def _places(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PAPER_LIB_LIBRISPEECH", str(root))


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another place to look for the corpus, in which there is nothing yet."""
    monkeypatch.setenv("PAPER_LIB_LIBRISPEECH", str(tmp_path / "elsewhere"))
    return tmp_path / "elsewhere"


def settings_of(**changes: Any) -> LibriSpeechSettings:
    fields: dict[str, Any] = {"subsets": {"train": ("train-clean-100", "train-other-500"), "dev": ("dev-clean",)}}
    return LibriSpeechSettings(**fields | changes)


def test_every_utterance_is_there_once_with_its_own_text() -> None:
    corpus = open_corpus(settings_of(shard_utterances=4))
    assert (corpus.shards("train"), corpus.shards("dev"), corpus.shards("test")) == (2, 1, 0)
    utterances = [u for k in range(2) for u in corpus.shard("train", k).utterances]
    assert {u.id: (u.text, u.speaker) for u in utterances} == {
        "103-1240-0000": ("chapter one", "103"),
        "103-1240-0001": ("missus rachel's surprised", "103"),
        "103-1240-0002": ("it was late", "103"),
        "104-7-0000": ("he spoke", "104"),
        "20-205-0000": ("she answered him", "20"),
        "20-205-0001": ("nothing was said", "20"),
    }
    assert len(utterances) == 6
    assert [u.id for u in utterances] != sorted(u.id for u in utterances)


def test_features_are_those_of_the_recording(root: Path) -> None:
    corpus = open_corpus(settings_of())
    shard = corpus.shard("dev", 0)
    for index, utterance in enumerate(shard.utterances):
        recording, rate = soundfile.read(root / f"LibriSpeech/dev-clean/84/121123/{utterance.id}.flac", dtype="float32")
        assert rate == 16_000
        np.testing.assert_array_equal(corpus.waveform(utterance), recording)
        np.testing.assert_array_equal(shard.features(index), log_mel(recording).astype(np.float16))


def test_it_is_prepared_by_several_processes() -> None:
    corpus = open_corpus(settings_of(shard_utterances=3))
    corpus.prepare(workers=2)
    assert [len(corpus.shard("train", k)) for k in range(2)] == [3, 3]


def test_missing_data_say_where_how_much_and_how(elsewhere: Path) -> None:
    corpus = open_corpus(LibriSpeechSettings())
    with pytest.raises(MissingDataError) as error:
        corpus.shard("dev", 0)
    message = str(error.value)
    assert str(elsewhere / "LibriSpeech" / "dev-clean") in message
    assert "60.0 GB" in message
    assert f"PAPER_LIB_LIBRISPEECH={elsewhere} python -m paper_lib download librispeech" in message


def test_a_recording_at_another_rate_is_refused(elsewhere: Path) -> None:
    write_subset(elsewhere / "LibriSpeech", "test-clean")
    path = elsewhere / "LibriSpeech/test-clean/61/70968/61-70968-0000.flac"
    soundfile.write(path, np.zeros(8000, np.float32), 8000)
    with pytest.raises(ValueError, match="8000 Hz instead of one at 16000 Hz"):
        open_corpus(settings_of(subsets={"test": ("test-clean",)})).shard("test", 0)


def test_an_unknown_subset_is_refused() -> None:
    with pytest.raises(ValueError, match="no subset dev-cleen; it has train-clean-100"):
        open_corpus(settings_of(subsets={"dev": ("dev-cleen",)}))


def pack(elsewhere: Path, subset: str) -> LibriSpeechSettings:
    """Puts a tiny archive of `subset` where a download leaves it; returns settings that want it."""
    packed = elsewhere.with_name("packed") / "LibriSpeech"
    write_subset(packed, subset)
    staging = elsewhere / ".download"
    staging.mkdir(parents=True)
    with tarfile.open(staging / f"{subset}.tar.gz", "w:gz") as archive:
        archive.add(packed, "LibriSpeech")
    return settings_of(subsets={"dev": (subset,)})


def test_a_download_unpacks_and_leaves_only_the_data(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = pack(elsewhere, "dev-clean")
    monkeypatch.setitem(SUBSETS, "dev-clean", Subset(0.001, 2))
    # What an interrupted unpacking leaves.
    (elsewhere / ".download/LibriSpeech/dev-clean/84").mkdir(parents=True)
    download(settings)
    assert [path.name for path in elsewhere.iterdir()] == ["LibriSpeech"]
    assert len(open_corpus(settings).shard("dev", 0)) == 2
    download(settings)


def test_an_incomplete_download_is_refused(elsewhere: Path) -> None:
    settings = pack(elsewhere, "dev-clean")
    with pytest.raises(IncompleteDownloadError, match="has 2 utterances instead of 2703"):
        download(settings)
    with pytest.raises(MissingDataError):
        open_corpus(settings).shards("dev")
