"""Strings of words by people: recordings of Speech Commands (Warden 2018, arXiv 1804.03209), joined.

The recordings that are used are those of `speech_commands.sha256`, which names 4968 of the 105,829 by path and
checksum; `speech_commands.LICENSE.md` beside it says whose they are and how the list came about. Words keep the levels
and the backgrounds that they were recorded with: a person's differ little, by 2.4 dB in the median.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from paper_lib.corpus.cache import Shard, Utterance
from paper_lib.corpus.features import SAMPLE_RATE, WINDOW, log_mel
from paper_lib.corpus.splicing import Word, cut_word, join
from paper_lib.paths import MissingDataError, speech_commands_root
from paper_lib.settings import PEOPLE, SpeechCommandsSettings, Split

# A change of the features, of the strings or of how their words are cut out and joined raises this by one.
FORMAT_VERSION = 2

LIST = Path(__file__).with_name("speech_commands.sha256")  # in the format of sha256sum, sorted by path
ARCHIVE = "speech_commands_v0.02"
UNPACKED = Path("SpeechCommands") / ARCHIVE  # where torchaudio puts the archive

# From this size on a sample is at full scale; a recording with a larger share of such samples is clipped.
FULL_SCALE, MOST_CLIPPED = 0.999, 0.01

_LINE = re.compile(r"([0-9a-f]{64})  (([a-z]+)/([0-9a-f]+)_nohash_[0-9]+\.wav)")


class IncompleteDownloadError(RuntimeError):
    """The archive lacks a recording of the list, or has another one in its place; the message names it."""


class _Recording(NamedTuple):
    path: str  # in the archive
    sha256: str
    word: str
    speaker: str


class _String(NamedTuple):
    id: str
    recordings: tuple[_Recording, ...]


def version(settings: SpeechCommandsSettings) -> str:
    """Returns what, beside the settings, determines the corpus."""
    return f"speech_commands {FORMAT_VERSION}, {hashlib.sha256(LIST.read_bytes()).hexdigest()}"


def check(settings: SpeechCommandsSettings) -> None:
    """Raises ValueError, with the line, for a list of recordings that cannot be read; no recording is looked at yet."""
    _listed(LIST)


def count(settings: SpeechCommandsSettings, split: Split) -> int:
    """Returns the number of utterances of `split`, for which no recording is needed."""
    return len(_strings_of(settings, split))


def make_shard(settings: SpeechCommandsSettings, split: Split, k: int) -> Shard:
    """Returns shard `k` of `split`, made now, in an order of the utterances that is drawn once and for all.

    Raises MissingDataError where any recording of the list is missing, and RecordingError for one of the shard that is
    not what the list says or that cannot be used.
    """
    home = _complete_home(speech_commands_root(), LIST)
    strings = _strings_of(settings, split)
    order = np.random.default_rng(0).permutation(len(strings))
    utterances, features = [], []
    for place in order[k * settings.shard_utterances : (k + 1) * settings.shard_utterances]:
        string = strings[place]
        frames = log_mel(_hear(settings, string, home)).astype(np.float16)
        text = " ".join(recording.word for recording in string.recordings)
        speaker = string.recordings[0].speaker
        utterances.append(Utterance(string.id, text, speaker, PEOPLE, "recorded", len(frames)))
        features.append(frames)
    return Shard(utterances, np.concatenate(features))


def waveform(settings: SpeechCommandsSettings, utterance_id: str) -> NDArray[np.float32]:
    """Returns the audio of an utterance, [samples] at 16 kHz. Raises as `make_shard`, and ValueError for no such id."""
    home = _complete_home(speech_commands_root(), LIST)
    for split in settings.passes:
        for string in _strings_of(settings, split) if utterance_id.startswith(f"{split}-") else ():
            if string.id == utterance_id:
                return _hear(settings, string, home)
    raise ValueError(f"the corpus has no utterance {utterance_id}")


def split_of(speaker: str) -> Split:
    """Returns the split of a person, by a hash of the name: 70 in 100 train, 10 are in dev, 20 in test."""
    place = _hash(speaker) % 100
    return "train" if place < 70 else "dev" if place < 80 else "test"


def download() -> None:
    """Downloads and unpacks the archive, 2.3 GB, unless it is in `speech_commands_root()`; then checks the list.

    It appears there when it is whole; where unpacking was interrupted, the next call does it again, without another
    download. Raises IncompleteDownloadError.
    """
    from torchaudio.datasets import SPEECHCOMMANDS

    root = speech_commands_root()
    if _home(root, LIST) is None:
        staging = root / ".download"
        shutil.rmtree(staging / UNPACKED, ignore_errors=True)
        staging.mkdir(parents=True, exist_ok=True)
        SPEECHCOMMANDS(staging, ARCHIVE, download=True)
        (root / UNPACKED).parent.mkdir(exist_ok=True)
        (staging / UNPACKED).rename(root / UNPACKED)
        shutil.rmtree(staging)
    home = _home(root, LIST) or root
    for recording in _listed(LIST):
        path = home / recording.path
        if not path.is_file():
            raise IncompleteDownloadError(f"{path} is missing; delete {home} and download again")
        if hashlib.sha256(path.read_bytes()).hexdigest() != recording.sha256:
            raise IncompleteDownloadError(f"{path} is not the recording of the list; delete {home} and download again")


@cache
def _listed(listing: Path) -> tuple[_Recording, ...]:
    """Returns the recordings of a list.

    Raises ValueError for a line of another form, and for a path or a recording that is there twice.
    """
    recordings: dict[str, _Recording] = {}
    paths: dict[str, str] = {}  # by checksum
    for number, line in enumerate(listing.read_text().splitlines(), 1):
        if not (parts := _LINE.fullmatch(line)):
            raise ValueError(f"{listing}, line {number}: {line!r} is not SHA256  WORD/SPEAKER_nohash_NUMBER.wav")
        sha256, path, word, speaker = parts.groups()
        if path in recordings:
            raise ValueError(f"{listing}, line {number}: {path} is in the list twice")
        if sha256 in paths:
            raise ValueError(f"{listing}, line {number}: {path} is the same recording as {paths[sha256]}")
        paths[sha256] = path
        recordings[path] = _Recording(path, sha256, word, speaker)
    return tuple(recordings.values())


def _home(root: Path, listing: Path) -> Path | None:
    """Returns the directory of the words, in the layouts of the archive and of torchaudio; None where there is none."""
    words = {recording.word for recording in _listed(listing)}
    homes = (root, root / ARCHIVE, root / UNPACKED)
    return next((home for home in homes if any((home / word).is_dir() for word in words)), None)


@cache
def _complete_home(root: Path, listing: Path) -> Path:
    """Returns the directory of the words. Raises MissingDataError where it is not there or lacks a recording."""
    again = f"to download, 2.3 GB:\n    PAPER_LIB_SPEECH_COMMANDS={root} python -m paper_lib download speech_commands"
    if (home := _home(root, listing)) is None:
        raise MissingDataError(f"{root} has no recordings of Speech Commands; {again}")
    if missing := [recording.path for recording in _listed(listing) if not (home / recording.path).is_file()]:
        raise MissingDataError(f"{home} lacks {len(missing)} recordings of the list, the first {missing[0]}; {again}")
    return home


def _strings_of(settings: SpeechCommandsSettings, split: Split) -> tuple[_String, ...]:
    return _strings(LIST, split, settings.passes.get(split, 0), settings.most_words, settings.seed)


@cache
def _strings(listing: Path, split: Split, passes: int, most_words: int, seed: int) -> tuple[_String, ...]:
    """Returns the strings of `split`: in every pass each recording of its people is in one of them."""
    people: dict[str, list[_Recording]] = defaultdict(list)
    for recording in _listed(listing):
        if split_of(recording.speaker) == split:
            people[recording.speaker].append(recording)
    strings = []
    for number in range(passes):
        for speaker, recordings in people.items():
            rng = np.random.default_rng((seed, number, _hash(speaker)))
            rest = [recordings[place] for place in rng.permutation(len(recordings))]
            k = 0
            while rest:
                words = int(rng.integers(1, most_words + 1))
                strings.append(_String(f"{split}-{speaker}-{number}-{k}", tuple(rest[:words])))
                rest = rest[words:]
                k += 1
    return tuple(strings)


def _hear(settings: SpeechCommandsSettings, string: _String, home: Path) -> NDArray[np.float32]:
    _, speaker, number, k = string.id.split("-")
    rng = np.random.default_rng((settings.seed, int(number), _hash(speaker), int(k)))
    words = [_read(home / recording.path, recording.sha256) for recording in string.recordings]
    return join(words, [float(seconds) for seconds in rng.uniform(*settings.pause_seconds, len(words) - 1)], rng)


def _read(path: Path, sha256: str) -> Word:
    # Imported here: synthetic speech does without soundfile.
    from paper_lib.corpus.recordings import RecordingError, read_mono

    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise RecordingError(f"{path} is not the recording of the list: its SHA-256 is {found} instead of {sha256}")
    recording = read_mono(content, str(path), SAMPLE_RATE)
    if len(recording) < WINDOW:
        raise RecordingError(f"{path} has {len(recording)} samples: less than a window, {WINDOW}")
    if (clipped := float((np.abs(recording) >= FULL_SCALE).mean())) > MOST_CLIPPED:
        raise RecordingError(f"{path} is clipped: {clipped:.2%} of it is at full scale, at most {MOST_CLIPPED:.0%} may")
    try:
        return cut_word(recording)
    except ValueError as error:
        raise RecordingError(f"{path} {error}") from None


def _hash(speaker: str) -> int:
    return int.from_bytes(hashlib.sha256(speaker.encode()).digest()[:8], "big")
