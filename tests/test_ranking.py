"""Word errors, their bootstrap intervals, and the verdicts on layers that follow from them."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import jiwer
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from tiny_runs import CPU, Words, babbling

from paper_lib.conformer.decoding import greedy_decode, transcribe
from paper_lib.corpus import Corpus
from paper_lib.corpus.batches import collate, evaluation_batches
from paper_lib.evaluation import Estimate, bootstrap_interval, wer, wer_interval, word_errors
from paper_lib.layers.ranking import CONFIDENCE, MARGIN, classify, intact_wer, layer_effects, layer_errors, pooled
from paper_lib.layers.variants import KINDS

Floats = NDArray[np.float64]


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


def utterances(count: int, seed: int = 0, rate: float = 0.15) -> tuple[Floats, Floats]:
    """Returns errors and words of utterances that differ in difficulty and length, with a WER of about `rate`."""
    rng = np.random.default_rng(seed)
    words = rng.integers(2, 12, count)
    return rng.binomial(words, rng.beta(1, 1 / rate - 1, count)).astype(float), words.astype(float)


def numpy_bootstrap(errors: Floats, words: Floats, confidence: float) -> tuple[float, float]:
    """Returns the percentile interval of 20 000 resamples, made one by one."""
    rng = np.random.default_rng(99)
    ratios = []
    for _ in range(20_000):
        chosen = rng.integers(0, len(words), len(words))
        ratios.append(errors[chosen].sum() / words[chosen].sum())
    low, high = np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_an_interval_is_that_of_a_plain_bootstrap(confidence: float) -> None:
    errors, words = utterances(60)
    estimate = wer_interval(errors, words, confidence)
    low, high = numpy_bootstrap(errors, words, confidence)
    assert estimate.value == errors.sum() / words.sum()
    # 2000 resamples place an end to a few hundredths of the width.
    assert estimate.low == pytest.approx(low, abs=0.06 * (high - low))
    assert estimate.high == pytest.approx(high, abs=0.06 * (high - low))


def normal_interval(errors: Floats, words: Floats, confidence: float) -> tuple[float, float]:
    """Returns the interval of a ratio of sums by the delta method, exact for many utterances."""
    value = errors.sum() / words.sum()
    error = np.std(errors - value * words) * np.sqrt(len(words)) / words.sum()
    return stats.norm.interval(confidence, value, error)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_on_many_utterances_an_interval_is_that_of_normal_theory(confidence: float) -> None:
    errors, words = utterances(3000)
    estimate = wer_interval(errors, words, confidence)
    low, high = normal_interval(errors, words, confidence)
    assert estimate.low == pytest.approx(low, abs=0.07 * (high - low))
    assert estimate.high == pytest.approx(high, abs=0.07 * (high - low))


def test_intervals_hold_the_true_rate_as_often_as_they_promise() -> None:
    everything_errors, everything_words = utterances(200_000, seed=1)
    truth = everything_errors.sum() / everything_words.sum()
    samples = np.arange(200_000).reshape(-1, 100)[:200]
    held = 0
    for sample in samples:
        estimate = wer_interval(everything_errors[sample], everything_words[sample])
        held += estimate.low <= truth <= estimate.high
    # 190 are expected, with a deviation of 3.
    assert 180 <= held <= 198


def test_the_paired_interval_of_a_difference_is_narrower_than_that_of_independent_systems() -> None:
    rng = np.random.default_rng(0)
    intact, words = utterances(200)
    # The reset system makes the same errors and a few more.
    reset = intact + rng.binomial(1, 0.1, 200)
    paired = wer_interval(reset - intact, words)
    assert paired.value == pytest.approx(wer_interval(reset, words).value - wer_interval(intact, words).value)
    assert (paired.low, paired.high) == pytest.approx(
        numpy_bootstrap(reset - intact, words, 0.95), abs=0.06 * (paired.high - paired.low)
    )
    widths = [estimate.high - estimate.low for estimate in (wer_interval(reset, words), wer_interval(intact, words))]
    assert paired.high - paired.low < 0.5 * np.hypot(*widths)
    assert paired.low > 0


def test_no_difference_at_all_has_no_width() -> None:
    assert wer_interval([0, 0, 0], [3, 2, 5]) == Estimate(0.0, 0.0, 0.0)
    # Differences that cancel out have one.
    estimate = wer_interval([1, -1, 0, 0], [3, 3, 5, 2])
    assert estimate.low < estimate.value == 0 < estimate.high


def test_the_interval_of_rare_errors_is_skewed_and_never_below_none() -> None:
    errors, words = np.array([4.0, *[0.0] * 9]), np.full(10, 5.0)
    estimate = wer_interval(errors, words)
    # The chance that a resample leaves the one bad utterance out is 0.9^10 = 0.35.
    assert estimate.low == 0
    assert estimate.value == pytest.approx(0.08)
    # That it is drawn four times or more: 0.013; three times or more: 0.07.
    assert estimate.high == pytest.approx(0.24)


def test_an_interval_is_a_function_of_its_arguments() -> None:
    errors, words = utterances(50)
    np.random.seed(1)
    first = wer_interval(errors, words)
    np.random.seed(2)
    assert wer_interval(errors.tolist(), words.astype(int).tolist()) == first
    assert wer_interval(errors, words, seed=1) != first


def test_any_statistic_of_the_utterances_can_have_an_interval() -> None:
    errors, words = utterances(60)

    def rate(counts: NDArray[np.int64]) -> Floats:
        return np.asarray((counts @ errors) / (counts @ words))

    estimate = bootstrap_interval(rate, 60)
    low, high = numpy_bootstrap(errors, words, 0.95)
    assert estimate.value == pytest.approx(errors.sum() / words.sum())
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.06 * (high - low))
    # Another statistic sees the same resamples, with another seed others.
    doubled = bootstrap_interval(lambda counts: 2 * rate(counts), 60)
    assert astuple(doubled) == pytest.approx(tuple(2 * x for x in astuple(estimate)))
    assert bootstrap_interval(rate, 60, seed=1) != estimate


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.01, 0.019, "ambient"),
        (-0.30, -0.10, "ambient"),
        (0.021, 0.30, "critical"),
        (0.00, 0.021, "unresolved"),
        (0.019, 0.30, "unresolved"),
        (0.00, 0.02, "unresolved"),
        (0.02, 0.30, "unresolved"),
    ],
)
def test_a_verdict_says_where_the_interval_lies(low: float, high: float, verdict: str) -> None:
    assert MARGIN == 0.02
    assert classify(Estimate((low + high) / 2, low, high)) == verdict


def record(changes: list[Floats], count: int = 400, **more: list[Floats]) -> dict[str, Any]:
    """Returns the result of a made-up sweep whose layers' re-initialisations add `changes` to the intact errors."""
    intact, words = utterances(count)
    resets = [
        {"layer": layer, "kind": "re-initialisation", "draw": 0, "errors": (intact + change).tolist()}
        for layer, change in enumerate(changes)
    ]
    for layer, draws in more.items():
        resets += [
            {"layer": int(layer[1:]), "kind": "re-randomisation", "draw": draw, "errors": (intact + change).tolist()}
            for draw, change in enumerate(draws)
        ]
    return {"words": words.tolist(), "intact": intact.tolist(), "resets": resets}


