"""Where the library keeps what it makes and finds what is published."""

from __future__ import annotations

import os
from pathlib import Path


class MissingDataError(FileNotFoundError):
    """A corpus of recordings, or a part of it, is not where it is looked for; the message tells how to get it."""


CHECKPOINT = "checkpoint.safetensors"  # in the directory of a training


def cache_root(directory: Path | None = None) -> Path:
    """Returns the directory of corpora, models and records, for a process that runs in `directory`; None: where one is.

    It is `PAPER_LIB_CACHE`, else .cache/paper_lib; a relative path starts at `directory`.
    """
    path = Path(os.environ.get("PAPER_LIB_CACHE") or ".cache/paper_lib").expanduser()
    return ((directory or Path()) / path).absolute()


def librispeech_root() -> Path:
    """Returns the directory that holds LibriSpeech/: `PAPER_LIB_LIBRISPEECH`, else "data" in the cache."""
    return Path(os.environ.get("PAPER_LIB_LIBRISPEECH") or cache_root() / "data").expanduser().absolute()


def speech_commands_root() -> Path:
    """Returns the directory of Speech Commands: `PAPER_LIB_SPEECH_COMMANDS`, else data/speech_commands in the cache."""
    path = os.environ.get("PAPER_LIB_SPEECH_COMMANDS") or cache_root() / "data" / "speech_commands"
    return Path(path).expanduser().absolute()


def published_records(profile: str) -> Path:
    """Returns the directory, kept in git, of the records of `profile`."""
    return Path(__file__).resolve().parents[1] / "book" / "records" / profile
