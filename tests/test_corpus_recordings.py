"""One's own recordings: manifests and sound files of synthetic speech, written here, and all that is refused."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.signal import resample_poly
from tiny_book import CHECKOUT
from tiny_runs import CPU, TINY_CORPUS, tiny_run

from paper_lib.corpus import Corpus, open_corpus
from paper_lib.corpus.cache import Utterance
from paper_lib.corpus.features import log_mel
from paper_lib.corpus.manifests import sounds
from paper_lib.corpus.manifests.entries import ManifestError, read_entries
from paper_lib.corpus.manifests.examination import split_of
from paper_lib.corpus.recordings import RecordingError
from paper_lib.corpus.speakers import all_speakers, speak
from paper_lib.paths import MissingDataError
from paper_lib.settings import RecordingsSettings, Split, TokenSettings, TrainingRun
from paper_lib.training import fit

RATE = 16_000
SAID = speak("turn it on", all_speakers()[0])


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path / "cache"))


def write(path: Path, waveform: NDArray[Any] = SAID, rate: int = RATE, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(path, "w", rate, waveform.shape[1] if waveform.ndim > 1 else 1, **options) as file:
        for start in range(0, len(waveform), rate):  # libsndfile's stack is too small for long Vorbis at once
            file.write(waveform[start : start + rate])
    return path


def manifest(directory: Path, *entries: dict[str, Any] | str, name: str = "my.jsonl") -> Path:
    path = directory / name
    path.write_text("".join(f"{e if isinstance(e, str) else json.dumps(e)}\n" for e in entries))
    return path


def entry(audio: str, text: str = "turn it on", split: str = "train", **others: Any) -> dict[str, Any]:
    return {"audio_filepath": audio, "text": text, "split": split, **others}


def settings_of(path: Path, **changes: Any) -> RecordingsSettings:
    return RecordingsSettings(manifest=str(path), **changes)


def utterances_of(settings: RecordingsSettings, split: Split = "train") -> list[Utterance]:
    corpus = open_corpus(settings)
    return [utterance for k in range(corpus.shards(split)) for utterance in corpus.shard(split, k).utterances]


def faults_of(path: Path, **changes: Any) -> list[tuple[int, str]]:
    with pytest.raises(ManifestError) as error:
        open_corpus(settings_of(path, **changes))
    for fault in error.value.faults:
        assert f"line {fault.line}: {fault.message}" in str(error.value)
    return [(fault.line, fault.kind) for fault in error.value.faults]


# A corpus of synthetic speech, written to files and read as recordings.


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Corpus) -> tuple[Path, dict[str, tuple[str, Any]]]:
    """The tiny corpus as float WAV and a manifest; and the id there of every line, with its features."""
    home = tmp_path_factory.mktemp("spoken")
    entries, originals = [], {}
    splits: tuple[Split, ...] = ("train", "dev", "test")
    for split in splits:
        for k in range(tiny_corpus.shards(split)):
            shard = tiny_corpus.shard(split, k)
            for index, utterance in enumerate(shard.utterances):
                name = f"{split}/{utterance.id}.wav"
                write(home / name, tiny_corpus.waveform(utterance.id), subtype="FLOAT")
                entries.append(entry(name, utterance.text, split, speaker=utterance.speaker))
                originals[f"{split}-{len(entries)}"] = (utterance.text, shard.features(index))
    return manifest(home, *entries), originals


def test_features_are_those_of_the_corpus_that_was_written(spoken: tuple[Path, dict[str, tuple[str, Any]]]) -> None:
    path, originals = spoken
    corpus = open_corpus(settings_of(path, shard_utterances=10))
    assert [corpus.count(split) for split in ("train", "dev", "test")] == [24, 4, 6]
    seen = []
    for split, shards in (("train", 3), ("dev", 1), ("test", 1)):
        assert corpus.shards(split) == shards
        for k in range(shards):
            shard = corpus.shard(split, k)
            for index, utterance in enumerate(shard.utterances):
                text, features = originals[utterance.id]
                assert (utterance.text, utterance.domain, utterance.channel) == (text, "people", "recorded")
                np.testing.assert_allclose(shard.features(index), features, rtol=2e-3)
                seen.append(utterance.id)
    assert sorted(seen) == sorted(originals)
    assert seen != list(originals)


def test_a_training_on_recordings_is_one_on_the_speech_in_them(
    spoken: tuple[Path, dict[str, tuple[str, Any]]], tmp_path: Path
) -> None:
    fields = dict(tiny_run()) | {"corpus": settings_of(spoken[0])}
    run = TrainingRun(**fields)
    fitted = fit(run, open_corpus(run.corpus), tmp_path / "run", CPU)
    assert len(fitted.history.losses) == 6
    assert fitted.history.losses[-1] < fitted.history.losses[0]
    assert sorted(fitted.history.dev_wer) == [2, 4, 6]


def test_shards_are_made_by_other_processes(spoken: tuple[Path, dict[str, tuple[str, Any]]]) -> None:
    corpus = open_corpus(settings_of(spoken[0], shard_utterances=10))
    corpus.prepare(workers=2)
    assert [len(corpus.shard("train", k)) for k in range(3)] == [10, 10, 4]


# Sound files of all kinds.


@pytest.mark.parametrize(
    ("name", "rate", "options", "tolerance"),
    [
        ("a.wav", 16_000, {"subtype": "FLOAT"}, 0.0),
        ("a.wav", 8_000, {"subtype": "PCM_16"}, 0.02),
        ("a.wav", 44_100, {"subtype": "PCM_24"}, 0.02),
        ("a.flac", 48_000, {"subtype": "PCM_16"}, 0.02),
        ("a.ogg", 44_100, {"subtype": "VORBIS"}, 0.1),
        ("a.opus", 48_000, {"format": "OGG", "subtype": "OPUS"}, 0.1),
        ("a.mp3", 44_100, {}, 0.1),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_any_format_rate_and_channels_are_heard_as_the_original(
    tmp_path: Path, name: str, rate: int, options: dict[str, Any], tolerance: float, channels: int
) -> None:
    original = resample_poly(resample_poly(SAID, 1, 3), 3, 1)  # nothing above 2.7 kHz, which 8000 samples a second keep
    wide = original if rate == RATE else resample_poly(original, rate // 100, RATE // 100)
    write(tmp_path / name, np.stack([wide] * channels, axis=1).astype(np.float32), rate, **options)
    corpus = open_corpus(settings_of(manifest(tmp_path, entry(name))))
    waveform = corpus.waveform("train-1")
    assert waveform.dtype == np.float32
    assert len(waveform) == pytest.approx(len(original), abs=1600)  # coders of MP3 pad
    shared = min(len(waveform), len(original))
    correlation = np.correlate(waveform[:shared], original[100 : shared - 1700].astype(np.float32), "valid")
    assert correlation.max() >= (1 - tolerance - 1e-6) * np.square(original[100 : shared - 1700]).sum()
    shard = corpus.shard("train", 0)
    np.testing.assert_array_equal(shard.features(0), log_mel(waveform).astype(np.float16))


def test_channels_of_opposite_phase_and_one_of_many_are_heard(tmp_path: Path) -> None:
    silent = np.zeros_like(SAID)
    write(tmp_path / "opposite.wav", np.stack([SAID, -SAID], axis=1), subtype="FLOAT")
    write(tmp_path / "third.wav", np.stack([silent, silent, SAID], axis=1), subtype="FLOAT")
    corpus = open_corpus(settings_of(manifest(tmp_path, entry("opposite.wav"), entry("third.wav"))))
    np.testing.assert_array_equal(corpus.waveform("train-1"), SAID)
    np.testing.assert_allclose(corpus.waveform("train-2"), SAID / 3, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("a.wav", {"subtype": "FLOAT"}, 0.0),
        ("a.flac", {}, 1e-4),
        ("a.ogg", {}, 0.1),
        ("a.opus", {"format": "OGG", "subtype": "OPUS"}, 0.1),
        ("a.mp3", {}, 0.1),
    ],
)
def test_parts_of_a_file_are_those_at_their_offsets(
    tmp_path: Path, name: str, options: dict[str, Any], tolerance: float
) -> None:
    """The parts overlap, and stand in the manifest in no order."""
    texts = ["turn it on", "what time is it", "call the kitchen", "play five hours"]
    said = [speak(text, all_speakers()[place]) for place, text in enumerate(texts)]
    starts = np.cumsum([0, *(len(waveform) for waveform in said)]) / RATE
    write(tmp_path / name, np.concatenate(said), **options)
    parts = [(starts[k], float(starts[k + 1] - starts[k])) for k in (2, 0, 3, 1)]
    parts.append((starts[1] - 0.2, 0.5))
    entries = [entry(name, "so it is", offset=offset, duration=duration) for offset, duration in parts]
    corpus = open_corpus(settings_of(manifest(tmp_path, *entries)))
    shard = corpus.shard("train", 0)
    heard = {u.id: shard.features(index) for index, u in enumerate(shard.utterances)}
    for line, (offset, duration) in enumerate(parts, 1):
        start = round(offset * RATE)
        original = np.concatenate(said)[start : start + round(duration * RATE)]
        waveform = corpus.waveform(f"train-{line}")
        assert len(waveform) == len(original)
        assert np.square(waveform - original).sum() <= tolerance * np.square(original).sum()
        np.testing.assert_array_equal(heard[f"train-{line}"], log_mel(waveform).astype(np.float16))


# Splits.


def test_without_splits_speakers_are_split_by_their_names(tmp_path: Path) -> None:
    entries = []
    for speaker in range(30):
        for number in range(2):
            name = f"{speaker}-{number}.wav"
            write(tmp_path / name, (0.5 + 0.01 * speaker + 0.005 * number) * SAID, subtype="FLOAT")
            entries.append({"audio_filepath": name, "text": "turn it on", "speaker": f"person {speaker}"})
    path = manifest(tmp_path, *entries)
    speakers = {split: {u.speaker for u in utterances_of(settings_of(path), split)} for split in SPLITS}
    assert speakers == {split: {n for n in NAMES if split_of(n) == split} for split in SPLITS}
    assert all(speakers.values())
    assert sum(open_corpus(settings_of(path)).count(split) for split in SPLITS) == 60


SPLITS: tuple[Split, ...] = ("train", "dev", "test")
NAMES = {f"person {speaker}" for speaker in range(30)}


def test_names_are_spread_as_80_to_10_to_10() -> None:
    drawn = [split_of(f"speaker-{number}") for number in range(10_000)]
    assert [round(drawn.count(split) / 1000) for split in SPLITS] == [8, 1, 1]


def test_a_split_that_no_speaker_falls_into_is_refused_with_the_way_out(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    path = manifest(tmp_path, {"audio_filepath": "a.wav", "text": "turn it on", "speaker": "ann"})
    with pytest.raises(ValueError, match=r"of 1 speakers the hash .* puts none into .*: give the lines a split"):
        open_corpus(settings_of(path))


def test_each_split_may_have_its_own_manifest(tmp_path: Path) -> None:
    paths = {}
    for level, split in enumerate(("train", "dev")):
        write(tmp_path / split / "a.wav", (0.5 + 0.1 * level) * SAID)
        line = {"audio_filepath": "a.wav", "text": "turn it on", "domain": "kitchen"}
        paths[split] = str(manifest(tmp_path / split, line))
    settings = RecordingsSettings(manifest=paths)
    assert [(u.id, u.speaker, u.domain) for u in utterances_of(settings)] == [("train-1", "train-1", "kitchen")]
    assert [u.id for u in utterances_of(settings, "dev")] == ["dev-1"]
    assert open_corpus(settings).count("test") == 0


# The page that tells how.

PAGE = (CHECKOUT / "book" / "own_speech.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_manifest_of_the_page_has_the_fields_of_its_table(tmp_path: Path) -> None:
    lines = block("json").splitlines()
    _, faults, total = read_entries(manifest(tmp_path, *lines))
    assert (faults, total) == ([], 3)
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
    assert {name for line in lines for name in json.loads(line)} == named


def test_the_program_of_the_page_trains(
    spoken: tuple[Path, dict[str, tuple[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(block("python").replace('"my.jsonl"', repr(str(spoken[0]))).replace('"quick"', '"smoke"'), names)
    assert names["fitted"].history.dev_wer
    assert (tmp_path / "my-training").is_dir()


# Faults.

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, RATE).astype(np.float32)


def damaged(path: Path, change: Callable[[bytes], bytes]) -> None:
    write(path)
    path.write_bytes(change(path.read_bytes()))


def write_all(home: Path) -> None:
    write(home / "good.wav")
    write(home / "copy.wav")
    for number in range(1, 9):
        write(home / f"good{number}.wav", (0.5 + 0.05 * number) * SAID)
    write(home / "silent.wav", 0 * SAID)
    write(home / "offset.wav", 0 * SAID + 0.25)
    write(home / "noise.wav", NOISE)
    write(home / "nan.wav", np.where(np.arange(len(SAID)) == 5000, np.nan, SAID), subtype="FLOAT")
    write(home / "empty.wav", SAID[:0])
    write(home / "slow.wav", SAID, 4000)
    write(home / "long.wav", np.tile(SAID, 1 + 61 * RATE // len(SAID)))
    write(home / "short.wav", SAID[:300])
    (home / "text.wav").write_text("turn it on")
    damaged(home / "cut.flac", lambda content: content[: len(content) // 2])
    damaged(home / "zero.flac", lambda content: content[:9000] + bytes(400) + content[9400:])
    damaged(home / "cut.wav", lambda content: content[: len(content) // 2])
    damaged(home / "cut.mp3", lambda content: content[: len(content) // 2])


FAULTS: list[tuple[dict[str, Any] | str | bytes, list[str]]] = [
    (entry("good.wav"), []),
    (entry("nowhere.wav"), ["no such file"]),
    (entry("."), ["no such file"]),
    ('{"audio_filepath": "good1.wav", ', ["not JSON"]),
    ("[1]", ["not JSON"]),
    ({"audio_filepath": "good1.wav", "split": "train"}, ["field is missing"]),
    ({"text": "turn it on", "split": "train"}, ["field is missing"]),
    (entry("good1.wav", split="validation"), ["wrong field"]),
    (entry("good1.wav", offset=-1), ["wrong field"]),
    (entry("good1.wav", offset="0"), ["wrong field"]),
    (entry("good1.wav", duration=0), ["wrong field"]),
    ('{"audio_filepath": "good1.wav", "text": "turn it on", "split": "train", "offset": NaN}', ["wrong field"]),
    (entry("good1.wav", offset=10**400), ["wrong field"]),
    (entry("\ud800.wav"), ["wrong field"]),
    (entry("a\0.wav"), ["wrong field"]),
    (entry("x" * 5000), ["audio cannot be read"]),
    (entry("good1.wav", speaker=["ann"]), ["wrong field"]),
    ({"audio_filepath": "good1.wav", "text": 7, "split": "train"}, ["wrong field"]),
    ({"audio_filepath": "good1.wav", "text": "turn it on"}, ["split is missing"]),
    (entry("good2.wav", ""), ["text is empty"]),
    (entry("good3.wav", " ... "), ["text is empty"]),
    (entry("good4.wav", "turn 7 on"), ["digits are not in the alphabet"]),
    (entry("good5.wav", "100 % naïve"), ["characters are not in the alphabet"]),
    (entry("good6.wav", "turn it on " * 20), ["text too long for its audio"]),
    (entry("good7.wav", offset=0.1, duration=60), ["outside of the file"]),
    (entry("good8.wav", offset=60), ["outside of the file"]),
    (entry("./good.wav"), ["same sound twice"]),
    (entry("copy.wav"), ["same sound twice"]),
    (entry("silent.wav"), ["silent"]),
    (entry("offset.wav"), ["silent"]),
    (entry("noise.wav"), ["no speech"]),
    (entry("nan.wav"), ["not a number"]),
    (entry("empty.wav"), ["audio is damaged"]),
    (entry("slow.wav"), ["too few samples a second"]),
    (entry("long.wav"), ["too long"]),
    (entry("short.wav"), ["too short"]),
    (entry("text.wav"), ["audio cannot be read"]),
    (entry("cut.flac"), ["audio is damaged"]),
    (entry("zero.flac"), ["audio is damaged"]),
    (entry("cut.wav"), ["audio cannot be read"]),
    (entry("cut.mp3"), ["audio is damaged"]),
    (entry("gone.wav", "it is 7"), ["digits are not in the alphabet", "no such file"]),
]


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    write_all(tmp_path)
    return manifest(tmp_path, *(line for line, _ in FAULTS))


def test_every_fault_is_told_at_once_with_its_line(faulty: Path) -> None:
    expected = [(number, kind) for number, (_, kinds) in enumerate(FAULTS, 1) for kind in kinds]
    assert faults_of(faulty) == expected


def test_the_message_counts_what_is_wrong(faulty: Path) -> None:
    with pytest.raises(ManifestError) as error:
        open_corpus(settings_of(faulty))
    first, second, third, *_ = str(error.value).splitlines()
    assert first.startswith(f"{len(FAULTS) - 1} of {len(FAULTS)} entries cannot be used (10 × wrong field, ")
    assert second == f"{faulty}:"
    assert third == f"  line 2: there is no file {faulty.parent / 'nowhere.wav'}"


def test_entries_with_faults_are_left_out_where_this_is_asked_for(
    faulty: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "paper_lib"):
        assert [u.id for u in utterances_of(settings_of(faulty, skip_bad=True))] == ["train-1"]
    (record,) = caplog.records
    message = record.getMessage()
    assert f"{len(FAULTS) - 1} of {len(FAULTS)} entries are left out" in message
    assert "4 × audio is damaged" in message
    assert f"the first: line 2: there is no file {faulty.parent / 'nowhere.wav'}" in message


def test_a_list_of_faults_is_cut_off_at_a_hundred(tmp_path: Path) -> None:
    path = manifest(tmp_path, *(entry(f"{number}.wav") for number in range(250)))
    with pytest.raises(ManifestError) as error:
        open_corpus(settings_of(path))
    assert len(error.value.faults) == 250
    assert len(str(error.value).splitlines()) == 103
    assert str(error.value).endswith("and 150 more")


def test_a_line_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = manifest(tmp_path, entry("a.wav"))
    path.write_bytes(path.read_bytes() + '{"text": "é"}\n'.encode("latin-1"))
    assert faults_of(path) == [(1, "no such file"), (2, "not UTF-8")]


def test_byte_order_marks_empty_lines_and_nulls_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    path = tmp_path / "my.jsonl"
    path.write_bytes(b"\xef\xbb\xbf\r\n" + json.dumps(entry("a.wav", offset=None, speaker=None)).encode() + b"\r\n\n")
    assert [u.id for u in utterances_of(settings_of(path))] == ["train-2"]


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_manifest_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "my.jsonl"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"my\.jsonl has no entry that can be used, of 0"):
        open_corpus(settings_of(path))


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"there is no manifest .*/my\.jsonl"):
        open_corpus(settings_of(tmp_path / "my.jsonl"))


@pytest.mark.parametrize("size", [0, 0x7FFFF024, 0xFFFFFFFF], ids=["0", "2 GiB", "4 GiB"])
def test_a_wav_file_that_came_through_a_pipe_is_whole(tmp_path: Path, size: int) -> None:
    content = write(tmp_path / "a.wav", subtype="PCM_16").read_bytes()
    data = content.index(b"data") + 4
    sizes = (size.to_bytes(4, "little"), max(0, size - 36).to_bytes(4, "little"))
    piped = content[:4] + sizes[0] + content[8:data] + sizes[1] + content[data + 4 :]
    path = manifest(tmp_path, entry("a.wav"))
    original = open_corpus(settings_of(path)).waveform("train-1")
    (tmp_path / "b.wav").write_bytes(piped)
    path = manifest(tmp_path, entry("b.wav"))
    np.testing.assert_array_equal(open_corpus(settings_of(path)).waveform("train-1"), original)


def test_a_file_that_may_be_read_now_is_no_fault_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.wav")
    path = manifest(tmp_path, entry("a.wav"))

    def refused(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:  # the tests may run as a user who may read all
        patched.setattr(sounds, "open", refused, raising=False)
        assert faults_of(path) == [(1, "audio cannot be read")]
    assert open_corpus(settings_of(path)).count("train") == 1


def test_a_training_without_dev_speech_is_refused_before_it_begins(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    corpus = settings_of(manifest(tmp_path, entry("a.wav")))
    with pytest.raises(ValueError, match="the corpus has no dev speech: a training needs train and dev"):
        fit(TrainingRun(**dict(tiny_run()) | {"corpus": corpus}), open_corpus(corpus), tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


# What is checked once.


def many(tmp_path: Path, count: int) -> Path:
    lines = []
    for number in range(count):
        write(tmp_path / f"{number}.wav", (0.3 + 0.001 * number) * SAID, subtype="FLOAT")
        lines.append(entry(f"{number}.wav"))
    return manifest(tmp_path, *lines)


def test_files_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = many(tmp_path, 3)
    decoded = []
    examine = sounds._examine
    monkeypatch.setattr(sounds, "_examine", lambda *task: (decoded.append(Path(task[0]).name), examine(*task))[1])
    digest = open_corpus(settings_of(path)).digest
    assert decoded == ["0.wav", "1.wav", "2.wav"]
    manifest(tmp_path, *(entry(f"{number}.wav", "turn it off") for number in range(3)))
    changed = open_corpus(settings_of(path)).digest
    assert changed != digest
    assert len(decoded) == 3
    write(tmp_path / "1.wav", 0.9 * SAID, subtype="FLOAT")
    manifest(tmp_path, *(entry(f"{number}.wav", "turn it  off") for number in range(3)))
    assert open_corpus(settings_of(path)).digest != changed
    assert decoded[3:] == ["1.wav"]


def test_many_files_are_checked_by_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = many(tmp_path, 7)
    (tmp_path / "4.wav").write_text("no sound")
    monkeypatch.setattr(sounds, "FILES", 2)
    assert faults_of(path) == [(5, "audio cannot be read")]


def test_a_damaged_outcome_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = many(tmp_path, 2)
    digest = open_corpus(settings_of(path)).digest
    (outcome,) = (tmp_path / "cache/recordings").glob("*.json")
    outcome.write_text(outcome.read_text()[:-20])
    manifest(tmp_path, *(entry(f"{number}.wav") | {"note": "new"} for number in range(2)))
    with caplog.at_level(logging.WARNING, "paper_lib"):
        assert open_corpus(settings_of(path)).digest == digest
    (record,) = caplog.records
    assert "is damaged" in record.getMessage()


def test_the_digest_is_of_the_content_and_not_of_times(tmp_path: Path) -> None:
    path = many(tmp_path, 2)
    digest = open_corpus(settings_of(path)).digest
    os.utime(tmp_path / "0.wav", ns=(1, 1))
    manifest(tmp_path, *(entry(f"{number}.wav") | {"note": "new"} for number in range(2)))
    assert open_corpus(settings_of(path)).digest == digest


def test_a_recording_that_changes_after_the_check_is_refused(tmp_path: Path) -> None:
    corpus = open_corpus(settings_of(many(tmp_path, 2)))
    write(tmp_path / "1.wav", SAID, subtype="FLOAT")
    with pytest.raises(RecordingError, match=r"1\.wav has changed since it was checked"):
        corpus.shard("train", 0)


def test_a_manifest_that_changes_after_the_check_is_refused(tmp_path: Path) -> None:
    corpus = open_corpus(settings_of(many(tmp_path, 2)))
    manifest(tmp_path, entry("0.wav", "turn it off"), entry("1.wav"))
    with pytest.raises(RuntimeError, match=f"the corpus {corpus.digest} has changed since it was opened"):
        corpus.shard("train", 0)


# Alphabets.

GERMAN = " abcdefghijklmnopqrstuvwxyzäöüß"


def test_a_training_in_another_alphabet_has_its_letters(tmp_path: Path) -> None:
    lines = []
    for number, split in enumerate(("train", "train", "dev")):
        write(tmp_path / f"{number}.wav", (0.3 + 0.1 * number) * SAID)
        lines.append(entry(f"{number}.wav", "Grüße, Ärger!", split))
    corpus = settings_of(manifest(tmp_path, *lines), alphabet=GERMAN)
    assert {u.text for u in utterances_of(corpus)} == {"grüße ärger"}
    tokens = TokenSettings(vocabulary=len(GERMAN) + 1, alphabet=GERMAN)
    model = tiny_run().model.model_copy(update={"vocabulary": tokens.vocabulary})
    run = TrainingRun(**dict(tiny_run()) | {"corpus": corpus, "tokens": tokens, "model": model})
    fitted = fit(run, open_corpus(corpus), tmp_path / "run", CPU)
    labels = fitted.tokenizer.encode("grüße ärger")
    assert max(labels) == len(GERMAN)
    assert fitted.tokenizer.decode(labels) == "grüße ärger"


def test_a_text_that_is_to_stay_as_written_is_refused_where_it_is_not_normal(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    write(tmp_path / "b.wav", 0.5 * SAID)
    path = manifest(tmp_path, entry("a.wav"), entry("b.wav", "Turn it on."))
    assert faults_of(path, texts="as_written") == [(2, "text is not normal")]
    assert {u.text for u in utterances_of(settings_of(path))} == {"turn it on"}


@pytest.mark.parametrize(
    ("alphabet", "message"),
    [
        ("", "at least 1 character"),
        ("abca", "alphabet has 'a' twice"),
        ("a\u0308b", "composed form, NFC"),
        ("ab\n", r"alphabet has '\\n'; of what is not printed"),
    ],
)
def test_an_alphabet_that_is_none_is_refused(alphabet: str, message: str) -> None:
    for make in (
        lambda: RecordingsSettings(manifest="my.jsonl", alphabet=alphabet),
        lambda: TokenSettings(vocabulary=len(alphabet) + 1, alphabet=alphabet),
    ):
        with pytest.raises(ValidationError, match=message):
            make()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vocabulary": 30, "alphabet": "abc"}, "vocabulary is 30; the alphabet's 3 characters and the blank make 4"),
        ({"kind": "word_pieces", "vocabulary": 4, "alphabet": "abc"}, "word_pieces have none"),
    ],
)
def test_tokens_that_do_not_fit_their_alphabet_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TokenSettings(**fields)


def test_tokens_must_have_the_letters_of_the_corpus() -> None:
    with pytest.raises(ValidationError, match=r"that of the corpus has \['ß', 'ä', 'ö', 'ü'\] too"):
        TrainingRun(**dict(tiny_run()) | {"corpus": RecordingsSettings(manifest="my.jsonl", alphabet=GERMAN)})


def test_settings_without_an_alphabet_keep_their_digests() -> None:
    """The digests of before there were alphabets, which records are named by."""
    assert TokenSettings().digest() == "162a219786c78aeb"
    assert tiny_run().digest() == "3fb23cbe38aac63f"
    assert TINY_CORPUS.digest() == "c72187bd48793260"
