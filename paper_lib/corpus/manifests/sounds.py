"""What is heard of sound files: parts of them, at 16 kHz, checked once; the outcome is kept in the cache.

Any rate from 8 kHz, any number of channels; in WAV, FLAC, OGG (Vorbis or Opus) or MP3.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import soundfile
from numpy.typing import NDArray
from tqdm import tqdm

from paper_lib.corpus.features import WINDOW
from paper_lib.corpus.manifests.entries import Part
from paper_lib.corpus.recordings import (
    SILENCE,
    SLOWEST_RATE,
    RecordingError,
    is_cut_off,
    mixed,
    open_recording,
    resampled,
    samples_of,
)
from paper_lib.corpus.splicing import find_speech
from paper_lib.files import atomic_write, kept_in
from paper_lib.locks import locked
from paper_lib.workers import Workers

logger = logging.getLogger("paper_lib")

# A change of what is checked, or of how parts are read, raises this by one.
VERSION = 1

LONGEST = 60.0  # seconds of an utterance
# Seconds by which a part may end after its file: coders of MP3 pad, and durations are rounded.
TOLERANCE = 0.1
LEAST_CONTRAST_DB = 6.0  # of speech against its background; white noise has about 3
FILES = 50  # that a process checks at a time


class PartError(RecordingError):
    """A part of a file that cannot be used; faults are counted by `kind`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass
class Examined:
    """A file as it was when it was checked, and what its parts are: samples at 16 kHz, or kind and message of a fault.

    JSON has no keys but texts: parts are named by `key`.
    """

    size: int
    modified: int  # nanoseconds
    sha256: str = ""  # empty where the file could not be opened, which may be mended without a change of the file
    parts: dict[str, int | list[str]] = field(default_factory=dict)

    def is_still(self, path: str, status: os.stat_result | None = None) -> bool:
        """Returns whether the file at `path`, whose status may be known, is the one that was checked."""
        status = status or os.stat(path)
        return (status.st_size, status.st_mtime_ns) == (self.size, self.modified)


def key(part: Part) -> str:
    return f"{part[0]!r}+{part[1]!r}"


def heard(path: str, parts: Sequence[Part]) -> Iterator[tuple[Part, NDArray[np.float32] | PartError]]:
    """Yields `parts` of a sound file, each with its samples at 16 kHz or its fault, in the order of their offsets.

    Raises RecordingError for a file that cannot be read at all.
    """
    with open_recording(Path(path), path) as file:
        # In MP3 libsndfile seeks to about the place: it is read from the start, at one go.
        whole = samples_of(file, path) if file.format == "MP3" else None
        for part in sorted(parts, key=lambda part: part[0]):
            try:
                start, count = _bounds(file, path, part)
                if whole is not None:
                    samples = whole[start : start + count]
                else:
                    file.seek(start)
                    samples = samples_of(file, path, count)
                yield part, _waveform(samples, count, file.samplerate, path)
            except PartError as error:
                yield part, error
            except (RecordingError, soundfile.LibsndfileError) as error:
                yield part, PartError("audio is damaged", str(error))


def examine(
    wanted: Mapping[str, Sequence[Part]], store: Path, workers: int | None = None
) -> tuple[dict[str, Examined], dict[str, PartError]]:
    """Returns what the files and their parts are, as it is written in `store` or checked now; and those not there.

    Files that are new, or changed, or have parts that are new, are decoded by `workers` processes, by default one per
    core.
    """
    files: dict[str, Examined] = {}
    absent: dict[str, PartError] = {}
    with locked(Path(f"{store}.lock"), f"the check of recordings in {store}"):
        known = _read(store)
        tasks = []
        for path, parts in wanted.items():
            try:
                status = os.stat(path)
                if not stat.S_ISREG(status.st_mode):
                    raise FileNotFoundError
                file = known.get(path)
                known_still = file and file.sha256 and file.is_still(path, status)
                if file and known_still and all(key(part) in file.parts for part in parts):
                    files[path] = file
                else:
                    tasks.append((path, parts))
            except FileNotFoundError:
                absent[path] = PartError("no such file", f"there is no file {path}")
            except OSError as error:
                absent[path] = PartError("audio cannot be read", f"{path} cannot be read: {error.strerror}")
        if tasks:
            try:
                for path, file in _examined(tasks, workers or joblib.cpu_count()):
                    files[path] = file
            finally:
                content = {path: asdict(file) for path, file in files.items()}
                atomic_write(store, json.dumps({"version": VERSION, "files": content}).encode())
    return files, absent


