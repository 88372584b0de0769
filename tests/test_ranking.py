"""The verdicts on layers that follow from the word errors of their resets, and the intervals behind them."""

from __future__ import annotations

import re
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from made_up import EACH, SPEAKERS, WORDS, misheard, spoken, sweep, sweeps
from made_up_sets import additive, searched
from numpy.typing import NDArray
from scipy import stats

from paper_lib.inference import CONFIDENCE, Estimate, rate
from paper_lib.layers.ranking import (
    MARGIN,
    ambient_by_margin,
    classify,
    intact_wer,
    layer_effects,
    reinitialised,
)
from paper_lib.layers.sweeps import Sweeps
from paper_lib.layers.variants import KINDS, MODULES
from paper_lib.summaries.headline import headline

Ints = NDArray[np.int64]
UTTERANCES = SPEAKERS * EACH


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


def record(changes: list[Ints], intact: int | Ints = 3, **more: list[Ints]) -> dict[str, Any]:
    """Returns the result of a made-up sweep whose layers' re-initialisations add `changes` to the intact errors.

    `more` holds, by "layer_1" and so on, what the draws of that layer's re-randomisation add.
    """
    errors = np.full(UTTERANCES, intact) if isinstance(intact, int) else intact
    resets = [
        {"layer": layer, "kind": KINDS[0], "draw": 0, "module": None, "misheard": misheard(errors + change)}
        for layer, change in enumerate(changes, 1)
    ]
    for layer, draws in more.items():
        resets += [
            {
                "layer": int(layer.partition("_")[2]),
                "kind": KINDS[1],
                "draw": draw,
                "module": None,
                "misheard": misheard(errors + change),
            }
            for draw, change in enumerate(draws)
        ]
    return {"spoken": spoken(), "intact": misheard(errors), "resets": resets}


def more_errors(share: float, seed: int = 0) -> Ints:
    """Returns one more error in `share` of the utterances."""
    return np.random.default_rng(seed).binomial(1, share, UTTERANCES)


def test_each_verdict_is_given_where_it_is_due() -> None:
    nothing, little, much = np.zeros(UTTERANCES, int), more_errors(0.01), more_errors(0.6)
    just_the_margin = more_errors(0.1)  # with 5 words an utterance, a change of 0.02
    noise = 3 * (more_errors(0.5, seed=1) - more_errors(0.5, seed=2))
    effects = layer_effects(Sweeps.of([record([nothing, little, much, just_the_margin, -much, noise])]))
    assert [effect.classification for effect in effects] == [
        *("ambient", "ambient", "critical", "unresolved"),
        *("ambient", "unresolved"),
    ]
    assert [effect.layer for effect in effects] == [1, 2, 3, 4, 5, 6]
    # No harm seen is not enough: the noisy layer's change is less than the margin, its interval is not.
    assert effects[5].change.value < MARGIN < effects[5].change.high
    assert effects[3].change.low < MARGIN < effects[3].change.high
    assert effects[0].change == Estimate(0.0, 0.0, 0.0)


def test_harm_to_one_speaker_alone_is_no_verdict_on_the_layer() -> None:
    # The same 120 errors, spread over 40 speakers and all with one: 0.06 of the words.
    spread, one = np.zeros(UTTERANCES, int), np.zeros(UTTERANCES, int)
    spread[: 3 * SPEAKERS] = 1
    one[::SPEAKERS] = 12
    first, second = layer_effects(Sweeps.of([record([spread, one])]))
    assert first.change.value == pytest.approx(second.change.value) == pytest.approx(120 / (UTTERANCES * WORDS))
    assert (first.classification, second.classification) == ("critical", "unresolved")


def test_a_larger_margin_forgives_more() -> None:
    result = Sweeps.of([record([more_errors(0.6)])])
    assert [layer_effects(result, margin)[0].classification for margin in (0.02, 0.12, 0.2)] == [
        *("critical", "unresolved", "ambient"),
    ]


