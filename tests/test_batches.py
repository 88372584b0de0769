"""From utterances to what a training step sees: batches, labels and SpecAugment's masks."""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import CPU, TINY_CORPUS

from paper_lib.corpus import Corpus, Shard, Utterance, batches, open_corpus
from paper_lib.corpus.augment import spec_augment
from paper_lib.corpus.batches import (
    Item,
    bucket,
    collate,
    evaluation_batches,
    padding_share,
    training_batches,
)
from paper_lib.corpus.grammars import GRAMMARS, sentence
from paper_lib.corpus.tokens import CharacterTokenizer, WordPieceTokenizer, make_tokenizer
from paper_lib.settings import ALPHABET, Domain, SpecAugmentSettings, Split, TokenSettings

DOMAINS: tuple[Domain, ...] = tuple(GRAMMARS)


def items_of(lengths: list[int]) -> list[Item]:
    utterances = [Utterance(f"train-{i}", "", "", "", "", frames) for i, frames in enumerate(lengths)]
    shard = Shard(utterances, np.zeros((0, 80), np.float16))
    return [(shard, index) for index in range(len(lengths))]


def ids(batch: list[Item]) -> list[str]:
    return [shard.utterances[index].id for shard, index in batch]


def frames(batch: list[Item]) -> list[int]:
    return [shard.utterances[index].frames for shard, index in batch]


@pytest.mark.parametrize("jitter", [0, 30])
def test_batches_are_as_large_as_the_cap_on_padded_frames_allows(jitter: int) -> None:
    rng = np.random.default_rng(jitter)
    lengths = np.sort(rng.integers(50, 300, 200)) + rng.integers(0, jitter + 1, 200)
    items = items_of(lengths.tolist())
    cut = bucket(items, 1000)
    assert [item for batch in cut for item in batch] == items
    for batch, following in zip(cut, [*cut[1:], None], strict=True):
        assert len(batch) * max(frames(batch)) <= 1000
        if following is not None:
            assert (len(batch) + 1) * max(frames(batch) + frames(following)[:1]) > 1000


def test_a_batch_may_fill_its_cap_and_an_utterance_longer_than_it_is_alone() -> None:
    assert [frames(batch) for batch in bucket(items_of([250] * 6), 1000)] == [[250] * 4, [250] * 2]
    assert [frames(batch) for batch in bucket(items_of([300, 700, 1200, 1300]), 1000)] == [[300], [700], [1200], [1300]]
    assert bucket([], 1000) == []


def test_the_share_of_padding_is_counted_by_hand() -> None:
    items = items_of([2, 4, 4, 10])
    assert padding_share([items[:2], items[2:]]) == pytest.approx(1 - 20 / (2 * 4 + 2 * 10))
    assert padding_share([items[:1]]) == 0


def test_collate_pads_with_zeros_and_counts_what_is_valid(tiny_corpus: Corpus) -> None:
    shard = tiny_corpus.shard("train", 0)
    items = [(shard, index) for index in (4, 0, 7)]
    batch = collate(items, CharacterTokenizer())
    assert [utterance.id for utterance in batch.utterances] == ids(items)
    assert batch.frames.tolist() == frames(items)
    assert batch.features.shape == (3, max(frames(items)), 80)
    assert batch.features.dtype == torch.float32
    assert batch.targets.shape == (3, max(len(utterance.text) for utterance in batch.utterances))
    for row, (_, index) in enumerate(items):
        count, length = int(batch.frames[row]), int(batch.lengths[row])
        assert np.array_equal(batch.features[row, :count].numpy(), shard.features(index).astype(np.float32))
        assert not batch.features[row, count:].any()
        assert length == len(shard.utterances[index].text)
        assert CharacterTokenizer().decode(batch.targets[row, :length].tolist()) == shard.utterances[index].text
        assert not batch.targets[row, length:].any()
    assert batch.to(CPU).utterances == batch.utterances


def epochs(corpus: Corpus, count: int, seed: int = 0, batch_frames: int = 400) -> list[list[list[Item]]]:
    """Returns the batches of the first epochs, each as many as it takes to see all utterances' number."""
    endless, result = training_batches(corpus, batch_frames, seed), []
    for _ in range(count):
        result.append([])
        while sum(map(len, result[-1])) < corpus.count("train"):
            result[-1].append(next(endless))
    return result