def _bounds(file: soundfile.SoundFile, path: str, part: Part) -> tuple[int, int]:
    """Returns the first sample of a part and how many it has; the tolerance is cut off."""
    rate, (offset, duration) = file.samplerate, part
    if rate < SLOWEST_RATE:
        raise PartError("too few samples a second", f"{path} has {rate} samples a second; {SLOWEST_RATE} are needed")
    if not file.frames:
        raise PartError("audio is damaged", f"{path} holds no sound")
    start = round(offset * rate)
    end = file.frames if duration is None else start + round(duration * rate)
    if start >= file.frames or end > file.frames + TOLERANCE * rate:
        end_told = "its end" if duration is None else f"{offset + duration:g} s"
        raise PartError(
            "outside of the file", f"{path} lasts {file.frames / rate:.2f} s; {offset:g} s to {end_told} is asked for"
        )
    end = min(end, file.frames)
    if (seconds := (end - start) / rate) > LONGEST:
        raise PartError("too long", f"{path}: {seconds:.0f} s are too long for an utterance; at most {LONGEST:.0f} are")
    return start, end - start


def _waveform(samples: NDArray[np.float32], promised: int, rate: int, path: str) -> NDArray[np.float32]:
    if len(samples) < promised - TOLERANCE * rate:
        told = f"{len(samples) / rate:.1f} s can be read instead of {promised / rate:.1f} s"
        raise PartError("audio is damaged", f"{path} is cut off: {told}")
    if not np.isfinite(samples).all():
        raise PartError("not a number", f"{path} holds values that are not numbers")
    return resampled(mixed(samples), rate)


def _checked(waveform: NDArray[np.float32], path: str) -> int:
    """Returns the samples of a part, [samples] at 16 kHz; raises PartError where no speech is in it."""
    if len(waveform) < WINDOW:
        raise PartError("too short", f"{path}: {len(waveform)} samples are less than a window, {WINDOW}")
    waveform = waveform - waveform.mean()
    if np.abs(waveform).max() < SILENCE:
        raise PartError("silent", f"{path} is silent")
    try:
        find_speech(waveform, LEAST_CONTRAST_DB)
    except ValueError as error:
        raise PartError("no speech", f"{path} {error}") from None
    return len(waveform)


def _examine(path: str, parts: Sequence[Part]) -> Examined:
    """Decodes `parts` of the file at `path`."""
    examined = Examined(0, 0)
    try:
        status = os.stat(path)
        examined = Examined(status.st_size, status.st_mtime_ns)
        with open(path, "rb") as file:
            head = file.read(12)
            file.seek(0)
            examined.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if is_cut_off(head, status.st_size):
            raise RecordingError(f"{path} is cut off: it is shorter than its own size says")
        for part, waveform in heard(path, parts):
            try:
                if isinstance(waveform, PartError):
                    raise waveform
                examined.parts[key(part)] = _checked(waveform, path)
            except PartError as error:
                examined.parts[key(part)] = [error.kind, str(error)]
    except (RecordingError, OSError) as error:
        examined.parts = {key(part): ["audio cannot be read", str(error)] for part in parts}
    return examined


def _examine_all(tasks: Sequence[tuple[str, Sequence[Part]]]) -> list[tuple[str, Examined]]:
    return [(path, _examine(path, parts)) for path, parts in tasks]


def _examined(tasks: Sequence[tuple[str, Sequence[Part]]], workers: int) -> Iterator[tuple[str, Examined]]:
    chunks = [tasks[start : start + FILES] for start in range(0, len(tasks), FILES)]
    with tqdm(total=len(tasks), desc="recordings are checked", unit="file", disable=len(chunks) == 1) as bar:
        if workers == 1 or len(chunks) == 1:
            for path, parts in tasks:
                yield path, _examine(path, parts)
                bar.update()
            return
        with Workers(min(workers, len(chunks))) as processes:
            for future in [processes.submit(_examine_all, chunk) for chunk in chunks]:
                yield from (pairs := future.result())
                bar.update(len(pairs))


def _read(store: Path) -> dict[str, Examined]:
    """Returns what is known of files; nothing where another version, or damage, wrote it."""
    with suppress(FileNotFoundError), kept_in(store):
        try:
            content: dict[str, Any] = json.loads(store.read_bytes())
            if content["version"] == VERSION:
                return {path: Examined(**file) for path, file in content["files"].items()}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            logger.warning("%s is damaged (%s): the recordings are checked again", store, error)
    return {}
