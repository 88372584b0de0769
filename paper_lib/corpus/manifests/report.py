"""What a manifest holds, in lines of text: its faults, hours, speakers and words, and what the normaliser changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from paper_lib.corpus.manifests.entries import counted
from paper_lib.corpus.manifests.examination import Examination, Recording, examine_recordings
from paper_lib.settings import RecordingsSettings, Split

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
EXAMPLES = 2  # of every change


def report(settings: RecordingsSettings) -> tuple[list[str], bool]:
    """Returns the lines, and whether the corpus can be used as it is.

    Raises MissingDataError where a manifest is not there.
    """
    examined = examine_recordings(settings)
    return list(_lines(examined)), not examined.faults and not examined.not_drawn()


def _lines(examined: Examination) -> Iterator[str]:
    bad = examined.entries - len(examined.recordings)
    if examined.faults:
        yield f"{bad} of {examined.entries} entries cannot be used: {counted(examined.faults)}"
        yield from (f"  {fault}" for fault in examined.faults)
    yield f"{examined.entries - bad} of {examined.entries} entries can be used" + (
        "; no line has a split: speakers are split by a hash" if examined.drawn and examined.recordings else ""
    )
    for split in SPLITS:
        if own := [recording for recording in examined.recordings if recording.split == split]:
            yield f"  {split}: {_size(own)}"
        else:
            yield f"  {split}: nothing"
    if lacking := examined.not_drawn():
        yield lacking
    if several := _in_several_splits(examined.recordings):
        yield f"{len(several)} speakers are in more than one split: {', '.join(several[:5])}"
    if unnamed := sum(recording.entry.speaker is None for recording in examined.recordings):
        yield f"{unnamed} entries have no speaker: each counts as a speaker of its own"
    for change, texts in examined.changes.items():
        yield f"{len(texts)} texts: {change}"
        yield from (f"  {before!r} → {after!r}" for before, after in texts[:EXAMPLES])


def _size(recordings: list[Recording]) -> str:
    words = Counter(word for recording in recordings for word in recording.text.split())
    speakers = {recording.speaker for recording in recordings}
    hours = sum(recording.seconds for recording in recordings) / 3600
    longest = max(recording.seconds for recording in recordings)
    return (
        f"{len(recordings)} utterances, {hours:.2f} h, the longest {longest:.1f} s; {len(speakers)} speakers; "
        f"{words.total()} words, {len(words)} of them different"
    )


def _in_several_splits(recordings: list[Recording]) -> list[str]:
    splits = Counter(speaker for speaker, _ in {(recording.speaker, recording.split) for recording in recordings})
    return sorted(speaker for speaker, count in splits.items() if count > 1)
