"""Views of a corpus: all of its domains, one of them, and all but one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from tiny_runs import CPU, tiny_run

from paper_lib.corpus import Corpus, open_corpus
from paper_lib.corpus.batches import evaluation_batches, training_batches
from paper_lib.corpus.grammars import sentence_of_split, vocabulary
from paper_lib.corpus.tokens import WordPieceTokenizer
from paper_lib.federated.clients import clients_of
from paper_lib.profiles import profile_of
from paper_lib.settings import Split, SyntheticSettings, TokenSettings, TrainingRun
from paper_lib.training import fit

SETTINGS = SyntheticSettings(
    domains={"short_form": 0.3, "dictation": 0.3, "telephone": 0.4},
    evaluation_domains={"short_form": 1.0, "telephone": 1.0},
    most_words=9,
    utterances={"train": 60, "dev": 20, "test": 20},
    speakers={"train": 6, "dev": 2, "test": 2},
    shard_utterances=25,
)
HELD_OUT = ("short_form",)
OTHERS = ("dictation", "telephone")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(SETTINGS, tmp_path_factory.mktemp("views"))


def ids(corpus: Corpus, split: Split) -> list[str]:
    return [u.id for k in range(corpus.shards(split)) for u in corpus.shard(split, k).utterances]


def view(corpus: Corpus, domains: tuple[str, ...]) -> Corpus:
    return Corpus(SETTINGS, corpus._directory.parents[1], domains)


def test_views_share_the_utterances_of_one_corpus(corpus: Corpus) -> None:
    short, rest = view(corpus, HELD_OUT), view(corpus, OTHERS)
    assert short.digest == rest.digest == corpus.digest
    assert sorted(ids(short, "train") + ids(rest, "train")) == sorted(ids(corpus, "train"))
    assert {u.domain for k in range(3) for u in short.shard("train", k).utterances} == set(HELD_OUT)
    assert {u.domain for k in range(3) for u in rest.shard("train", k).utterances} == set(OTHERS)


def test_an_utterance_of_a_view_keeps_its_features(corpus: Corpus) -> None:
    whole = {u.id: corpus.shard("train", 0).features(i) for i, u in enumerate(corpus.shard("train", 0).utterances)}
    part = view(corpus, HELD_OUT).shard("train", 0)
    assert 0 < len(part) < len(whole)
    for index, utterance in enumerate(part.utterances):
        assert len(part.features(index)) == utterance.frames
        np.testing.assert_array_equal(part.features(index), whole[utterance.id])
    assert np.shares_memory(part.features(0), part.matrix)


def test_statistics_are_the_views_own(corpus: Corpus) -> None:
    rest = view(corpus, OTHERS)
    shard = rest.shard("train", 0)
    frames = np.concatenate([shard.features(index) for index in range(len(shard))]).astype(np.float64)
    mean, std = rest.feature_statistics()
    np.testing.assert_allclose(mean, frames.mean(0), rtol=1e-4)
    np.testing.assert_allclose(std, frames.std(0), rtol=1e-3)
    assert not np.allclose(mean, corpus.feature_statistics()[0], rtol=1e-4)


def test_dev_and_test_may_balance_domains_otherwise(corpus: Corpus) -> None:
    assert {u.domain for u in corpus.shard("dev", 0).utterances} == {"short_form", "telephone"}


def test_sentences_are_no_longer_than_asked_for(corpus: Corpus) -> None:
    texts = [u.text for k in range(3) for u in corpus.shard("train", k).utterances]
    assert max(len(text.split()) for text in texts) == 9
    with pytest.raises(ValueError, match=r"most_words is 2; .* sentences of prose had none so short for test"):
        sentence_of_split("prose", "test", np.random.default_rng(0), 2)


def test_tokens_are_learnt_without_the_held_out_domain(corpus: Corpus, tmp_path: Path) -> None:
    base = tiny_run(steps=1, checkpoint_every=1, distance_every=1)
    run = TrainingRun(
        corpus=SETTINGS,
        domains=OTHERS,
        tokens=TokenSettings(kind="word_pieces", vocabulary=150),
        model=base.model.model_copy(update={"vocabulary": 150}),
        training=base.training,
        seed=0,
    )
    rest = view(corpus, OTHERS)
    found = fit(run, rest, tmp_path, CPU).tokenizer
    assert isinstance(found, WordPieceTokenizer)
    texts = [u.text for k in range(3) for u in rest.shard("train", k).utterances]
    assert found.model == WordPieceTokenizer.train(texts, 150).model
    heard = set(" ".join(texts).split())
    pieces = {found._processor.id_to_piece(i).removeprefix("▁") for i in range(found._processor.get_piece_size())}
    only_short = {word for word in vocabulary("short_form") if len(word) > 4} - heard
    assert not {p for p in pieces if p in only_short and not any(p in word for word in heard)}


def test_clients_of_a_view_bring_its_domain_alone(corpus: Corpus) -> None:
    clients = clients_of(view(corpus, HELD_OUT), "train")
    owned = [shard.utterances[index] for client in clients for shard, index in client.items]
    assert {u.domain for u in owned} == set(HELD_OUT)
    assert sorted(u.id for u in owned) == sorted(ids(view(corpus, HELD_OUT), "train"))


def test_batches_of_a_view_hold_its_utterances(corpus: Corpus) -> None:
    batches = evaluation_batches(view(corpus, HELD_OUT), "dev", 2000)
    found = [shard.utterances[index].id for items in batches for shard, index in items]
    assert sorted(found) == sorted(ids(view(corpus, HELD_OUT), "dev"))


def test_a_view_without_an_utterance_cannot_be_trained_on(corpus: Corpus) -> None:
    with pytest.raises(ValueError, match="the training speech has no utterance of prose"):
        next(training_batches(view(corpus, ("prose",)), 2000, 0))


@pytest.mark.parametrize("domains", [(), ("prose",)])
def test_a_domain_that_the_corpus_lacks_is_refused(domains: tuple[str, ...]) -> None:
    fields = tiny_run().model_dump() | {"domains": domains, "corpus": SETTINGS.model_dump()}
    with pytest.raises(ValidationError, match="the corpus has short_form, dictation, telephone"):
        TrainingRun.model_validate(fields)


@pytest.mark.parametrize("name", ["quick", "laptop"])
def test_short_form_is_five_to_ten_per_cent_of_the_time(name: str) -> None:
    settings = profile_of(name).adaptation  # type: ignore[arg-type]
    few = settings.corpus.model_copy(update={"shard_utterances": 300})
    shard = open_corpus(few)._source.make_shard(few, "train", 0)
    lasts = {d: np.mean([u.frames for u in shard.utterances if u.domain == d]) for d in few.domains}
    times = {domain: share * lasts[domain] for domain, share in few.domains.items()}
    assert 0.05 < times[settings.held_out] / sum(times.values()) < 0.1  # 27k of 400k hours in the paper
