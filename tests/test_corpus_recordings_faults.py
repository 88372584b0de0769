"""One's own recordings: everything that is refused, with its line, and what is checked once."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_recordings import RATE, SAID, entry, faults_of, manifest, settings_of, utterances_of, write

from paper_lib.corpus import open_corpus
from paper_lib.corpus.manifests import sounds
from paper_lib.corpus.manifests.entries import ManifestError
from paper_lib.corpus.recordings import RecordingError
from paper_lib.paths import MissingDataError


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path / "cache"))


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
