"""LibriSpeech on a tiny tree in its exact layout: FLAC files and .trans.txt, as the archives unpack."""

import hashlib
import io
import os
import re
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from torchaudio.datasets import LIBRISPEECH

from paper_lib.cli import main
from paper_lib.corpus import librispeech, open_corpus
from paper_lib.corpus.features import log_mel
from paper_lib.corpus.librispeech import SUBSETS, IncompleteDownloadError, MissingDataError, Subset, download
from paper_lib.corpus.speakers import all_speakers, speak
from paper_lib.profiles import profile_of
from paper_lib.settings import LibriSpeechSettings

CHAPTERS = {
    "train-clean-100": {"103/1240": ["CHAPTER ONE", "MISSUS RACHEL'S SURPRISED", "IT WAS LATE"], "104/7": ["HE SPOKE"]},
    "train-other-500": {"20/205": ["SHE ANSWERED HIM", "NOTHING WAS SAID"]},
    "dev-clean": {"84/121123": ["GO", "DO YOU HEAR"]},
    "test-clean": {"61/70968": ["HE BEGAN"]},
    "train-clean-5": {"32/21631": ["IT WAS LATE"], "39/121914": ["HE SPOKE", "CHAPTER ONE"]},
    "dev-clean-2": {"84/121123": ["GO", "DO YOU HEAR"]},
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
    for name, chapters in CHAPTERS.items():
        whole = Subset(SUBSETS[name].gigabytes, sum(map(len, chapters.values())))
        monkeypatch.setitem(SUBSETS, name, whole)
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
        np.testing.assert_array_equal(corpus.waveform(utterance.id), recording)
        np.testing.assert_array_equal(shard.features(index), log_mel(recording).astype(np.float16))


def test_the_order_is_drawn_from_that_of_torchaudio(root: Path) -> None:
    settings = settings_of()
    subsets = [LIBRISPEECH(root, name) for name in settings.subsets["train"]]
    sorted_by_speaker = [subset.get_metadata(k) for subset in subsets for k in range(len(subset))]
    shuffled = [sorted_by_speaker[place] for place in np.random.default_rng(0).permutation(6)]
    assert [(u.id, u.text, u.speaker) for u in open_corpus(settings).shard("train", 0).utterances] == [
        (Path(path).stem, text.lower(), str(speaker)) for path, _, text, speaker, _, _ in shuffled
    ]


def test_a_whole_subset_is_prepared_by_several_processes(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes know nothing of the tiny subsets: this one is as large as LibriSpeech's."""
    chapter = elsewhere / "LibriSpeech/test-clean/61/70968"
    chapter.mkdir(parents=True)
    first = chapter / "61-70968-0000.flac"
    soundfile.write(first, speak("yes", all_speakers()[0])[:2000], 16_000)
    for k in range(1, 2620):
        (chapter / f"61-70968-{k:04}.flac").hardlink_to(first)
    (chapter / "61-70968.trans.txt").write_text("".join(f"61-70968-{k:04} YES\n" for k in range(2620)))
    corpus = open_corpus(settings_of(subsets={"test": ("test-clean",)}, shard_utterances=1500))
    monkeypatch.setitem(SUBSETS, "test-clean", Subset(0.346, 2620))
    corpus.prepare(workers=2)
    assert [len(corpus.shard("test", k)) for k in range(2)] == [1500, 1120]


def test_missing_data_say_where_how_much_and_how(elsewhere: Path) -> None:
    corpus = open_corpus(LibriSpeechSettings())
    with pytest.raises(MissingDataError) as error:
        corpus.shard("dev", 0)
    message = str(error.value)
    assert str(elsewhere / "LibriSpeech" / "dev-clean") in message
    assert "60.0 GB" in message
    assert f"PAPER_LIB_LIBRISPEECH={elsewhere} python -m paper_lib download librispeech" in message


FLAC = io.BytesIO()
soundfile.write(FLAC, speak("he began", all_speakers()[0]), 16_000, format="FLAC")
WHOLE = FLAC.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WHOLE[: len(WHOLE) // 2], "is cut off or damaged: not all of its 0.[0-9] s can be read"),
        (WHOLE[: len(WHOLE) // 2] + bytes(200) + WHOLE[len(WHOLE) // 2 + 200 :], "is cut off or damaged"),
        (WHOLE[:21] + bytes([WHOLE[21] & 0xF0]) + bytes(4) + WHOLE[26:], "does not tell its length"),
        (b"", "is no sound file that can be read"),
    ],
    ids=["cut off", "zeroed", "unknown length", "empty"],
)
def test_a_damaged_recording_is_refused_by_its_path(elsewhere: Path, content: bytes, message: str) -> None:
    write_subset(elsewhere / "LibriSpeech", "test-clean")
    path = elsewhere / "LibriSpeech/test-clean/61/70968/61-70968-0000.flac"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} {message}"):
        open_corpus(settings_of(subsets={"test": ("test-clean",)})).shard("test", 0)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2)])
