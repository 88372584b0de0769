"""One's own recordings: manifests and sound files of synthetic speech, written here, make a corpus."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_recordings import RATE, SAID, entry, faults_of, manifest, settings_of, utterances_of, write
from pydantic import ValidationError
from scipy.signal import resample_poly
from tiny_book import CHECKOUT
from tiny_runs import CPU, TINY_CORPUS, tiny_run

from paper_lib.corpus import Corpus, open_corpus
from paper_lib.corpus.features import log_mel
from paper_lib.corpus.manifests.entries import read_entries
from paper_lib.corpus.manifests.examination import split_of
from paper_lib.corpus.speakers import all_speakers, speak
from paper_lib.settings import RecordingsSettings, Split, TokenSettings, TrainingRun
from paper_lib.training import fit


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path / "cache"))


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


def test_a_training_without_dev_speech_is_refused_before_it_begins(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    corpus = settings_of(manifest(tmp_path, entry("a.wav")))
    with pytest.raises(ValueError, match="the corpus has no dev speech: a training needs train and dev"):
        fit(TrainingRun(**dict(tiny_run()) | {"corpus": corpus}), open_corpus(corpus), tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


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