@pytest.mark.parametrize("window", [16, 2, 1])
def test_every_epoch_has_every_utterance_once(
    window: int, tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "WINDOW", window)
    for epoch in epochs(tiny_corpus, 3):
        assert sorted(name for batch in epoch for name in ids(batch)) == sorted(f"train-{i}" for i in range(24))
        assert all(len(batch) * max(frames(batch)) <= 400 or len(batch) == 1 for batch in epoch)


def test_shards_beyond_the_window_wait_and_the_first_epoch_takes_them_in_order(
    tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "WINDOW", 1)
    orders = set()
    for number, epoch in enumerate(epochs(tiny_corpus, 6)):
        shards = [{int(name.removeprefix("train-")) // 10 for name in ids(batch)} for batch in epoch]
        assert {len(shard) for shard in shards} == {1}
        order = list(dict.fromkeys(k for shard in shards for k in shard))
        assert sorted(order) == [0, 1, 2]
        if number == 0:
            assert order == [0, 1, 2]
        orders.add(tuple(order))
    assert len(orders) > 1


def test_the_nth_batch_is_a_function_of_the_arguments_alone(tiny_corpus: Corpus) -> None:
    first, second = training_batches(tiny_corpus, 400, 3), training_batches(tiny_corpus, 400, 3)
    alone = [ids(batch) for batch in islice(training_batches(tiny_corpus, 400, 3), 30)]
    for n in range(30):  # more than three epochs
        np.random.seed(n)
        torch.manual_seed(n)
        assert ids(next(first)) == alone[n] == ids(next(second))


def test_seeds_and_epochs_shuffle_and_regroup(tiny_corpus: Corpus) -> None:
    runs = [*epochs(tiny_corpus, 3), *epochs(tiny_corpus, 1, seed=1)]
    assert len({tuple(tuple(ids(batch)) for batch in epoch) for epoch in runs}) == 4
    # Not the same batches in another order.
    assert len({frozenset(frozenset(ids(batch)) for batch in epoch) for epoch in runs}) == 4


def test_sorted_epochs_begin_with_the_shortest_and_hold_the_same_batches(tiny_corpus: Corpus) -> None:
    def first(sorted_epochs: int, count: int) -> list[list[Item]]:
        return list(islice(training_batches(tiny_corpus, 400, 0, sorted_epochs), count))

    count = len(epochs(tiny_corpus, 1)[0])
    rising, shuffled = first(1, 2 * count), first(0, 2 * count)
    assert sorted(map(ids, rising[:count])) == sorted(map(ids, shuffled[:count]))
    longest = [max(frames(batch)) for batch in rising[:count]]
    assert all(later > 0.85 * earlier for earlier, later in pairwise(longest))  # lengths are jittered
    assert longest[0] < 0.8 * longest[-1]
    assert list(map(ids, rising[count:])) == list(map(ids, shuffled[count:]))


def test_sorted_epochs_take_clean_speech_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path))
    settings = TINY_CORPUS.model_copy(update={"channels": {"clean": 1.0, "telephone": 1.0}})
    epoch = list(islice(training_batches(open_corpus(settings), 1, 0, 1), 24))  # an utterance a batch
    channels = [shard.utterances[index].channel for ((shard, index),) in epoch]
    clean = channels.count("clean")
    assert 4 < clean < 20
    assert channels == ["clean"] * clean + ["telephone"] * (24 - clean)
    lengths = [frames(batch)[0] for batch in epoch]
    for of_channel in (lengths[:clean], lengths[clean:]):
        assert all(later > 0.85 * earlier for earlier, later in pairwise(of_channel))


def test_training_batches_hold_little_padding(tiny_corpus: Corpus) -> None:
    (epoch,) = epochs(tiny_corpus, 1)
    items = [item for batch in epoch for item in batch]
    shuffled = [items[place] for place in np.random.default_rng(0).permutation(len(items))]
    assert padding_share(epoch) < 0.5 * padding_share(bucket(shuffled, 400))


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_evaluation_batches_are_complete_and_shortest_first(split: Split, tiny_corpus: Corpus) -> None:
    cut = evaluation_batches(tiny_corpus, split, 500)
    count = tiny_corpus.count(split)
    assert sorted(name for batch in cut for name in ids(batch)) == sorted(f"{split}-{i}" for i in range(count))
    lengths = [length for batch in cut for length in frames(batch)]
    assert lengths == sorted(lengths)
    assert all(len(batch) * max(frames(batch)) <= 500 for batch in cut)


