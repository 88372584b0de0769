"""What resets do to the errors of one model: the reset sweeps of its trainings, read from records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from paper_lib.evaluation import Spoken
from paper_lib.inference import Floats
from paper_lib.layers.variants import ALL_KINDS, Kind


class Unit(NamedTuple):
    """What is reset at a time: a layer, from 1, or one module of it."""

    layer: int
    module: str | None = None


@dataclass(frozen=True)
class Sweeps:
    """Word errors by speaker, of one or several trainings of one model on the same test.

    Errors are sums over a speaker's utterances, means over the draws of a re-randomisation; WERs are fractions.
    """

    words: Floats  # [speakers]
    intact: Floats  # [trainings, speakers]
    units: tuple[Unit, ...]  # by layer, from the first
    resets: Mapping[Kind, Floats]  # [trainings, units, speakers]; a kind that was not made is missing
    draws: Mapping[Kind, Floats]  # WER of every draw, [trainings, units, draws]

    @classmethod
    def of(cls, results: Sequence[Mapping[str, Any]]) -> Sweeps:
        """Reads the results of the reset sweeps of `results`, one per training.

        Raises ValueError where they are not of the same test, or not of the same resets.
        """
        spoken = Spoken.read(results[0])
        if any(Spoken.read(result) != spoken for result in results):
            raise ValueError("trainings are compared on the same test utterances; these were tested on different ones")
        words = spoken.by_speaker(spoken.words)
        intact = spoken.by_speaker(np.array([spoken.errors(result["intact"]) for result in results]))
        resets, draws = {}, {}
        made = {reset["kind"] for result in results for reset in result["resets"]}
        kinds = [kind for kind in ALL_KINDS if kind in made]
        if not kinds:
            raise ValueError("a sweep has at least one reset; these have none")
        units = tuple(_by_unit(results[0], kinds[0], spoken))
        for kind in kinds:
            by_unit = [_by_unit(result, kind, spoken) for result in results]
            drawn = {(tuple(of_training), *map(len, of_training.values())) for of_training in by_unit}
            if len(drawn) > 1 or tuple(by_unit[0]) != units or not units:
                raise ValueError("trainings are compared under the same resets; these were reset in different ways")
            errors = np.array([list(of_training.values()) for of_training in by_unit])  # [..., draws, speakers]
            resets[kind] = errors.mean(-2)
            draws[kind] = errors.sum(-1) / words.sum()
        return cls(words, intact, units, resets, draws)

    @property
    def trainings(self) -> int:
        return len(self.intact)

    @property
    def varied(self) -> str:
        """What its intervals are over, in words: "5 trainings and 80 speakers"."""
        speakers = f"{len(self.words)} speakers"
        return speakers if self.trainings == 1 else f"{self.trainings} trainings and {speakers}"

    def added(self, kind: Kind = "re-initialisation") -> Floats:
        """Returns the errors that each reset adds to the intact model's, [trainings, units, speakers].

        Raises ValueError where resets of this kind were not made.
        """
        if kind not in self.resets:
            raise ValueError(f"kind is {kind!r}; the resets that were made are {', '.join(self.resets)}")
        return self.resets[kind] - self.intact[:, None]

    def harm(self, kind: Kind = "re-initialisation") -> Floats:
        """Returns the WER change by the reset of every unit, [trainings, units]."""
        change: Floats = self.added(kind).sum(-1) / self.words.sum()
        return change


def harm_of(result: Mapping[str, Any]) -> Floats:
    """Returns the WER change by the re-initialisation of every layer, [layers], of one training's reset sweep."""
    return Sweeps.of([result]).harm()[0]


def _by_unit(result: Mapping[str, Any], kind: Kind, spoken: Spoken) -> dict[Unit, list[Floats]]:
    """Returns the errors by speaker of every draw, by layer and module, the first layer first."""
    draws: dict[Unit, list[Floats]] = {}
    for reset in sorted(result["resets"], key=lambda reset: reset["layer"]):
        if reset["kind"] == kind:
            errors = spoken.by_speaker(spoken.errors(reset["misheard"]))
            draws.setdefault(Unit(reset["layer"], reset["module"]), []).append(errors)
    return draws
