"""Manifests written from what recordings come with: the files of Kaldi, or transcripts beside the sound files."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from paper_lib.files import atomic_write

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3"})

_ARCHIVE = re.compile(r":\d+$")  # Kaldi's place in an archive


class ConversionError(ValueError):
    """What cannot be converted: the message has a line for every fault."""

    def __init__(self, directory: Path, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join([f"{directory} cannot be converted:", *(f"  {fault}" for fault in faults)]))


def from_kaldi(directory: Path, out: Path) -> int:
    """Writes the manifest `out` of a Kaldi data directory, and returns the number of its utterances.

    `wav.scp` and `text` must be there; `utt2spk` and `segments` may be. A relative path in `wav.scp` starts at the
    working directory, as in Kaldi. Raises ConversionError, with every line that cannot be converted.
    """
    faults: list[str] = []
    tables = {name: _table(directory / name, faults) for name in ("wav.scp", "text", "utt2spk", "segments")}
    faults += [f"there is no {name}" for name in ("wav.scp", "text") if tables[name] is None]
    sounds, texts, speakers = (tables[name] or {} for name in ("wav.scp", "text", "utt2spk"))
    faults += _no_files(sounds)
    source = "wav.scp" if tables["segments"] is None else "segments"
    entries = []
    spoken = tables[source] or {}
    for utterance, (line, place) in spoken.items():
        try:
            recording, part = (utterance, {}) if source == "wav.scp" else _segment(place)
        except ValueError:
            faults.append(f"segments, line {line}: {place!r} is not RECORDING START END, in seconds")
            continue
        lacking = [("wav.scp", recording)] if recording not in sounds else []
        lacking += [("text", utterance)] if utterance not in texts else []
        lacking += [("utt2spk", utterance)] if utterance not in speakers and tables["utt2spk"] is not None else []
        faults += [f"{source}, line {line}: {table} has no {key}" for table, key in lacking]
        if not lacking:
            audio, text = _named(Path(sounds[recording][1]), out), texts[utterance][1]
            speaker = {"speaker": speakers[utterance][1]} if utterance in speakers else {}
            entries.append({"audio_filepath": audio, **part, "text": text, **speaker})
    faults += [f"text, line {line}: {source} has no {key}" for key, (line, _) in texts.items() if key not in spoken]
    if faults:
        raise ConversionError(directory, faults)
    return _write(entries, out)


def from_folder(directory: Path, out: Path) -> int:
    """Writes the manifest `out` of the sound files below `directory`, and returns the number of its utterances.

    The text of `x.wav` is in `x.txt` beside it. A speaker is a directory, by its path from `directory`; files that lie
    in `directory` itself have none. Raises ConversionError, with every file that lacks its fellow.
    """
    files = sorted(path for path in directory.rglob("*") if path.is_file() and not path.name.startswith("."))
    sounds = [path for path in files if path.suffix.lower() in SUFFIXES]
    transcripts = {path.with_suffix("") for path in files if path.suffix.lower() == ".txt"}
    faults = [] if sounds else [f"there is no sound file: {', '.join(sorted(SUFFIXES))}"]
    entries, seen = [], set()
    for path in sounds:
        name = path.relative_to(directory)
        stem = path.with_suffix("")
        if stem in seen:
            faults.append(f"{name}: another sound file has the same transcript, {name.with_suffix('.txt')}")
        elif stem not in transcripts:
            faults.append(f"{name} has no transcript, {name.with_suffix('.txt')}")
        else:
            try:
                text = " ".join(path.with_suffix(".txt").read_text("utf-8-sig").split())
                speaker = {} if path.parent == directory else {"speaker": name.parent.as_posix()}
                entries.append({"audio_filepath": _named(path, out), "text": text, **speaker})
            except (UnicodeDecodeError, OSError) as error:
                faults.append(f"{name.with_suffix('.txt')} cannot be read: {error}")
        seen.add(stem)
    faults += [f"{stem.relative_to(directory)}.txt has no sound file" for stem in sorted(transcripts - seen)]
    if faults:
        raise ConversionError(directory, faults)
    return _write(entries, out)


def _no_files(sounds: dict[str, tuple[int, str]]) -> Iterator[str]:
    """Yields the faults of lines of wav.scp that name no file."""
    for line, sound in sounds.values():
        if sound.endswith("|"):
            yield f"wav.scp, line {line}: {sound!r} is a command; write what it makes into a file, and name that"
        elif _ARCHIVE.search(sound) or sound in ("", "-"):
            yield f"wav.scp, line {line}: {sound!r} is no path of a sound file"


def _table(path: Path, faults: list[str]) -> dict[str, tuple[int, str]] | None:
    """Returns the line and the rest of the line by its first word; None where there is no such file."""
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        before = error.object.count(b"\n", 0, error.start)
        faults.append(f"{path.name}, line {before + 1}: {error.object[error.start : error.end]!r} is not UTF-8")
        return {}
    table: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(lines, 1):
        key, *rest = line.split(maxsplit=1) or [""]
        if key in table:
            faults.append(f"{path.name}, line {number}: {key} is there already, in line {table[key][0]}")
        elif key:
            table[key] = (number, rest[0].strip() if rest else "")
    return table


def _segment(place: str) -> tuple[str, dict[str, Any]]:
    """Returns the recording of a segment, with its offset and duration; raises ValueError."""
    recording, start, end = place.split()
    offset, last = float(start), float(end)
    if not 0 <= offset < math.inf or not (last > offset or last == -1):
        raise ValueError(place)
    return recording, {"offset": offset} | ({} if last == -1 else {"duration": round(last - offset, 6)})


def _named(path: Path, out: Path) -> str:
    """Returns the path as the manifest `out` has it: from its own directory where the file is below that."""
    absolute, home = (Path(os.path.abspath(one)) for one in (path.expanduser(), out.parent))
    return str(absolute.relative_to(home) if absolute.is_relative_to(home) else absolute)


def _write(entries: Sequence[dict[str, Any]], out: Path) -> int:
    lines = [json.dumps(entry, ensure_ascii=False) for entry in entries]
    atomic_write(out, "".join(f"{line}\n" for line in lines).encode())
    return len(entries)
