"""Padded batches of utterances of about one length, under a cap on frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from paper_lib.corpus import Corpus, Shard, Utterance
from paper_lib.corpus.tokens import Tokenizer
from paper_lib.settings import MEL_BINS, Split

# Shards that are shuffled together: a whole mini corpus, and a tractable part of a large one that is made on the fly.
WINDOW = 16


@dataclass(frozen=True)
class Batch:
    """Utterances side by side, padded with zeros."""

    utterances: list[Utterance]
    features: Tensor  # [batch, time, 80], log-mel, float32
    frames: Tensor  # [batch], valid frames
    targets: Tensor  # [batch, labels]
    lengths: Tensor  # [batch], valid labels

    def to(self, device: torch.device) -> Batch:
        tensors = (self.features, self.frames, self.targets, self.lengths)
        return Batch(self.utterances, *(tensor.to(device, non_blocking=True) for tensor in tensors))


Item = tuple[Shard, int]


def bucket(items: Sequence[Item], batch_frames: int) -> list[list[Item]]:
    """Cuts `items`, sorted by length, into batches of at most `batch_frames` padded frames (at least one utterance)."""
    batches: list[list[Item]] = []
    longest = 0
    for item in items:
        longest = max(longest, item[0].utterances[item[1]].frames)
        if not batches or (len(batches[-1]) + 1) * longest > batch_frames:
            batches.append([])
            longest = item[0].utterances[item[1]].frames
        batches[-1].append(item)
    return batches


def padding_share(batches: Sequence[Sequence[Item]]) -> float:
    """Returns the share of `batches` that is padding: frames that hold no speech, of all frames."""
    lengths = [[shard.utterances[index].frames for shard, index in batch] for batch in batches]
    return 1 - sum(map(sum, lengths)) / sum(len(batch) * max(batch) for batch in lengths)


def collate(items: Sequence[Item], tokenizer: Tokenizer) -> Batch:
    """Reads and pads the features and labels of `items`."""
    utterances = [shard.utterances[index] for shard, index in items]
    features = torch.zeros(len(items), max(utterance.frames for utterance in utterances), MEL_BINS)
    for row, (shard, index) in enumerate(items):
        features[row, : utterances[row].frames] = torch.from_numpy(shard.features(index).astype(np.float32))
    labels = [torch.tensor(tokenizer.encode(utterance.text), dtype=torch.long) for utterance in utterances]
    return Batch(
        utterances=utterances,
        features=features,
        frames=torch.tensor([utterance.frames for utterance in utterances]),
        targets=torch.nn.utils.rnn.pad_sequence(labels, batch_first=True),
        lengths=torch.tensor([len(label) for label in labels]),
    )


def training_batches(corpus: Corpus, batch_frames: int, seed: int, sorted_epochs: int = 0) -> Iterator[list[Item]]:
    """Yields batches for ever, epoch after epoch; the n-th is a function of the arguments alone.

    Lengths are jittered by a tenth before sorting, so that batches differ between epochs and still hold little padding.
    The first `sorted_epochs` begin with the shortest utterances (SortaGrad, Amodei et al. 2016), those of the clean
    channel before all others. Raises ValueError for a corpus, or a view of one, that has no utterance to train on.
    """
    for epoch in itertools.count():
        found = False
        rng = np.random.default_rng((seed, epoch))
        # The first epoch takes the shards as they are made.
        count = corpus.shards("train")
        order = rng.permutation(count) if epoch else np.arange(count)
        for start in range(0, count, WINDOW):
            shards = [corpus.shard("train", int(k)) for k in order[start : start + WINDOW]]
            items = [(shard, index) for shard in shards for index in range(len(shard.utterances))]
            found = found or bool(items)
            lengths = np.array([shard.utterances[index].frames for shard, index in items])
            jittered = lengths * rng.uniform(0.95, 1.05, len(items))
            if epoch < sorted_epochs:
                disturbed = np.array([shard.utterances[index].channel != "clean" for shard, index in items])
                yield from bucket([items[place] for place in np.lexsort((jittered, disturbed))], batch_frames)
            else:
                batches = bucket([items[place] for place in np.argsort(jittered, kind="stable")], batch_frames)
                yield from (batches[place] for place in rng.permutation(len(batches)))
        if not found:
            raise ValueError(f"the training speech has no utterance of {', '.join(sorted(corpus.domains or ()))}")


def evaluation_batches(corpus: Corpus, split: Split, batch_frames: int, limit: int | None = None) -> list[list[Item]]:
    """Returns the batches of a split (of its first `limit` utterances), shortest first."""
    shards = (corpus.shard(split, k) for k in range(corpus.shards(split)))
    items = itertools.islice(((shard, i) for shard in shards for i in range(len(shard.utterances))), limit)
    return bucket(sorted(items, key=lambda item: item[0].utterances[item[1]].frames), batch_frames)
