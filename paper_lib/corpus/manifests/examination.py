"""All that is wrong with the entries of a corpus of recordings, and those that can be used."""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from paper_lib.corpus.features import SAMPLE_RATE, frame_count
from paper_lib.corpus.manifests.entries import Entry, Fault, Part, manifests_of, read_entries
from paper_lib.corpus.manifests.sounds import Examined, examine, key
from paper_lib.corpus.manifests.texts import Normaliser
from paper_lib.paths import cache_root
from paper_lib.settings import RecordingsSettings, Split

FRAMES_A_LABEL = 4  # that the encoder's subsampling makes one of

_EQUAL = re.compile(r"(.)(?=\1)")


@dataclass(frozen=True)
class Recording:
    """An entry that can be used."""

    entry: Entry
    text: str  # normalised
    split: Split
    samples: int  # at 16 kHz
    file: Examined

    @property
    def id(self) -> str:
        return f"{self.split}-{self.entry.line}"

    @property
    def speaker(self) -> str:
        """Who speaks; where the manifest does not say, nobody else speaks the utterance's own speaker."""
        return self.entry.speaker or self.id

    @property
    def seconds(self) -> float:
        return self.samples / SAMPLE_RATE


@dataclass(frozen=True)
class Examination:
    """What the manifests of a corpus hold."""

    entries: int  # lines that are not empty
    recordings: list[Recording]  # without a fault, in the order of the manifests
    faults: list[Fault]
    changes: dict[str, list[tuple[str, str]]]  # texts before and after, by what the normaliser changed
    drawn: bool  # whether the manifests leave the splits to a hash

    def not_drawn(self) -> str | None:
        """Returns what to do where the hash leaves a split empty."""
        there = {recording.split for recording in self.recordings}
        empty = [split for split in ("train", "dev", "test") if split not in there]
        if not (self.drawn and there and empty):
            return None
        speakers = len({recording.speaker for recording in self.recordings})
        return (
            f"of {speakers} speakers the hash of their names puts none into {' and '.join(empty)}: give the lines a "
            "split, train, dev or test"
        )


def examine_recordings(settings: RecordingsSettings) -> Examination:
    """Reads the manifests of `settings`, and all sound files that were not read before; no fault stops it.

    Raises MissingDataError where a manifest is not there.
    """
    manifests = manifests_of(settings)
    entries: list[Entry] = []
    faults: list[Fault] = []
    total = 0
    for manifest, split in manifests:
        read, wrong, lines = read_entries(manifest, split)
        entries += read
        faults += wrong
        total += lines
    drawn = all(entry.split is None for entry in entries)
    texts, changes, of_texts = _texts(entries, settings)
    faults += [*of_texts, *_without_split(entries, drawn)]
    files, of_sounds = _sounds(entries, manifests)
    faults += [*of_sounds, *_doubles(entries, files)]
    recordings = []
    bad = {(fault.manifest, fault.line) for fault in faults}
    for entry, text in zip(entries, texts, strict=True):
        if (entry.manifest, entry.line) in bad:
            continue
        samples = files[entry.audio].parts[key(entry.part)]
        assert isinstance(samples, int)
        if (needed := _labels(text)) > (there := -(-frame_count(samples) // FRAMES_A_LABEL)):
            told = f"{samples / SAMPLE_RATE:.2f} s are too short for {text!r}"
            message = f"{told}: {needed} characters, of which {there} fit in, one in 40 ms"
            faults.append(entry.fault("text too long for its audio", message))
        else:
            split = entry.split or split_of(entry.speaker or f"{os.path.basename(entry.audio)} {key(entry.part)}")
            recordings.append(Recording(entry, text, split, samples, files[entry.audio]))
    places = {manifest: place for place, (manifest, _) in enumerate(manifests)}
    faults.sort(key=lambda fault: (places[fault.manifest], fault.line))
    return Examination(total, recordings, faults, changes, drawn)


def split_of(speaker: str) -> Split:
    """Returns the split of a speaker, by a hash of the name: 80 in 100 train, 10 are in dev, 10 in test."""
    place = int.from_bytes(hashlib.sha256(speaker.encode()).digest()[:8], "big") % 100
    return "train" if place < 80 else "dev" if place < 90 else "test"


def _texts(
    entries: Iterable[Entry], settings: RecordingsSettings
) -> tuple[list[str], dict[str, list[tuple[str, str]]], list[Fault]]:
    """Returns the normalised texts of `entries`, what was changed for them, and their faults."""
    normalise = Normaliser(settings.alphabet)
    texts, changes, faults = [], defaultdict(list), []
    for entry in entries:
        text, changed = normalise(entry.text)
        texts.append(text)
        for change in changed:
            changes[change].append((entry.text, text))
        if not text.strip(" '"):
            faults.append(entry.fault("text is empty", f"text {entry.text!r} has nothing that is spoken"))
        elif foreign := normalise.foreign(text):
            faults.append(entry.fault(*foreign))
        elif changed and settings.texts == "as_written":
            message = f"text {entry.text!r} is {text!r} in its normal form ({', '.join(changed)})"
            faults.append(entry.fault("text is not normal", message))
    return texts, dict(changes), faults


def _without_split(entries: Iterable[Entry], drawn: bool) -> Iterator[Fault]:
    for entry in entries:
        if entry.split is None and not drawn:
            yield entry.fault("split is missing", "there is no split, and other lines have one")


def _sounds(
    entries: Iterable[Entry], manifests: Iterable[tuple[Path, Split | None]]
) -> tuple[dict[str, Examined], list[Fault]]:
    """Returns the files of the entries, and the faults of what is heard of them."""
    wanted: dict[str, list[Part]] = defaultdict(list)
    for entry in entries:
        wanted[entry.audio].append(entry.part)
    named = hashlib.sha256("\n".join(str(manifest) for manifest, _ in manifests).encode()).hexdigest()[:16]
    store = cache_root() / "recordings" / f"{named}.json"
    store.parent.mkdir(parents=True, exist_ok=True)
    files, absent = examine(wanted, store)
    faults = []
    for entry in entries:
        if entry.audio in absent:
            faults.append(entry.fault(absent[entry.audio].kind, str(absent[entry.audio])))
        elif isinstance(fault := files[entry.audio].parts[key(entry.part)], list):
            faults.append(entry.fault(*fault))
    return files, faults


def _doubles(entries: Iterable[Entry], files: dict[str, Examined]) -> Iterator[Fault]:
    """Yields the faults of entries whose sound is that of an earlier one, under the same name or as a copy."""
    first: dict[tuple[str, Part], Entry] = {}
    for entry in entries:
        if entry.audio in files:
            earlier = first.setdefault((files[entry.audio].sha256 or entry.audio, entry.part), entry)
            if earlier is not entry:
                where = f"line {earlier.line}" + (f" of {earlier.manifest}" * (earlier.manifest != entry.manifest))
                yield entry.fault("same sound twice", f"{entry.audio} is the same recording as that of {where}")


def _labels(text: str) -> int:
    """Returns the encoder's steps that CTC needs for the characters of `text`: a blank parts two that are equal."""
    return len(text) + len(_EQUAL.findall(text))