def more_errors(rate: float, count: int = 400, seed: int = 0) -> Floats:
    """Returns one more error in a share `rate` of the utterances."""
    return np.random.default_rng(seed).binomial(1, rate, count).astype(float)


def test_each_verdict_is_given_where_it_is_due() -> None:
    nothing, little, much = np.zeros(400), more_errors(0.01), more_errors(0.6)
    just_the_margin = more_errors(0.13)  # with 6.5 words an utterance, a change of 0.02
    noise = more_errors(0.5, seed=1) - more_errors(0.5, seed=2)
    effects = layer_effects(record([nothing, little, much, just_the_margin, -much, 4 * noise]))
    assert [effect.classification for effect in effects] == [
        *("ambient", "ambient", "critical", "unresolved"),
        *("ambient", "unresolved"),
    ]
    assert [effect.layer for effect in effects] == list(range(6))
    # No harm seen is not enough: the noisy layer's change is less than the margin, its interval is not.
    assert effects[5].change.value < MARGIN < effects[5].change.high
    assert effects[3].change.low < MARGIN < effects[3].change.high
    assert effects[0].change == Estimate(0.0, 0.0, 0.0)


def test_a_larger_margin_forgives_more() -> None:
    result = record([more_errors(0.6)])
    assert [layer_effects(result, margin)[0].classification for margin in (0.02, 0.09, 0.2)] == [
        *("critical", "unresolved", "ambient"),
    ]