def test_the_more_harm_is_forgiven_the_more_layers_are_ambient() -> None:
    result = sweeps([[0.0, 0.05, 0.1, 0.4]] * 5)
    margins = [0.001, 0.02, 0.05, 0.2, 0.6]
    counts = ambient_by_margin(result, margins)
    assert counts == [(1, 1), (1, 1), (1, 2), (3, 3), (4, 4)]
    for margin, (surely, perhaps) in zip(margins, counts, strict=True):
        classes = [effect.classification for effect in reinitialised(result, margin)]
        assert surely == classes.count("ambient")
        assert perhaps == classes.count("ambient") + classes.count("unresolved")
    assert ambient_by_margin(result, []) == []


def test_intervals_of_a_change_hold_for_all_layers_at_once_and_widen_with_their_number() -> None:
    change = more_errors(0.3)
    by_speaker = change.reshape(EACH, SPEAKERS).sum(0)
    widths = []
    for layers in (1, 4, 16):
        effect = layer_effects(Sweeps.of([record([change] * layers)]))[0]
        plain = stats.ttest_1samp(by_speaker / (EACH * WORDS), 0).confidence_interval(1 - 0.05 / layers)
        width = effect.change.high - effect.change.low
        # But for the skewness it is Student's.
        assert (effect.change.low, effect.change.high) == pytest.approx((plain.low, plain.high), abs=0.1 * width)
        exact = rate(by_speaker[None], [EACH * WORDS] * SPEAKERS).estimate(1 - 0.05 / layers)
        assert astuple(effect.change) == pytest.approx(astuple(exact))
        # A WER by itself is no test, and keeps its 95 %.
        assert effect.wer == layer_effects(Sweeps.of([record([change])]))[0].wer
        widths.append(width)
    assert CONFIDENCE == 0.95
    assert widths[0] < widths[1] < widths[2]


def test_of_modules_there_are_four_times_as_many_tests() -> None:
    change = more_errors(0.3)
    layers = record([change, change])
    modules = {**layers, "resets": [{**reset, "module": m} for reset in layers["resets"] for m in MODULES]}
    effects = layer_effects(Sweeps.of([modules]))
    assert [(e.layer, e.module) for e in effects] == [(layer, module) for layer in (1, 2) for module in MODULES]
    expected = layer_effects(Sweeps.of([record([change] * 8)]))[0]
    assert all(effect.change == expected.change for effect in effects)
    assert [effect.module for effect in layer_effects(Sweeps.of([layers]))] == [None, None]


def test_draws_are_averaged_within_each_speaker() -> None:
    nothing, draws = np.zeros(UTTERANCES, int), [more_errors(0.2, seed=seed) for seed in range(3)]
    result = Sweeps.of([record([nothing, nothing], layer_1=draws, layer_2=draws)])
    effects = {(effect.layer, effect.kind): effect for effect in layer_effects(result)}
    assert effects.keys() == {(layer, kind) for layer in (1, 2) for kind in KINDS}
    effect = effects[2, "re-randomisation"]
    by_speaker = np.mean(draws, axis=0).reshape(EACH, SPEAKERS).sum(0)
    # Two layers are two tests, whatever the number of draws.
    expected = rate(by_speaker[None], [EACH * WORDS] * SPEAKERS).estimate(0.975)
    assert astuple(effect.change) == pytest.approx(astuple(expected))
    words = UTTERANCES * WORDS
    assert effect.draws == pytest.approx([(3 * UTTERANCES + draw.sum()) / words for draw in draws])
    assert effect.wer.value == pytest.approx(np.mean(effect.draws))
    assert effect.change.value == pytest.approx(effect.wer.value - 3 / 5)
    # Three draws that disagree are surer than one.
    one = Sweeps.of([record([nothing] * 2, layer_1=[nothing], layer_2=draws[:1])])
    (alone,) = (e for e in layer_effects(one) if e.change.value > 0)
    assert effect.change.high - effect.change.low < alone.change.high - alone.change.low
    assert len(alone.draws) == 1
    assert [e.kind for e in reinitialised(result)] == ["re-initialisation"] * 2