@pytest.mark.parametrize(("limit", "count"), [(1, 1), (13, 13), (24, 24), (1000, 24)])
def test_evaluation_batches_can_be_limited_to_the_first_utterances(limit: int, count: int, tiny_corpus: Corpus) -> None:
    cut = evaluation_batches(tiny_corpus, "train", 500, limit)
    assert {name for batch in cut for name in ids(batch)} == {f"train-{i}" for i in range(count)}


@pytest.mark.parametrize("domain", DOMAINS)
def test_characters_round_trip(domain: Domain) -> None:
    rng, tokenizer = np.random.default_rng(0), CharacterTokenizer()
    for _ in range(100):
        text = sentence(domain, rng)
        labels = tokenizer.encode(text)
        assert len(labels) == len(text)
        assert tokenizer.decode(labels) == text


def test_characters_have_the_ids_from_1_to_28() -> None:
    assert CharacterTokenizer().encode(ALPHABET) == list(range(1, 29))
    assert CharacterTokenizer().encode("") == []
    assert CharacterTokenizer().decode([]) == ""


def test_a_foreign_character_is_named() -> None:
    with pytest.raises(ValueError, match=r"'Näh!' has characters \['!', 'N', 'ä'\] outside"):
        CharacterTokenizer().encode("Näh!")


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    rng = np.random.default_rng(0)
    return [sentence(domain, rng) for domain in DOMAINS for _ in range(300)]


def test_word_pieces_round_trip_and_leave_0_to_the_blank(sentences: list[str]) -> None:
    tokenizer = WordPieceTokenizer.train(sentences, 200)
    rng = np.random.default_rng(1)
    seen = set()
    for text in (*sentences, *(sentence(domain, rng) for domain in DOMAINS for _ in range(50))):
        labels = tokenizer.encode(text)
        assert tokenizer.decode(labels) == text
        assert len(labels) < len(text)
        assert "".join(tokenizer.pieces(text)).replace("▁", " ").strip() == text
        seen.update(labels)
    assert min(seen) >= 1
    assert 150 < max(seen) <= 199
    # What no piece covers is sentencepiece's unknown, its id 0.
    assert min(tokenizer.encode("日本 7")) >= 1


def test_word_pieces_are_the_same_in_every_training(sentences: list[str]) -> None:
    models = {WordPieceTokenizer.train(texts, 100).model for texts in (sentences, iter(sentences), tuple(sentences))}
    assert len(models) == 1
    assert WordPieceTokenizer(models.pop()).encode(sentences[0])


def test_a_vocabulary_that_cannot_be_filled_is_refused(sentences: list[str]) -> None:
    with pytest.raises(ValueError, match="vocabulary is 30; characters and the blank make 29"):
        make_tokenizer(TokenSettings(kind="characters", vocabulary=30), sentences)


def test_there_are_no_more_word_pieces_than_the_texts_support() -> None:
    tokenizer = make_tokenizer(TokenSettings(kind="word_pieces", vocabulary=1000), ["hello world"])
    labels = tokenizer.encode("hello world")
    assert tokenizer.decode(labels) == "hello world"
    assert 1 <= min(labels) <= max(labels) < 30


def test_only_word_pieces_read_the_transcripts(sentences: list[str]) -> None:
    unread = iter(sentences)
    assert isinstance(make_tokenizer(TokenSettings(), unread), CharacterTokenizer)
    assert next(unread) == sentences[0]
    assert isinstance(make_tokenizer(TokenSettings(kind="word_pieces", vocabulary=80), unread), WordPieceTokenizer)
    assert next(unread, None) is None


LENGTHS = torch.tensor([90, 50, 33, 7])


def masked(seed: int, lengths: torch.Tensor = LENGTHS, time: int = 100, **settings: float) -> torch.Tensor:
    """Returns [batch, time, 80], true where SpecAugment put zeros into features of ones."""
    off = {"frequency_masks": 0, "time_masks": 0}
    ones = torch.ones(len(lengths), time, 80)
    generator = torch.Generator().manual_seed(seed)
    return spec_augment(ones, lengths, SpecAugmentSettings(**off | settings), generator) == 0