def test_intervals_of_a_change_hold_for_all_layers_at_once_and_widen_with_their_number() -> None:
    change = more_errors(0.3)
    words = np.array(record([change])["words"])
    widths = []
    for layers in (1, 4, 16):
        effect = layer_effects(record([change] * layers))[0]
        assert effect.change == wer_interval(change, words, 1 - 0.05 / layers)
        low, high = normal_interval(change, words, 1 - 0.05 / layers)
        assert (effect.change.low, effect.change.high) == pytest.approx((low, high), abs=0.1 * (high - low))
        # A WER by itself is no test, and keeps its 95 %.
        assert effect.wer == layer_effects(record([change]))[0].wer
        widths.append(effect.change.high - effect.change.low)
    assert CONFIDENCE == 0.95
    assert widths[0] < widths[1] < widths[2]


def test_draws_are_averaged_within_each_utterance() -> None:
    nothing, draws = np.zeros(400), [more_errors(0.2, seed=seed) for seed in range(3)]
    result = record([nothing, nothing], _0=[nothing] * 3, _1=draws)
    words, intact = np.array(result["words"]), np.array(result["intact"])
    effects = {(effect.layer, effect.kind): effect for effect in layer_effects(result)}
    assert effects.keys() == {(layer, kind) for layer in (0, 1) for kind in KINDS}
    effect = effects[1, "re-randomisation"]
    # Two layers are two tests, whatever the number of draws.
    expected = wer_interval(sum(draws) / 3, words, 0.975)
    assert astuple(effect.change) == pytest.approx(astuple(expected))
    assert effect.draws == pytest.approx([(intact + draw).sum() / words.sum() for draw in draws])
    assert effect.wer.value == pytest.approx(np.mean(effect.draws))
    assert effect.change.value == pytest.approx(effect.wer.value - intact.sum() / words.sum())
    # Three draws that disagree are surer than one.
    (alone,) = (e for e in layer_effects(record([nothing] * 2, _0=[nothing], _1=draws[:1])) if e.change.value > 0)
    assert effect.change.high - effect.change.low < alone.change.high - alone.change.low
    assert len(alone.draws) == 1


def test_errors_by_layer_are_means_over_draws() -> None:
    result = record([np.zeros(400), np.ones(400)], _0=[np.zeros(400), np.ones(400)], _1=[np.ones(400)])
    intact = np.array(result["intact"])
    result["resets"].reverse()  # layers are sorted, in whatever order they were reset
    np.testing.assert_allclose(layer_errors(result, "re-initialisation"), [intact, intact + 1])
    np.testing.assert_allclose(layer_errors(result, "re-randomisation"), [intact + 0.5, intact + 1])


def test_several_trainings_are_pooled_by_averaging_the_errors_of_each_utterance() -> None:
    results = [record([more_errors(0.2, seed=3)]), record([more_errors(0.6, seed=4)])]
    results[1]["intact"] = (np.array(results[1]["intact"]) + more_errors(0.1, seed=5)).tolist()
    words = np.array(results[0]["words"])
    intact = np.mean([result["intact"] for result in results], axis=0)
    reset = np.mean([result["resets"][0]["errors"] for result in results], axis=0)
    both = pooled(results)
    assert astuple(intact_wer(both)) == pytest.approx(astuple(wer_interval(intact, words)))
    (effect,) = layer_effects(both)
    assert astuple(effect.change) == pytest.approx(astuple(wer_interval(reset - intact, words)))
    assert effect.draws == pytest.approx([sum(result["resets"][0]["errors"]) / words.sum() for result in results])
    assert layer_effects(pooled(results[:1])) == layer_effects(results[0])
    results[1]["words"] = [*results[1]["words"][1:], 9]
    with pytest.raises(ValueError, match="different ones"):
        pooled(results)


def test_the_wer_of_the_intact_model_has_a_confidence_of_95_percent() -> None:
    result = record([more_errors(0.6)])
    estimate = intact_wer(result)
    low, high = normal_interval(np.array(result["intact"]), np.array(result["words"]), 0.95)
    assert estimate.value == pytest.approx(sum(result["intact"]) / sum(result["words"]))
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.08 * (high - low))