def test_a_recording_of_another_kind_is_refused(elsewhere: Path, rate: int, channels: int) -> None:
    write_subset(elsewhere / "LibriSpeech", "test-clean")
    path = elsewhere / "LibriSpeech/test-clean/61/70968/61-70968-0000.flac"
    soundfile.write(path, np.zeros((8000, channels), np.float32), rate)
    with pytest.raises(ValueError, match=f"has {channels} channels at {rate} Hz instead of one at 16000 Hz"):
        open_corpus(settings_of(subsets={"test": ("test-clean",)})).shard("test", 0)


DEV = {"subsets": {"dev": ("dev-clean",)}}
DEV_TEXTS = {"84-121123-0000": "go", "84-121123-0001": "do you hear"}


def texts_of(settings: LibriSpeechSettings) -> dict[str, str]:
    return {utterance.id: utterance.text for utterance in open_corpus(settings).shard("dev", 0).utterances}


@pytest.mark.parametrize(
    ("set_to", "place"),
    [
        ("data", "data/LibriSpeech"),
        ("data", "data/librispeech"),
        ("data/LibriSpeech", "data/LibriSpeech"),
        ("data/librispeech", "data/librispeech"),
        ("~/data", "data/LibriSpeech"),
        ("~/data/librispeech", "data/librispeech"),
        ("librispeech", "librispeech/LibriSpeech"),
    ],
)
def test_it_is_found_however_its_place_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_to: str, place: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PAPER_LIB_LIBRISPEECH", set_to if set_to.startswith("~") else str(tmp_path / set_to))
    write_subset(tmp_path / place, "dev-clean")
    assert texts_of(settings_of(**DEV)) == DEV_TEXTS


def test_what_macos_leaves_beside_the_files_is_passed_over(elsewhere: Path) -> None:
    write_subset(elsewhere / "LibriSpeech", "dev-clean")
    for path in list(elsewhere.rglob("84-121123*")):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    assert texts_of(settings_of(**DEV)) == DEV_TEXTS