def test_the_effect_of_several_trainings_is_the_mean_of_each_and_surer_where_they_agree() -> None:
    changes = [[0.1, 0.4]] * 5
    alone = [layer_effects(Sweeps.of([sweep(of_one, seed=seed)])) for seed, of_one in enumerate(changes)]
    for index, effect in enumerate(layer_effects(sweeps(changes))):
        each = [effects[index] for effects in alone]
        assert {(e.layer, e.kind) for e in each} == {(effect.layer, effect.kind)}
        assert effect.change.value == pytest.approx(np.mean([e.change.value for e in each]))
        assert effect.wer.value == pytest.approx(np.mean([e.wer.value for e in each]))
        assert effect.draws == pytest.approx([e.wer.value for e in each])
        trainings = effect.mean.trainings
        assert trainings is not None
        assert trainings.freedom - trainings.lent == 4
    # Trainings that disagree about a layer leave it open, though each alone would call it critical or ambient.
    first, second = (layer_effects(Sweeps.of([sweep([harm, 0.4])]))[0] for harm in (0.0, 0.3))
    assert (first.classification, second.classification) == ("ambient", "critical")
    assert layer_effects(sweeps([[0.0, 0.4], [0.3, 0.4]]))[0].classification == "unresolved"


def test_a_training_that_is_read_twice_tells_no_more_than_once() -> None:
    result = sweep([0.0, 0.03, 0.3])
    once, twice = layer_effects(Sweeps.of([result])), layer_effects(Sweeps.of([result] * 2))
    for one, other in zip(once, twice, strict=True):
        assert astuple(other.change) == pytest.approx(astuple(one.change))
        assert other.classification == one.classification


def test_the_wer_of_the_intact_model_has_a_confidence_of_95_percent() -> None:
    errors = np.random.default_rng(1).integers(0, 5, UTTERANCES)
    estimate = intact_wer(Sweeps.of([record([more_errors(0.6)], errors)]))
    plain = stats.ttest_1samp(errors.reshape(EACH, SPEAKERS).sum(0) / (EACH * WORDS), 0).confidence_interval(0.95)
    assert estimate.value == pytest.approx(errors.sum() / (UTTERANCES * WORDS))
    width = estimate.high - estimate.low
    assert (estimate.low, estimate.high) == pytest.approx((plain.low, plain.high), abs=0.05 * width)


def test_a_test_of_one_speaker_has_no_interval() -> None:
    result = record([more_errors(0.6)])
    result["spoken"]["speakers"] = ["s0"] * UTTERANCES
    alone = Sweeps.of([result])
    for judged in (layer_effects, intact_wer):
        with pytest.raises(ValueError, match="at least 2 speakers; there is 1"):
            judged(alone)


def test_the_headline_counts_ambient_layers_and_names_the_one_that_costs_most() -> None:
    nothing, much = np.zeros(UTTERANCES, int), more_errors(0.4)
    small = reinitialised(Sweeps.of([record([nothing, nothing, much])]))
    large = reinitialised(Sweeps.of([record([much, much])]))
    counts, others, worst = headline({"S": small, "L": large})
    assert counts.startswith("Of the 3 layers of a trained ConformerS, 2 can be put back")
    assert others == "So can none of 2 in ConformerL."
    assert worst.startswith("In ConformerS layer 3 costs most: +")
    assert len(headline({"L": large})) == 2
    # Four layers that are ambient one by one; every two of them do 1.2 points more than their sum.
    model = searched(additive((0.1, 0, 0, 0, 0, 0.2), interaction=0.012), 6)
    *before, together = headline({"S": small}, [model])
    assert before == headline({"S": small})
    assert re.fullmatch(
        r"All .* ConformerS, 4 layers .* they cost \+\S+ \[\S+, \S+\] points on test speech; up to [1-3] can .*",
        together,
    )
    none_is_ambient = searched(additive((0.2,) * 6), 6)
    assert len(headline({"S": small}, [none_is_ambient])) == 2
    another = searched(additive((0.1, 0, 0, 0, 0.1, 0.2), interaction=0.012), 6)
    *_, of_each = headline({"S": small}, [model, none_is_ambient, another])
    assert re.fullmatch(
        r"All .* 2 trainings of ConformerS, 4 and 3 layers .* \+\S+ .* points and \+\S+ .* points on test .*",
        of_each,
    )
