"""What a corpus holds, counted: the whole of a small split, the first shard of a large one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paper_lib.corpus import Corpus, Shard, Utterance
from paper_lib.settings import Split

# Utterances of a split that are looked at in full: a few minutes of making where nothing is cached.
WHOLE = 10_000


@dataclass(frozen=True)
class Survey:
    """A split as far as it was looked at; `total` counts its utterances, looked at or not."""

    split: Split
    total: int
    shards: list[Shard]

    @property
    def utterances(self) -> list[Utterance]:
        return [utterance for shard in self.shards for utterance in shard.utterances]

    @property
    def complete(self) -> bool:
        return len(self.utterances) == self.total

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Durations of the utterances looked at, [utterances]."""
        return np.array([utterance.frames for utterance in self.utterances]) / 100

    @property
    def hours(self) -> float:
        """Hours of the whole split; where it is not complete, by the mean duration of what was looked at."""
        return float(self.seconds.mean()) * self.total / 3600

    @property
    def speakers(self) -> frozenset[str]:
        return frozenset(utterance.speaker for utterance in self.utterances)

    @property
    def sentences(self) -> frozenset[str]:
        return frozenset(utterance.text for utterance in self.utterances)

    @property
    def words(self) -> frozenset[str]:
        return frozenset(" ".join(self.sentences).split())


def survey(corpus: Corpus, split: Split, whole: int = WHOLE) -> Survey:
    """Looks at all of `split` if it has at most `whole` utterances, else at its first shard; makes what is missing."""
    total = corpus.count(split)
    ks = range(corpus.shards(split) if total <= whole else 1)
    with corpus.prefetch(split, ks):
        return Survey(split, total, [corpus.shard(split, k) for k in ks])
