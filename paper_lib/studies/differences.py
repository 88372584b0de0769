"""What two results of one measurement differ in, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paper_lib.results import TEST
from paper_lib.trainings import CHECKPOINT

TIMES = ("seconds",)  # in a result: they differ from run to run
BY_STEP = "dev_wer"  # in a result: WERs by step or round, of which the last one counts
LONGEST_TOLD = 4  # differences


@dataclass(frozen=True)
class Tolerance:
    """How far apart two results may be: `points` of WER, and `share` of the larger of two numbers."""

    points: float
    share: float

    def allows(self, one: float, other: float, *, wer: bool) -> bool:
        """Returns whether `one` and `other`, fractions where they are WERs, are as near as that."""
        return abs(one - other) <= self.share * max(abs(one), abs(other)) + (self.points / 100 if wer else 1e-6)


# The same weights, read by another processor: sums in another order, and here and there another word.
SAME_WEIGHTS = Tolerance(points=0.2, share=0.01)
# Another training: what chance does to it, for which the book takes intervals over trainings.
OTHER_TRAINING = Tolerance(points=5.0, share=0.25)


@dataclass(frozen=True)
class Difference:
    """One place where two results differ: as it is published, and as it is here."""

    place: str
    published: str
    here: str
    tolerated: bool

    def __str__(self) -> str:
        return f"{self.place} {self.published} → {self.here}"


def differences(published: Mapping[str, Any], here: Mapping[str, Any]) -> list[Difference]:
    """Returns where the two results differ, what is beyond the tolerance first; nothing: they are the same to the bit.

    The tolerance is that of the same weights, or, where their checkpoints differ, that of another training.
    """
    same = published.get(CHECKPOINT) == here.get(CHECKPOINT)
    words = sum(len(reference.split()) for reference in published.get(TEST, {}).get("references", ()))
    found = list(_compared("", published, here, SAME_WEIGHTS if same else OTHER_TRAINING, words))
    return sorted(found, key=lambda difference: difference.tolerated)


def told(found: Sequence[Difference]) -> str:
    """Returns the first of `found` in words."""
    more = f"; and {len(found) - LONGEST_TOLD} more" if len(found) > LONGEST_TOLD else ""
    return "; ".join(map(str, found[:LONGEST_TOLD])) + more


def _compared(place: str, published: Any, here: Any, tolerance: Tolerance, words: int) -> Iterator[Difference]:
    name = place.rpartition(".")[2]
    if published == here or name in TIMES:
        return
    if name == CHECKPOINT:
        yield Difference(place, published[:8], here[:8], True)
    elif place == TEST or type(published) is not type(here):
        yield Difference(place, _short(published), _short(here), False)
    elif isinstance(published, Mapping):
        if published.keys() != here.keys():
            # Of a training that ended early, at another step.
            tolerated = name == BY_STEP and tolerance is OTHER_TRAINING
            yield Difference(f"{place or 'its fields'}:", _short(list(published)), _short(list(here)), tolerated)
        if name == BY_STEP:
            last, last_here = (values[max(values, key=int)] for values in (published, here))
            allowed = tolerance.allows(last, last_here, wer=True)
            yield Difference(f"{place} at the end:", f"{100 * last:.2f} %", f"{100 * last_here:.2f} %", allowed)
            return
        for key in published.keys() & here.keys():
            yield from _compared(f"{place}.{key}".removeprefix("."), published[key], here[key], tolerance, words)
    elif _is_heard(published) and _is_heard(here):
        one, other = (sum(errors for _, errors, _ in heard) / max(words, 1) for heard in (published, here))
        allowed = tolerance.allows(one, other, wer=True)
        yield Difference(f"WER of {place}:", f"{100 * one:.2f} %", f"{100 * other:.2f} %", allowed)
    elif _is_curve(published) and _is_curve(here) and len(published) == len(here):
        # One number for a curve: how large it is on the whole.
        one, other = (float(np.abs(curve).mean()) for curve in (published, here))
        yield Difference(f"{place} on average:", f"{one:.4g}", f"{other:.4g}", tolerance.allows(one, other, wer=False))
    elif isinstance(published, list):
        if len(published) != len(here):
            yield Difference(f"{place}, how many:", str(len(published)), str(len(here)), tolerance is OTHER_TRAINING)
        for index, pair in enumerate(zip(published, here, strict=False)):
            yield from _compared(f"{place}.{index}", *pair, tolerance, words)
    elif isinstance(published, int | float) and not isinstance(published, bool):
        yield Difference(place, _short(published), _short(here), tolerance.allows(published, here, wer=False))
    else:
        yield Difference(place, _short(published), _short(here), False)


def _is_heard(value: Any) -> bool:
    """Whether `value` is what a record keeps of what was heard: places, word errors and texts."""
    return isinstance(value, list) and all(
        isinstance(one, list) and [type(part) for part in one] == [int, int, str] for one in value
    )


def _is_curve(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(one) in (int, float) for one in value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
