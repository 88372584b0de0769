"""Shards on disk: made once, checked on reading, made again where they are damaged.

A shard is a directory with `features.npy` (float16, [total frames, 80]), `utterances.json`, and `manifest.json` with
the sizes and SHA-256 checksums of the other two.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_lib.files import kept_in
from paper_lib.locks import locked

logger = logging.getLogger("paper_lib")

FEATURES, UTTERANCES, MANIFEST = "features.npy", "utterances.json", "manifest.json"


@dataclass(frozen=True)
class Utterance:
    """What was said, by whom and how it was heard."""

    id: str
    text: str
    speaker: str
    domain: str
    channel: str
    frames: int  # of 10 ms


@dataclass(frozen=True)
class Shard:
    """Utterances that are stored together, and their features, memory-mapped."""

    utterances: list[Utterance]
    matrix: NDArray[np.float16]  # [frames, 80], of every utterance that was stored, one after another
    starts: NDArray[np.int64] | None = None  # the utterances' first rows; None: all utterances are there

    def __len__(self) -> int:
        return len(self.utterances)

    def features(self, index: int) -> NDArray[np.float16]:
        """Returns the log-mel features of utterance `index`, [frames, 80], a view."""
        start = self._starts[index]
        return self.matrix[start : start + self.utterances[index].frames]

    def of_domains(self, domains: Collection[str]) -> Shard:
        """Returns the utterances of `domains` alone; their features stay where they are."""
        places = [place for place, utterance in enumerate(self.utterances) if utterance.domain in domains]
        return Shard([self.utterances[place] for place in places], self.matrix, self._starts[places])

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        if self.starts is not None:
            return self.starts
        return np.cumsum([0, *(utterance.frames for utterance in self.utterances[:-1])])


class DamagedShardError(RuntimeError):
    """A shard's directory lacks a file, or a file is not what its manifest says."""


def open_or_make(directory: Path, make: Callable[[], Shard]) -> Shard:
    """Returns the shard in `directory`, made first where there is none or where it is damaged.

    Of several processes that want one shard, one makes it. A damaged shard is reported in one line of the log. Raises
    StorageError.
    """
    with kept_in(directory):
        try:
            return _read(directory)
        except (FileNotFoundError, DamagedShardError):
            pass
    with locked(Path(f"{directory}.lock"), f"the shard {directory}"):
        with kept_in(directory):
            try:
                return _read(directory)
            except FileNotFoundError:
                pass
            except DamagedShardError as error:
                logger.warning("%s: it is made again", error)
        shard = make()
        with kept_in(directory):
            _write(directory, shard)
            return _read(directory)


def is_made(directory: Path) -> bool:
    """Returns whether there is a shard in `directory`, without checking it."""
    return directory.is_dir()


# Checked by this process: (path, size, time of modification) of every file that had its checksum.
_checked: set[tuple[Path, int, int]] = set()


def _read(directory: Path) -> Shard:
    """Returns the shard in `directory`; raises FileNotFoundError where there is none, or DamagedShardError."""
    if not is_made(directory):
        raise FileNotFoundError(directory)
    try:
        manifest: dict[str, dict[str, Any]] = json.loads((directory / MANIFEST).read_text())
        for name in (FEATURES, UTTERANCES):
            _check(directory / name, **manifest[name])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedShardError(f"the shard {directory} is damaged ({error})") from error
    utterances = [Utterance(**fields) for fields in json.loads((directory / UTTERANCES).read_text())]
    return Shard(utterances, np.load(directory / FEATURES, mmap_mode="r"))


def _check(path: Path, size: int, sha256: str) -> None:
    """Raises ValueError unless the file has its size and its checksum."""
    status = path.stat()
    if status.st_size != size:
        raise ValueError(f"{path.name} has {status.st_size} bytes instead of {size}")
    if (key := (path, status.st_size, status.st_mtime_ns)) in _checked:
        return
    if _sha256(path) != sha256:
        raise ValueError(f"{path.name} has changed")
    _checked.add(key)


def _write(directory: Path, shard: Shard) -> None:
    """Puts `shard` in `directory` in one step, in place of what was there. The caller holds the lock."""
    new = directory.with_name(f"{directory.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    try:
        np.save(new / FEATURES, shard.matrix)
        (new / UTTERANCES).write_text(json.dumps([asdict(utterance) for utterance in shard.utterances]))
        manifest = {
            name: {"size": (new / name).stat().st_size, "sha256": _sha256(new / name)}
            for name in (FEATURES, UTTERANCES)
        }
        (new / MANIFEST).write_text(json.dumps(manifest))
        if is_made(directory):
            shutil.rmtree(directory)  # it is damaged, and whoever has it open keeps it
        new.rename(directory)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
