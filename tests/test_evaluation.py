"""Word errors, and what a record keeps of a test."""

from __future__ import annotations

import json

import jiwer
import numpy as np
import pytest
import torch
from tiny_runs import CPU, Words, babbling

from paper_lib.conformer.decoding import greedy_decode, transcribe
from paper_lib.corpus import Corpus
from paper_lib.corpus.batches import collate, evaluation_batches
from paper_lib.corpus.cache import Utterance
from paper_lib.evaluation import Spoken, wer, word_errors


def edit_distance(reference: list[str], hypothesis: list[str]) -> int:
    """Levenshtein's recursion, cell by cell."""
    table = np.zeros((len(reference) + 1, len(hypothesis) + 1), int)
    table[:, 0], table[0] = range(len(reference) + 1), range(len(hypothesis) + 1)
    for i, word in enumerate(reference, 1):
        for j, other in enumerate(hypothesis, 1):
            same = table[i - 1, j - 1] + (word != other)
            table[i, j] = min(same, table[i - 1, j] + 1, table[i, j - 1] + 1)
    return int(table[-1, -1])


def test_word_errors_are_the_edit_distance_in_words() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        reference, hypothesis = (list(rng.choice(["a", "b", "ab", "c"], rng.integers(0, 7))) for _ in range(2))
        counted = word_errors(" ".join(reference), " ".join(hypothesis))
        assert counted == edit_distance(reference, hypothesis)
        assert type(counted) is int


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors"),
    [
        ("turn on the light", "turn on the light", 0),
        ("turn on the light", "", 4),
        ("", "turn on", 2),
        ("", "", 0),
        ("turn on the light", "turn of light now", 3),
        ("turn on", "  turn   on ", 0),
        ("it's on", "its on", 1),
    ],
)
def test_word_errors_by_hand(reference: str, hypothesis: str, errors: int) -> None:
    assert word_errors(reference, hypothesis) == errors


def test_wer_is_all_errors_over_all_words_of_the_references() -> None:
    pairs = [("a b c", "a x c d"), ("d", "d"), ("e f", ""), ("g", "h i j")]
    assert wer(pairs) == pytest.approx((2 + 0 + 2 + 3) / 7)
    references, hypotheses = map(list, zip(*pairs, strict=True))
    assert wer(pairs) == pytest.approx(jiwer.wer(references, hypotheses))
    assert wer(pairs[1:2]) == 0


@torch.inference_mode()
def test_transcripts_stand_beside_their_own_references_in_the_order_of_the_batches(tiny_corpus: Corpus) -> None:
    model, _ = babbling("batch", tiny_corpus)
    batches = evaluation_batches(tiny_corpus, "dev", 500)
    assert 1 < len(batches) < 4  # utterances side by side, and several batches
    pairs = transcribe(model.train(), batches, Words(), CPU)
    expected = []
    for item in (item for batch in batches for item in batch):
        alone = collate([item], Words())
        (labels,) = greedy_decode(model.eval(), *model.encode(alone.features, alone.frames))
        expected.append((alone.utterances[0].text, Words().decode(labels)))
    assert pairs == expected
    assert len({hypothesis for _, hypothesis in pairs}) == 4


TEXTS = ["turn on the light", "call ada", "stop", "cancel the alarm now", "call ada", "turn it up"]
UTTERANCES = [
    Utterance(f"u{place}", text, speaker, domain, "none", 100 + place)
    for place, (text, speaker, domain) in enumerate(
        zip(TEXTS, ["bo", "al", "cy", "al", "bo", "al"], ["home", "car", "home", "car", "car", "home"], strict=True)
    )
]
HEARD = ["turn on a light", "call ada", "", "cancel the alarm now please", " call  ada", "turn it up"]


def test_what_was_heard_is_read_from_a_record_as_it_was_written() -> None:
    written = Spoken.of(UTTERANCES)
    result = json.loads(json.dumps({**written.record(), "misheard": written.misheard(HEARD)}))
    assert result["misheard"] == [[0, 1, "turn on a light"], [2, 1, ""], [3, 1, "cancel the alarm now please"]]
    read = Spoken.read(result)
    assert read == written
    assert read.ids == ("u0", "u1", "u2", "u3", "u4", "u5")
    hypotheses = read.hypotheses(result["misheard"])
    assert [heard.split() for heard in hypotheses] == [heard.split() for heard in HEARD]
    expected = [word_errors(said, heard) for said, heard in zip(TEXTS, HEARD, strict=True)]
    assert read.errors(result["misheard"]).tolist() == expected == [1, 0, 1, 1, 0, 0]
    assert read.words.tolist() == [4, 2, 1, 4, 2, 3]
    assert read.errors(result["misheard"]).sum() / read.words.sum() == pytest.approx(
        wer(list(zip(TEXTS, HEARD, strict=True)))
    )


def test_a_model_that_hears_everything_leaves_nothing_in_the_record() -> None:
    spoken = Spoken.of(UTTERANCES)
    assert spoken.misheard(TEXTS) == []
    assert spoken.hypotheses([]) == TEXTS
    assert spoken.errors([]).tolist() == [0] * 6


def test_there_is_a_hypothesis_for_every_utterance() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Spoken.of(UTTERANCES).misheard(HEARD[:-1])


def test_sums_are_over_each_speakers_utterances_in_the_order_of_names() -> None:
    spoken = Spoken.of(UTTERANCES)
    values = np.random.default_rng(0).normal(size=(2, 3, 6))
    sums = spoken.by_speaker(values)
    for column, places in enumerate([[1, 3, 5], [0, 4], [2]]):  # al, bo, cy
        np.testing.assert_allclose(sums[..., column], values[..., places].sum(-1))
    assert spoken.by_speaker(spoken.words).tolist() == [9, 6, 1]


def test_of_chosen_utterances_those_who_speak_in_them_are_left() -> None:
    spoken = Spoken.of(UTTERANCES)
    chosen = spoken.of_domains(("car", "boat"))
    assert chosen.tolist() == [False, True, False, True, True, False]
    assert spoken.by_speaker(spoken.words, chosen).tolist() == [6, 2]  # al, bo; cy said nothing in the car
    assert spoken.by_speaker(np.ones((3, 6)), chosen).tolist() == [[2, 1]] * 3