@pytest.mark.parametrize(
    "content",
    [
        b"84-121123-0000 GO\n\n84-121123-0001 DO YOU HEAR\n\n",
        b"84-121123-0000\tGO\n84-121123-0001\tDO YOU HEAR\n",
        b"\xef\xbb\xbf84-121123-0000 GO\n84-121123-0001 DO YOU HEAR\n",
        b"84-121123-0000 GO\r\n84-121123-0001 DO YOU HEAR\r\n",
    ],
    ids=["blank lines", "tabs", "byte-order mark", "carriage returns"],
)
def test_transcripts_that_went_through_an_editor_are_read(elsewhere: Path, content: bytes) -> None:
    write_subset(elsewhere / "LibriSpeech", "dev-clean")
    (elsewhere / "LibriSpeech/dev-clean/84/121123/84-121123.trans.txt").write_bytes(content)
    assert texts_of(settings_of(**DEV)) == DEV_TEXTS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("84-121123-0000 GO\n84-121123-0001 DÉJÀ VU\n".encode("latin-1"), r"line 2: b'\\xc9' is not UTF-8"),
        (b"84-121123-0000\n84-121123-0001 DO YOU HEAR\n", "line 1: 84-121123-0000 has no text"),
    ],
    ids=["Latin-1", "no text"],
)
def test_transcripts_that_cannot_be_read_are_refused_by_the_line(elsewhere: Path, content: bytes, message: str) -> None:
    write_subset(elsewhere / "LibriSpeech", "dev-clean")
    path = elsewhere / "LibriSpeech/dev-clean/84/121123/84-121123.trans.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}, {message}"):
        open_corpus(settings_of(**DEV)).shard("dev", 0)


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        ("84/121123/84-121123-0001.flac", r"has 1 utterances instead of 2 \(84-121123-0001 has no recording\)"),
        ("84/121123/84-121123.trans.txt", r"has 0 utterances instead of 2 \(84-121123-0000 has no transcript\)"),
        ("84", "has 0 utterances instead of 2; delete"),
    ],
    ids=["recording", "transcript", "everything"],
)
def test_a_subset_that_is_there_in_part_is_refused(elsewhere: Path, removed: str, message: str) -> None:
    subset = elsewhere / "LibriSpeech/dev-clean"
    write_subset(elsewhere / "LibriSpeech", "dev-clean")
    gone = subset / removed
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(IncompleteDownloadError, match=f"{re.escape(str(subset))} {message}") as error:
        open_corpus(settings_of(**DEV)).shards("dev")
    assert f"delete {subset} and download it again by" in str(error.value)


def test_a_subset_without_a_chapter_is_refused(elsewhere: Path) -> None:
    write_subset(elsewhere / "LibriSpeech", "train-clean-100")
    shutil.rmtree(elsewhere / "LibriSpeech/train-clean-100/104")
    with pytest.raises(IncompleteDownloadError, match="has 3 utterances instead of 4; delete"):
        open_corpus(settings_of(subsets={"train": ("train-clean-100",)})).shards("train")


def test_an_unknown_subset_is_refused() -> None:
    with pytest.raises(ValueError, match="no subset dev-cleen; it has train-clean-100"):
        open_corpus(settings_of(subsets={"dev": ("dev-cleen",)}))


def write_archive(directory: Path, subset: str) -> Path:
    """Writes a tiny archive of `subset` into `directory` and returns where it is."""
    directory.mkdir(parents=True, exist_ok=True)
    archive = directory / f"{subset}.tar.gz"
    with tempfile.TemporaryDirectory() as packed, tarfile.open(archive, "w:gz") as file:
        write_subset(Path(packed), subset)
        file.add(packed, "LibriSpeech")
    return archive


def pack(elsewhere: Path, subset: str) -> LibriSpeechSettings:
    """Puts a tiny archive of `subset` where a download leaves it; returns settings that want it."""
    write_archive(elsewhere / "LibriSpeech/.download", subset)
    return settings_of(subsets={"dev": (subset,)})


def test_a_download_unpacks_and_leaves_only_the_data(elsewhere: Path) -> None:
    settings = pack(elsewhere, "dev-clean")
    # What an interrupted unpacking leaves.
    (elsewhere / "LibriSpeech/.download/LibriSpeech/dev-clean/84").mkdir(parents=True)
    download(settings)
    assert [path.name for path in elsewhere.iterdir()] == ["LibriSpeech"]
    assert [path.name for path in (elsewhere / "LibriSpeech").iterdir()] == ["dev-clean"]
    assert len(open_corpus(settings).shard("dev", 0)) == 2
    download(settings)


def test_a_download_may_go_to_another_disk(elsewhere: Path) -> None:
    other = Path("/dev/shm")
    elsewhere.mkdir()
    if not other.is_dir() or other.stat().st_dev == elsewhere.stat().st_dev:
        pytest.skip("this machine has one disk")
    with tempfile.TemporaryDirectory(dir=other) as disk:
        (elsewhere / "LibriSpeech").symlink_to(disk)
        settings = pack(elsewhere, "dev-clean")
        download(settings)
        assert os.listdir(disk) == ["dev-clean"]
        assert texts_of(settings) == DEV_TEXTS