def runs(row: torch.Tensor) -> list[tuple[int, int]]:
    """Returns start and width of every run of true values."""
    edges = np.flatnonzero(np.diff(np.pad(row.numpy().astype(int), 1)))
    return [(int(start), int(end - start)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.9])
def test_a_time_mask_covers_whole_frames_of_the_utterance_and_no_padding(fraction: float) -> None:
    ends = torch.zeros(len(LENGTHS), dtype=torch.long)
    for seed in range(300):
        mask = masked(seed, time_masks=1, time_fraction=fraction)
        assert torch.equal(mask.all(-1), mask.any(-1))
        places = torch.arange(1, 101) * mask[..., 0]
        ends = torch.maximum(ends, places.amax(1))
    assert (ends <= LENGTHS).all()
    assert ends[0] > LENGTHS[0] - 4


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.9])
def test_a_time_mask_is_no_wider_than_its_share_of_the_utterance(fraction: float) -> None:
    widths: list[set[int]] = [set() for _ in LENGTHS]
    for seed in range(600):
        mask = masked(seed, time_masks=1, time_fraction=fraction)
        for row, frame in enumerate(mask[..., 0]):
            widths[row].add(int(frame.sum()))
    # From none to the widest, each width occurs.
    assert widths == [set(range(int(fraction * length) + 1)) for length in LENGTHS.tolist()]


@pytest.mark.parametrize("bins", [1, 6, 27])
def test_a_frequency_mask_spans_the_batch_row_and_is_no_wider_than_its_largest(bins: int) -> None:
    counts = np.zeros(bins + 1)
    for seed in range(400):
        mask = masked(seed, frequency_masks=1, frequency_bins=bins)
        assert torch.equal(mask.all(1), mask.any(1))  # in every frame
        for row in mask[:, 0]:
            spans = runs(row)
            assert len(spans) <= 1
            counts[sum(width for _, width in spans)] += 1
    # Uniform: 1600 masks, within five standard errors of their share.
    share = 1 / (bins + 1)
    np.testing.assert_allclose(counts / 1600, share, atol=5 * np.sqrt(share * (1 - share) / 1600))


def test_there_are_as_many_masks_as_asked_for() -> None:
    spans = {"time_masks": 4, "time_fraction": 0.02}
    bands = {"frequency_masks": 3, "frequency_bins": 2}
    times, frequencies = [], []
    for seed in range(100):
        mask = masked(seed, torch.tensor([400]), 400, **spans, **bands)
        times.append(len(runs(mask[0].all(-1))))
        frequencies.append(len(runs(mask[0].all(0))))
    assert max(times) == 4
    assert max(frequencies) == 3


def test_without_masks_or_with_widths_of_0_features_are_unchanged() -> None:
    assert not masked(0).any()
    for seed in range(20):
        assert not masked(seed, frequency_masks=5, frequency_bins=0, time_masks=5, time_fraction=0.0).any()


def test_masks_put_the_mean_and_leave_all_else_as_it_is() -> None:
    settings = SpecAugmentSettings(frequency_masks=2, frequency_bins=15, time_masks=2, time_fraction=0.2)
    features = torch.randn(4, 100, 80, generator=torch.Generator().manual_seed(0))
    before = features.clone()
    result = spec_augment(features, LENGTHS, settings, torch.Generator().manual_seed(1))
    mask = masked(1, frequency_masks=2, frequency_bins=15, time_masks=2, time_fraction=0.2)
    assert 0.05 < mask.float().mean() < 0.9
    assert torch.equal(result, features * ~mask)
    assert torch.equal(features, before)


def test_masks_depend_on_the_generator_alone_and_differ_between_utterances() -> None:
    settings = {"frequency_masks": 2, "time_masks": 3, "time_fraction": 0.1}
    torch.manual_seed(0)
    first = masked(5, **settings)
    torch.manual_seed(1)
    assert torch.equal(masked(5, **settings), first)
    assert not torch.equal(masked(6, **settings), first)
    assert len({row.numpy().tobytes() for row in masked(5, torch.full((8,), 100), frequency_masks=2)}) == 8
