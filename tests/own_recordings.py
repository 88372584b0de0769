"""Recordings and manifests that tests write and read, of synthetic speech."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
from numpy.typing import NDArray

from paper_lib.corpus import open_corpus
from paper_lib.corpus.cache import Utterance
from paper_lib.corpus.manifests.entries import ManifestError
from paper_lib.corpus.speakers import all_speakers, speak
from paper_lib.settings import RecordingsSettings, Split

RATE = 16_000
SAID = speak("turn it on", all_speakers()[0])


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
