"""The lines of a manifest, each of which is a JSON object, and what is wrong with them."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_args

from paper_lib.paths import MissingDataError
from paper_lib.settings import RecordingsSettings, Split

MOST_LISTED = 100  # faults in a message
LAST = 1e6  # seconds, eleven days: no file is longer

# (Offset, duration) of what is heard of a file, seconds; no duration: to its end.
Part = tuple[float, float | None]


@dataclass(frozen=True)
class Fault:
    """Why an entry cannot be used."""

    manifest: Path
    line: int  # from 1
    kind: str  # what faults are counted by
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


class ManifestError(ValueError):
    """Entries of a manifest that cannot be used; `faults` are all of them, the message lists the first hundred."""

    def __init__(self, faults: Sequence[Fault], entries: int) -> None:
        self.faults = tuple(faults)
        bad = len({(fault.manifest, fault.line) for fault in faults})
        lines = [f"{bad} of {entries} entries cannot be used ({counted(faults)}); skip_bad leaves them out"]
        several = len({fault.manifest for fault in faults}) > 1
        for number, fault in enumerate(faults[:MOST_LISTED]):
            if number == 0 or (several and fault.manifest != faults[number - 1].manifest):
                lines.append(f"{fault.manifest}:")
            lines.append(f"  {fault}")
        if len(faults) > MOST_LISTED:
            lines.append(f"  and {len(faults) - MOST_LISTED} more")
        super().__init__("\n".join(lines))


class Entry(NamedTuple):
    """One utterance of a manifest."""

    manifest: Path
    line: int
    audio: str  # absolute path; to make a Path of each takes longer than all the rest
    part: Part
    text: str
    speaker: str | None
    domain: str | None
    split: Split | None

    def fault(self, kind: str, message: str) -> Fault:
        return Fault(self.manifest, self.line, kind, message)


def counted(faults: Sequence[Fault]) -> str:
    """Returns how many faults there are of each kind, the most frequent first."""
    return ", ".join(f"{count} × {kind}" for kind, count in Counter(fault.kind for fault in faults).most_common())


def manifests_of(settings: RecordingsSettings) -> list[tuple[Path, Split | None]]:
    """Returns the absolute paths of the manifests, each with the split of all of its entries, if it has one."""
    if isinstance(settings.manifest, str):
        return [(Path(_absolute(settings.manifest)), None)]
    return [(Path(_absolute(path)), split) for split, path in settings.manifest.items()]


def read_entries(manifest: Path, split: Split | None = None) -> tuple[list[Entry], list[Fault], int]:
    """Returns the entries of a manifest, the faults of its other lines, and how many lines there are but empty ones.

    `split` is that of all entries, where it is given. Raises MissingDataError where there is no such file.
    """
    try:
        lines = manifest.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise MissingDataError(f"the manifest {manifest} cannot be read: {error.strerror}") from None
    entries, faults, total, home = [], [], 0, str(manifest.parent)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        total += 1
        try:
            entries.append(_entry(manifest, home, number, _parsed(line), split))
        except _LineError as error:
            faults.append(Fault(manifest, number, *error.args))
    return entries, faults, total


class _LineError(ValueError):
    """Kind and message of a fault."""


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise _LineError("not UTF-8", f"{error.object[error.start : error.end]!r} is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise _LineError("not JSON", f"this is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise _LineError("not JSON", f"this is no JSON object, but {type(fields).__name__}")
    # NeMo writes null where it does not know.
    return {name: value for name, value in fields.items() if value is not None}


def _entry(manifest: Path, home: str, line: int, fields: dict[str, Any], split: Split | None) -> Entry:
    audio, text = _required(fields, "audio_filepath"), _required(fields, "text")
    if not audio.strip() or "\0" in audio:
        raise _LineError("wrong field", f"audio_filepath is {audio!r}; it must be the path of a file")
    offset, duration = _seconds(fields, "offset"), _seconds(fields, "duration")
    if duration == 0:
        raise _LineError("wrong field", "duration is 0; it must be more")
    own = _text(fields, "split")
    if own is not None and own not in (allowed := get_args(Split)):
        raise _LineError("wrong field", f"split is {own!r}; it must be one of {', '.join(allowed)}")
    if split and own not in (None, split):
        raise _LineError("wrong field", f"split is {own!r} in the manifest of {split}")
    return Entry(
        manifest=manifest,
        line=line,
        audio=_absolute(audio, home),
        part=(offset or 0.0, duration),
        text=text,
        speaker=_text(fields, "speaker") or None,
        domain=_text(fields, "domain") or None,
        split=split or own,  # type: ignore[arg-type]  # it is one of them
    )


def _required(fields: dict[str, Any], name: str) -> str:
    value = _text(fields, name)
    if value is None:
        raise _LineError("field is missing", f"there is no {name}")
    return value


def _absolute(path: str, start: str = "") -> str:
    return os.path.abspath(os.path.join(start, os.path.expanduser(path)))


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if name == "speaker" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise _LineError("wrong field", f"{name} is {value!r}; it must be a text")
    if value and not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise _LineError("wrong field", f"{name} is {value!r}; half of a pair of UTF-16 is no character")
    return value


def _seconds(fields: dict[str, Any], name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < LAST:
        raise _LineError("wrong field", f"{name} is {value!r}; it must be a number of seconds, from 0 to {LAST:.0f}")
    return float(value)
