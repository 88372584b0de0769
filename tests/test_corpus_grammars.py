"""Sentences: their alphabet, their variety, and splits that share none."""

from itertools import combinations
from typing import get_args

import numpy as np
import pytest

from paper_lib.corpus.grammars import sentence, sentence_of_split, split_of, vocabulary
from paper_lib.settings import Domain

DOMAINS: tuple[Domain, ...] = get_args(Domain)


def draw(domain: Domain, count: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [sentence(domain, rng) for _ in range(count)]


@pytest.mark.parametrize("domain", DOMAINS)
def test_sentences_have_only_letters_apostrophes_and_single_spaces(domain: Domain) -> None:
    for text in draw(domain, 3000):
        assert set(text) <= set("abcdefghijklmnopqrstuvwxyz' ")
        assert text == " ".join(text.split())


@pytest.mark.parametrize("domain", DOMAINS)
def test_vocabulary_is_what_the_sentences_use(domain: Domain) -> None:
    used = {word for text in draw(domain, 20_000) for word in text.split()}
    assert used == vocabulary(domain)


def test_short_form_is_compact_and_rich() -> None:
    sentences = draw("short_form", 100_000)
    assert len(set(sentences)) >= 20_000
    assert 100 <= len(vocabulary("short_form")) <= 300
    words = np.array([len(text.split()) for text in sentences])
    assert 3 <= words.mean() <= 6
    assert np.mean((words >= 3) & (words <= 6)) > 0.95


@pytest.mark.parametrize(("one", "other"), list(combinations(DOMAINS, 2)))
def test_vocabularies_overlap_in_part(one: Domain, other: Domain) -> None:
    ours, theirs = vocabulary(one), vocabulary(other)
    shared = len(ours & theirs) / len(ours | theirs)
    # What is said at home is of what commands are of, in other sentences.
    assert 0 < shared < (0.8 if {one, other} == {"short_form", "conversation"} else 0.5)


@pytest.mark.parametrize("other", sorted(set(DOMAINS) - {"short_form"}))
def test_commands_are_said_in_no_other_domain(other: Domain) -> None:
    commands = set(draw("short_form", 100_000))
    assert np.mean([text in commands for text in draw(other, 5000)]) < 0.005


def test_a_twentieth_of_the_sentences_is_in_each_held_out_split() -> None:
    splits = [split_of(text) for text in set(draw("prose", 20_000))]
    assert abs(splits.count("dev") / len(splits) - 0.05) < 0.01
    assert abs(splits.count("test") / len(splits) - 0.05) < 0.01


def test_a_sentence_of_a_split_belongs_to_it() -> None:
    rng = np.random.default_rng(0)
    assert {split_of(sentence_of_split("telephone", "dev", rng)) for _ in range(20)} == {"dev"}
