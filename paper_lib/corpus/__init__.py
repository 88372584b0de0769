"""Speech corpora as shards of log-mel features: synthetic speech, LibriSpeech, Speech Commands, one's own recordings.

Shards are made once and cached. Nothing here imports torch, so that the processes that make speech start in a second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import joblib
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from paper_lib.corpus import librispeech, speech_commands, synthetic
from paper_lib.corpus.cache import Shard, Utterance, is_made, open_or_make
from paper_lib.corpus.manifests import source as own_recordings
from paper_lib.paths import cache_root
from paper_lib.settings import MEL_BINS, CorpusSettings, Split
from paper_lib.workers import Workers

__all__ = ["Corpus", "Shard", "Utterance", "open_corpus"]

# The least deviation of a feature, natural logarithm: bins that a channel silences hold nothing but rounding.
LEAST_DEVIATION = 0.1


class Source(Protocol):
    """A module that makes a corpus of its settings."""

    def version(self, settings: Any) -> str: ...

    def check(self, settings: Any) -> None: ...

    def count(self, settings: Any, split: Split) -> int: ...

    def make_shard(self, settings: Any, split: Split, k: int) -> Shard: ...

    def waveform(self, settings: Any, utterance_id: str) -> NDArray[np.float32]: ...


SOURCES: dict[str, Source] = {
    "synthetic": synthetic,
    "librispeech": librispeech,
    "speech_commands": speech_commands,
    "recordings": own_recordings,
}


class Corpus:
    """The shards of a corpus, in the cache or made when they are asked for.

    A view of some of its domains (the slides' MD - SF is one of MD) has the same shards with fewer utterances in them.
    """

    def __init__(self, settings: CorpusSettings, cache: Path, domains: Collection[str] | None = None) -> None:
        self.settings = settings
        self.domains = None if domains is None else frozenset(domains)
        self._source.check(settings)
        self.digest = self._current_digest()
        self._directory = cache / "corpora" / self.digest

    @property
    def _source(self) -> Source:
        # Not an attribute: a corpus is pickled for other processes, and a module cannot be.
        return SOURCES[self.settings.source]

    def count(self, split: Split) -> int:
        """Returns the number of utterances of `split`, of all domains."""
        return self._source.count(self.settings, split)

    def shards(self, split: Split) -> int:
        """Returns the number of shards of `split`."""
        return -(-self.count(split) // self.settings.shard_utterances)

    def shard(self, split: Split, k: int) -> Shard:
        """Returns shard `k` of `split`, made first if it is not in the cache or is damaged there.

        Raises IndexError where the split has no such shard, and RuntimeError where it must be made of what is no longer
        the corpus that was opened.
        """
        if not 0 <= k < self.shards(split):
            raise IndexError(f"{split} has {self.shards(split)} shards, from 0; there is no shard {k}")
        shard = open_or_make(self.place(split, k), lambda: self._made(split, k))
        return shard if self.domains is None else shard.of_domains(self.domains)

    def prepare(self, splits: Sequence[Split] = ("train", "dev", "test"), workers: int | None = None) -> None:
        """Makes the shards that are not in the cache in `workers` processes, by default one per core."""
        missing = [(split, k) for split in splits for k in range(self.shards(split)) if not self._is_made(split, k)]
        if not missing:
            return
        with (
            _making(self, missing, min(workers or joblib.cpu_count(), len(missing))) as made,
            tqdm(total=len(missing), desc=f"corpus {self.digest}", unit="shard") as bar,
        ):
            hours = 0.0
            for seconds in made:
                hours += seconds / 3600
                speed = 3600 * hours / max(bar.format_dict["elapsed"], 1e-3)
                bar.set_postfix_str(f"{hours:.2f} h of speech, {speed:.0f} x real time", refresh=False)
                bar.update()

    @contextmanager
    def prefetch(self, split: Split, ks: Iterable[int], workers: int | None = None) -> Iterator[None]:
        """Makes those of the shards `ks` that are missing, in their order, while the body of the `with` runs.

        One core is left to the caller by default. On leaving, what is not made yet is given up.
        """
        missing = [(split, k) for k in ks if not self._is_made(split, k)]
        if not missing:
            yield
            return
        with _making(self, missing, min(workers or max(1, joblib.cpu_count() - 1), len(missing))):
            yield

    def waveform(self, utterance_id: str) -> NDArray[np.float32]:
        """Returns the audio of the utterance that has this id, through its channel: [samples] at 16 kHz."""
        return self._source.waveform(self.settings, utterance_id)

    def feature_statistics(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns the mean and the standard deviation of every mel bin over the first training shard, [80] each."""
        shard = self.shard("train", 0)
        frames, total, squares = 0, np.zeros(MEL_BINS), np.zeros(MEL_BINS)
        for index in range(len(shard)):
            features = shard.features(index).astype(np.float64)
            frames += len(features)
            total += features.sum(0)
            squares += (features**2).sum(0)
        mean = total / frames
        deviation = np.sqrt(np.maximum(squares / frames - mean**2, LEAST_DEVIATION**2))
        return mean.astype(np.float32), deviation.astype(np.float32)

    def place(self, split: Split, k: int) -> Path:
        """Returns the directory where shard `k` of `split` is, or will be."""
        return self._directory / f"{split}-{k}"

    def _current_digest(self) -> str:
        named = f"{self._source.version(self.settings)}:{self.settings.digest()}"
        return hashlib.sha256(named.encode()).hexdigest()[:16]

    def _made(self, split: Split, k: int) -> Shard:
        if self._current_digest() != self.digest:
            raise RuntimeError(f"the corpus {self.digest} has changed since it was opened: open it again")
        return self._source.make_shard(self.settings, split, k)

    def _is_made(self, split: Split, k: int) -> bool:
        return is_made(self.place(split, k))


def open_corpus(settings: CorpusSettings, domains: Collection[str] | None = None) -> Corpus:
    """Returns the corpus of `settings`, or its view of `domains`; nothing is made yet.

    Raises ValueError for settings that cannot be met.
    """
    return Corpus(settings, cache_root(), domains)


@contextmanager
def _making(corpus: Corpus, shards: Sequence[tuple[Split, int]], workers: int) -> Iterator[Iterator[float]]:
    """Makes `shards` in other processes; the value yields each one's seconds of speech as it is done."""
    with Workers(workers) as processes:
        futures = [processes.submit(_make, corpus, split, k) for split, k in shards]
        yield (future.result() for future in as_completed(futures))


def _make(corpus: Corpus, split: Split, k: int) -> float:
    return len(corpus.shard(split, k).matrix) / 100
