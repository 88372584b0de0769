"""The corpus of one's own recordings: a line of a manifest is an utterance.

Recordings keep the level that they have. The check of all entries comes before anything is made of any of them.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from paper_lib.corpus.cache import Shard, Utterance
from paper_lib.corpus.features import log_mel
from paper_lib.corpus.manifests.entries import ManifestError, Part, counted, manifests_of
from paper_lib.paths import MissingDataError
from paper_lib.settings import PEOPLE, RecordingsSettings, Split

if TYPE_CHECKING:  # It takes soundfile, which synthetic speech does without.
    from paper_lib.corpus.manifests.examination import Examination, Recording

logger = logging.getLogger("paper_lib")

# A change of the features, or of the order of the utterances, raises this by one.
FORMAT_VERSION = 1


@dataclass(frozen=True)
class _Index:
    splits: dict[Split, list[Recording]]  # in the order of the shards
    by_id: dict[str, Recording]
    digest: str  # of texts, speakers, and the content of the sound files


def version(settings: RecordingsSettings) -> str:
    """Returns what, beside the settings, determines the corpus. Raises as `check`."""
    return f"recordings {FORMAT_VERSION}, {_index(settings).digest}"


def check(settings: RecordingsSettings) -> None:
    """Looks at every entry of the manifests, and decodes every sound file that was not decoded before.

    Raises ManifestError with all entries that cannot be used, unless `skip_bad` says that they are left out;
    ValueError where no entry is left, or where the hash leaves a split without a speaker; MissingDataError where a
    manifest is not there.
    """
    _index(settings)


def count(settings: RecordingsSettings, split: Split) -> int:
    """Returns the number of utterances of `split`. Raises as `check`."""
    return len(_index(settings).splits.get(split, ()))


def make_shard(settings: RecordingsSettings, split: Split, k: int) -> Shard:
    """Returns shard `k` of `split`, its features computed now, in an order that is drawn once and for all.

    Raises as `check`, and RecordingError for a file that has changed since it was checked.
    """
    start = k * settings.shard_utterances
    recordings = _index(settings).splits[split][start : start + settings.shard_utterances]
    parts: dict[str, list[Part]] = defaultdict(list)
    for recording in recordings:
        parts[recording.entry.audio].append(recording.entry.part)
    features: dict[tuple[str, Part], NDArray[np.float16]] = {}
    for recording in recordings:
        if (path := recording.entry.audio) in parts:
            for part, waveform in _heard(recording, parts.pop(path)).items():
                features[path, part] = log_mel(waveform).astype(np.float16)
    frames = [features[recording.entry.audio, recording.entry.part] for recording in recordings]
    utterances = [
        Utterance(
            recording.id, recording.text, recording.speaker, recording.entry.domain or PEOPLE, "recorded", len(matrix)
        )
        for recording, matrix in zip(recordings, frames, strict=True)
    ]
    return Shard(utterances, np.concatenate(frames))


def waveform(settings: RecordingsSettings, utterance_id: str) -> NDArray[np.float32]:
    """Returns the audio of an utterance, [samples] at 16 kHz. Raises as `make_shard`, and ValueError for no such id."""
    if (recording := _index(settings).by_id.get(utterance_id)) is None:
        raise ValueError(f"the corpus has no utterance {utterance_id}")
    return _heard(recording, [recording.entry.part])[recording.entry.part]


def _heard(recording: Recording, parts: list[Part]) -> dict[Part, NDArray[np.float32]]:
    from paper_lib.corpus.manifests.sounds import PartError, heard
    from paper_lib.corpus.recordings import RecordingError

    path = recording.entry.audio
    try:
        if not recording.file.is_still(path):
            raise RecordingError(f"{path} has changed since it was checked: start again")
    except FileNotFoundError:
        raise MissingDataError(f"{path} is not there any more") from None
    samples = {}
    for part, waveform in heard(path, parts):
        if isinstance(waveform, PartError):
            raise waveform
        samples[part] = waveform
    return samples


def _index(settings: RecordingsSettings) -> _Index:
    status = []
    for manifest, _ in manifests_of(settings):
        if not manifest.is_file():
            raise MissingDataError(f"there is no manifest {manifest}")
        status.append((manifest, manifest.stat().st_size, manifest.stat().st_mtime_ns))
    return _indexed(settings.model_dump_json(), tuple(status))


# By a process once for a state of the manifests.
@lru_cache(maxsize=8)
def _indexed(dump: str, status: tuple[tuple[Path, int, int], ...]) -> _Index:
    from paper_lib.corpus.manifests.examination import examine_recordings

    settings = RecordingsSettings.model_validate_json(dump)
    examined = examine_recordings(settings)
    if examined.faults and not settings.skip_bad:
        raise ManifestError(examined.faults, examined.entries)
    _tell(examined)
    splits: dict[Split, list[Recording]] = defaultdict(list)
    for recording in examined.recordings:
        splits[recording.split].append(recording)
    named = ", ".join(str(path) for path, *_ in status)
    if not splits:
        raise ValueError(f"{named} has no entry that can be used, of {examined.entries}")
    if lacking := examined.not_drawn():
        raise ValueError(f"{named}: {lacking}")
    for recordings in splits.values():
        order = np.random.default_rng(0).permutation(len(recordings))
        recordings[:] = [recordings[place] for place in order]
    by_id = {recording.id: recording for recording in examined.recordings}
    return _Index(dict(splits), by_id, _digest(examined.recordings))


def _tell(examined: Examination) -> None:
    """Logs what was left out and what the normaliser changed, in a line each."""
    if examined.faults:
        bad = examined.entries - len(examined.recordings)
        first = examined.faults[0]
        logger.warning(
            "%d of %d entries are left out (%s); the first: %s", bad, examined.entries, counted(examined.faults), first
        )
    for change, texts in examined.changes.items():
        before, after = texts[0]
        logger.info("%d texts: %s, as of %r, now %r", len(texts), change, before, after)


def _digest(recordings: list[Recording]) -> str:
    content = hashlib.sha256()
    for recording in recordings:
        entry = recording.entry
        fields = (recording.id, recording.text, recording.speaker, entry.domain, entry.part, recording.file.sha256)
        content.update(json.dumps(fields).encode() + b"\n")
    return content.hexdigest()
