"""WERs after adaptation, and paired differences between plans, with intervals over seeds and speakers.

Plans with one seed met the same clients, batches and test speech, so differences are taken within a seed and a speaker.
A seed stands for the training that the adaptation begins with and for everything that is drawn in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from paper_lib.evaluation import Spoken
from paper_lib.inference import Floats, Mean, rate


@dataclass(frozen=True)
class Adapted:
    """Word errors of the adaptations by one plan, [seeds, speakers], and the references' words, [speakers]."""

    words: Floats
    errors: Floats

    @classmethod
    def of(cls, results: Sequence[Mapping[str, Any]], domains: Collection[str], draws: int = 1) -> Adapted:
        """Reads the results of adaptation records on the test utterances of `domains`.

        They are one per seed, or, by a plan whose layers are drawn several times, `draws` in a row per seed: then the
        errors are the mean over draws.
        Raises ValueError where they are not of the same test.
        """
        spoken = Spoken.read(results[0])
        if any(Spoken.read(result) != spoken for result in results):
            raise ValueError(
                "adaptations are compared on the same test utterances; these were tested on different ones"
            )
        chosen = spoken.of_domains(domains)
        heard = np.array([spoken.errors(result["misheard"]) for result in results])
        errors = heard.reshape(-1, draws, heard.shape[1]).mean(1)
        return cls(spoken.by_speaker(spoken.words, chosen), spoken.by_speaker(errors, chosen))

    def less(self, other: Adapted) -> Adapted:
        """Returns the errors that this plan makes more than `other`, seed by seed and speaker by speaker."""
        return Adapted(self.words, self.errors - other.errors)

    @classmethod
    def average(cls, several: Sequence[Adapted]) -> Adapted:
        """Returns the mean of the errors of `several`, seed by seed and speaker by speaker."""
        return cls(several[0].words, np.mean([one.errors for one in several], axis=0))

    @property
    def by_seed(self) -> Floats:
        """The WER (or difference of WERs) of every seed, [seeds]."""
        wers: Floats = self.errors.sum(1) / self.words.sum()
        return wers

    @property
    def mean(self) -> Mean:
        """The mean WER, or difference, over seeds and speakers."""
        return rate(self.errors, self.words)


def late_gain(curves: Sequence[Mapping[int, float]]) -> float | None:
    """Returns which share of all that the rounds brought came in their last quarter; None where they brought nothing.

    `curves` hold by run WERs by the number of rounds; the means over runs count.
    """
    first = float(np.mean([curve[min(curve)] for curve in curves]))
    _, then, last = last_quarter(curves)
    return (then - last) / (first - last) if last < first else None


def last_quarter(curves: Sequence[Mapping[int, float]]) -> tuple[int, float, float]:
    """Returns after how many rounds the last quarter of them begins, and the mean WERs over runs then and at the end.

    Where nothing was measured at three quarters of the rounds, the measurement before stands for it: then what the last
    quarter brought is too much rather than too little.
    """
    rounds = sorted(curves[0])
    late = max(at for at in rounds if at <= 0.75 * rounds[-1])
    then, last = (float(np.mean([curve[at] for curve in curves])) for at in (late, rounds[-1]))
    return late, then, last


def updates_of(results: Sequence[Mapping[str, Any]], kind: Literal["update_norms", "disagreements"]) -> Floats:
    """Returns what adaptation records say of the clients' updates, mean over rounds, [records, layers].

    Rounds that no client answered do not count.
    """
    rounds = ([report[kind] for report in result["reports"] if report[kind]] for result in results)
    means: Floats = np.array([np.mean(of_record, axis=0) for of_record in rounds])
    return means
