"""Manifests: made of Kaldi's files or of a folder, described by a command; and the normaliser of their texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from paper_lib.cli import main
from paper_lib.corpus import open_corpus
from paper_lib.corpus.manifests.texts import Normaliser
from paper_lib.corpus.speakers import all_speakers, speak
from paper_lib.settings import RecordingsSettings

RATE = 16_000
TEXTS = {"ann-1": "turn it on", "ann-2": "what time is it", "bob-1": "call the kitchen"}
SAID = {name: speak(text, all_speakers()[place]) for place, (name, text) in enumerate(TEXTS.items())}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path / "cache"))


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["manifest", *map(str, arguments)])


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_files(home: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return home


# Kaldi.


@pytest.fixture
def kaldi(tmp_path: Path) -> Path:
    """A data directory of three files, one utterance each."""
    home = tmp_path / "kaldi"
    (home / "wav").mkdir(parents=True)
    for name, waveform in SAID.items():
        soundfile.write(home / "wav" / f"{name}.wav", waveform, RATE, subtype="FLOAT")
    return write_files(
        home,
        {
            "wav.scp": "".join(f"{name} {home}/wav/{name}.wav\n" for name in TEXTS),
            "text": "".join(f"{name} {text}\n" for name, text in TEXTS.items()),
            "utt2spk": "".join(f"{name}\t{name[:3]}\n" for name in TEXTS),
        },
    )


def test_a_kaldi_directory_becomes_the_corpus_that_it_holds(kaldi: Path) -> None:
    out = kaldi / "my.jsonl"
    result = invoke("kaldi", kaldi, out)
    assert result.exit_code == 0
    assert result.output == f"3 utterances in {out}; next: python -m paper_lib manifest check {out}\n"
    assert lines_of(out) == [
        {"audio_filepath": f"wav/{name}.wav", "text": text, "speaker": name[:3]} for name, text in TEXTS.items()
    ]
    corpus = open_corpus(RecordingsSettings(manifest={"train": str(out)}))
    for line, name in enumerate(TEXTS, 1):
        np.testing.assert_array_equal(corpus.waveform(f"train-{line}"), SAID[name])
    assert {u.text: u.speaker for u in corpus.shard("train", 0).utterances} == {
        text: name[:3] for name, text in TEXTS.items()
    }


def test_segments_become_parts_of_their_recordings(kaldi: Path, tmp_path: Path) -> None:
    soundfile.write(kaldi / "all.flac", np.concatenate(list(SAID.values())), RATE, subtype="PCM_24")
    ends = np.cumsum([len(waveform) for waveform in SAID.values()]) / RATE
    places = [f"0 {ends[0]}", f"{ends[0]} {ends[1]}", f"{ends[1]} -1"]
    segments = "".join(f"{name} meeting {place}\n" for name, place in zip(TEXTS, places, strict=True))
    write_files(kaldi, {"wav.scp": f"meeting {kaldi}/all.flac\n", "segments": segments})
    out = tmp_path / "elsewhere" / "my.jsonl"
    assert invoke("kaldi", kaldi, out).exit_code == 0
    first, _, last = lines_of(out)
    assert first["audio_filepath"] == str(kaldi / "all.flac")
    assert (first["offset"], first["duration"]) == (0, round(ends[0], 6))
    assert "duration" not in last
    corpus = open_corpus(RecordingsSettings(manifest={"train": str(out)}))
    for line, name in enumerate(TEXTS, 1):
        np.testing.assert_allclose(corpus.waveform(f"train-{line}"), SAID[name], atol=1e-6)


def test_a_relative_path_starts_at_the_working_directory(kaldi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(kaldi / "wav")
    write_files(kaldi, {"wav.scp": "".join(f"{name} {name}.wav\n" for name in TEXTS)})
    assert invoke("kaldi", kaldi, "../my.jsonl").exit_code == 0
    assert [line["audio_filepath"] for line in lines_of(kaldi / "my.jsonl")] == [f"wav/{name}.wav" for name in TEXTS]


def test_every_line_that_kaldi_alone_understands_is_named_at_once(kaldi: Path) -> None:
    write_files(
        kaldi,
        {
            "wav.scp": "a sph2pipe -f wav a.sph |\nb b.ark:17\na a.wav\nc c.wav\n",
            "segments": "a-1 a 0 1\na-2 a 2 1\na-3 d 0 1\nc-1 c 0 one\nc-2 c 0 1\n",
            "text": "a-1 yes\na-2 no\na-3 yes\nc-1 no\ne-1 yes\n",
            "utt2spk": "a-1 a\na-2 a\na-3 a\nc-1 c\n",
        },
    )
    result = invoke("kaldi", kaldi, kaldi / "my.jsonl")
    assert result.exit_code == 1
    assert result.output.splitlines()[0] == f"Error: {kaldi} cannot be converted:"
    assert [line.strip() for line in result.output.splitlines()[1:]] == [
        "wav.scp, line 3: a is there already, in line 1",
        "wav.scp, line 1: 'sph2pipe -f wav a.sph |' is a command; write what it makes into a file, and name that",
        "wav.scp, line 2: 'b.ark:17' is no path of a sound file",
        "segments, line 2: 'a 2 1' is not RECORDING START END, in seconds",
        "segments, line 3: wav.scp has no d",
        "segments, line 4: 'c 0 one' is not RECORDING START END, in seconds",
        "segments, line 5: text has no c-2",
        "segments, line 5: utt2spk has no c-2",
        "text, line 5: segments has no e-1",
    ]
    assert not (kaldi / "my.jsonl").exists()


def test_what_is_no_kaldi_directory_is_refused(tmp_path: Path) -> None:
    result = invoke("kaldi", tmp_path, tmp_path / "my.jsonl")
    assert result.exit_code == 1
    assert "there is no wav.scp" in result.output
    assert "there is no text" in result.output


# A folder.


def test_a_folder_becomes_the_corpus_that_it_holds(tmp_path: Path) -> None:
    home = tmp_path / "folder"
    for name, waveform in SAID.items():
        write_files(home, {f"{name[:3]}/{name}.txt": f"  {TEXTS[name]}\n"})
        soundfile.write(home / name[:3] / f"{name}.FLAC", waveform, RATE, format="FLAC")
    write_files(home, {"alone.txt": "so it\nis", ".hidden.wav": ""})
    soundfile.write(home / "alone.ogg", SAID["ann-1"], RATE)
    out = home / "my.jsonl"
    assert invoke("folder", home, out).output.startswith("4 utterances in ")
    assert lines_of(out) == [
        {"audio_filepath": "alone.ogg", "text": "so it is"},
        {"audio_filepath": "ann/ann-1.FLAC", "text": "turn it on", "speaker": "ann"},
        {"audio_filepath": "ann/ann-2.FLAC", "text": "what time is it", "speaker": "ann"},
        {"audio_filepath": "bob/bob-1.FLAC", "text": "call the kitchen", "speaker": "bob"},
    ]
    assert open_corpus(RecordingsSettings(manifest={"test": str(out)})).count("test") == 4


def test_files_without_their_fellows_are_named_at_once(tmp_path: Path) -> None:
    names = ("a.wav", "b.txt", "c.wav", "c.flac", "c.txt", "d.mp3", "d.txt")
    home = write_files(tmp_path / "folder", dict.fromkeys(names, "yes"))
    (home / "d.txt").write_bytes(b"\xff\xff")
    result = invoke("folder", home, tmp_path / "my.jsonl")
    assert result.exit_code == 1
    told = [line.strip() for line in result.output.splitlines()[1:]]
    assert told[0] == "a.wav has no transcript, a.txt"
    assert told[1] == "c.wav: another sound file has the same transcript, c.txt"
    assert told[2].startswith("d.txt cannot be read: ")
    assert told[3] == "b.txt has no sound file"
    assert len(told) == 4


def test_a_folder_without_sound_is_refused(tmp_path: Path) -> None:
    assert "there is no sound file: .flac, .mp3, " in invoke("folder", tmp_path, tmp_path / "my.jsonl").output


# The command that checks.


def test_a_check_tells_what_the_manifest_holds(kaldi: Path) -> None:
    out = kaldi / "my.jsonl"
    invoke("kaldi", kaldi, out)
    lines = lines_of(out)
    for line, text in zip(lines, ("Turn it on!", "WHAT TIME IS IT", "call the kitchen"), strict=True):
        line["text"] = text
    splits = ("train", "test", "train")
    out.write_text("".join(f"{json.dumps(e | {'split': s})}\n" for e, s in zip(lines, splits, strict=True)))
    result = invoke("check", out)
    assert result.exit_code == 0
    told = result.output.splitlines()
    assert told[0] == "3 of 3 entries can be used"
    assert told[1].startswith("  train: 2 utterances, 0.00 h, the longest ")
    assert told[1].endswith("; 2 speakers; 6 words, 6 of them different")
    assert told[2] == "  dev: nothing"
    assert told[4:] == [
        "1 speakers are in more than one split: ann",
        "2 texts: capitals became small letters",
        "  'Turn it on!' → 'turn it on'",
        "  'WHAT TIME IS IT' → 'what time is it'",
        "1 texts: punctuation was taken out",
        "  'Turn it on!' → 'turn it on'",
    ]


def test_a_check_lists_faults_and_fails(kaldi: Path) -> None:
    out = kaldi / "my.jsonl"
    invoke("kaldi", kaldi, out)
    lines = lines_of(out)
    lines[1]["text"] = "grüße"
    splits = ("train", "dev", "test")
    out.write_text("".join(f"{json.dumps(e | {'split': s})}\n" for e, s in zip(lines, splits, strict=True)))
    result = invoke("check", out)
    assert result.exit_code == 1
    assert result.output.splitlines()[:2] == [
        "1 of 3 entries cannot be used: 1 × characters are not in the alphabet",
        "  line 2: text 'grüße' has ß ü, not in the alphabet \" 'abcdefghijklmnopqrstuvwxyz\"",
    ]
    assert invoke("check", out, "--alphabet", " abcdefghijklmnopqrstuvwxyzüß").exit_code == 0
    refused = invoke("check", out, "--alphabet", "aa")
    assert refused.exit_code == 2
    assert "alphabet has 'a' twice" in refused.output


def test_a_check_fails_where_the_hash_of_the_speakers_leaves_a_split_empty(kaldi: Path) -> None:
    out = kaldi / "my.jsonl"
    invoke("kaldi", kaldi, out)
    result = invoke("check", out)
    assert result.exit_code == 1
    assert result.output.startswith("3 of 3 entries can be used; no line has a split: speakers are split by a hash\n")
    assert "of 2 speakers the hash of their names puts none into " in result.output


# The normaliser.


@pytest.mark.parametrize(
    ("alphabet", "text", "normal"),
    [
        (None, "it's late", "it's late"),
        (None, "  It’s\tlate — “really”, late! ", "it's late really late"),
        (None, "twenty-one/two", "twenty one two"),
        (" aeioué-", "E\u0301-É", "é-é"),
        (" abcdeğıi", "IĞDİ", "ığdi"),
        (" ABCÄ", "ä b c.", "Ä B C"),
        (" Aa", "aA", "aA"),
        (" αοδςσ", "ΟΔΟΣ", "οδος"),
        ("你好", "你好。", "你好"),
    ],
    ids=["normal", "all", "dashes", "composed", "Turkish", "capitals", "both cases", "final sigma", "Chinese"],
)
def test_texts_come_into_the_alphabet_as_far_as_no_guess_is_needed(
    alphabet: str | None, text: str, normal: str
) -> None:
    normalise = Normaliser(alphabet)
    after, changes = normalise(text)
    assert after == normal
    assert bool(changes) == (text != normal)
    assert normalise(after) == (after, [])


def test_the_normaliser_tells_what_it_changed_in_the_order_of_the_changes() -> None:
    assert Normaliser()("It’s  la\u0301te-ish.")[1] == [
        "characters were composed (Unicode NFC)",
        "capitals became small letters",
        "an apostrophe became a straight one",
        "dashes and slashes became spaces",
        "punctuation was taken out",
        "spaces were joined or cut off",
    ]


@pytest.mark.parametrize(
    ("text", "kind", "named"),
    [
        ("turn 17 on", "digits are not in the alphabet", "has the digits 1 7: write numbers as words"),
        ("100 % sure", "characters are not in the alphabet", "has % 0 1, not in the alphabet"),
        ("tom & ann", "characters are not in the alphabet", "has &, not in the alphabet"),
        ("a\u200bb", "characters are not in the alphabet", r"has U+200B, not in the alphabet"),
    ],
)
def test_what_needs_a_guess_is_a_fault(text: str, kind: str, named: str) -> None:
    normalise = Normaliser()
    fault = normalise.foreign(normalise(text)[0])
    assert fault is not None
    assert fault[0] == kind
    assert named in fault[1]