def test_an_incomplete_download_is_refused(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = pack(elsewhere, "dev-clean")
    monkeypatch.setitem(SUBSETS, "dev-clean", Subset(0.337, 2703))
    with pytest.raises(IncompleteDownloadError, match=r"has 2 utterances instead of 2703; delete .*dev-clean.tar.gz"):
        download(settings)
    with pytest.raises(MissingDataError):
        open_corpus(settings).shards("dev")


MINI = profile_of("librispeech_mini").corpus


@pytest.fixture
def served(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tiny archives of Mini LibriSpeech at the address that a download asks; test-clean is downloaded already."""
    served = elsewhere.with_name("served")
    for subset in librispeech.MINI_DIGESTS:
        archive = write_archive(served, subset)
        monkeypatch.setitem(librispeech.MINI_DIGESTS, subset, hashlib.sha256(archive.read_bytes()).hexdigest())
    monkeypatch.setattr(librispeech, "MINI_ADDRESS", served.as_uri())
    pack(elsewhere, "test-clean")
    return served


def test_missing_data_of_the_mini_profile_say_how_much_and_the_command_that_gets_them(elsewhere: Path) -> None:
    with pytest.raises(MissingDataError) as error:
        open_corpus(MINI).shard("train", 0)
    message = str(error.value)
    assert str(elsewhere / "LibriSpeech" / "train-clean-5") in message
    assert "train-clean-5, dev-clean-2, test-clean, 0.8 GB" in message
    assert message.endswith(f"PAPER_LIB_LIBRISPEECH={elsewhere} python -m paper_lib download librispeech_mini")


@pytest.mark.usefixtures("served")
def test_the_mini_profile_goes_from_the_download_to_its_shards(elsewhere: Path) -> None:
    result = CliRunner().invoke(main, ["download", "librispeech_mini"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert {path.name for path in (elsewhere / "LibriSpeech").iterdir()} == {
        "train-clean-5",
        "dev-clean-2",
        "test-clean",
    }
    corpus = open_corpus(MINI)
    assert {split: len(corpus.shard(split, 0)) for split in MINI.subsets} == {"train": 3, "dev": 2, "test": 1}
    assert {u.id: (u.text, u.speaker) for u in corpus.shard("train", 0).utterances} == {
        "32-21631-0000": ("it was late", "32"),
        "39-121914-0000": ("he spoke", "39"),
        "39-121914-0001": ("chapter one", "39"),
    }
    path = elsewhere / "LibriSpeech/train-clean-5/32/21631/32-21631-0000.flac"
    np.testing.assert_array_equal(corpus.waveform("32-21631-0000"), soundfile.read(path, dtype="float32")[0])


def test_an_archive_that_is_not_the_published_one_is_refused_and_not_kept(elsewhere: Path, served: Path) -> None:
    write_archive(served, "dev-clean")
    (served / "dev-clean.tar.gz").rename(served / "dev-clean-2.tar.gz")
    with pytest.raises(RuntimeError, match="invalid hash value"):
        download(MINI)
    assert (elsewhere / "LibriSpeech/train-clean-5").is_dir()
    assert not (elsewhere / "LibriSpeech/dev-clean-2").exists()
    assert [path.name for path in elsewhere.rglob("dev-clean-2*")] == []


def test_a_part_of_mini_librispeech_that_is_lost_is_told_with_its_command(elsewhere: Path) -> None:
    write_subset(elsewhere / "LibriSpeech", "train-clean-5")
    shutil.rmtree(elsewhere / "LibriSpeech/train-clean-5/39")
    with pytest.raises(IncompleteDownloadError, match="has 1 utterances instead of 3; delete") as error:
        open_corpus(MINI).shards("train")
    assert str(error.value).endswith("python -m paper_lib download librispeech_mini")
