"""Intervals of layers that learn from each other how much trainings differ: against `rate`, by hand, by simulation."""

from __future__ import annotations

import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats

from paper_lib.inference import Estimate, Mean, rate
from paper_lib.moderation import LENT, rates

Floats = NDArray[np.float64]
HARMS = np.array([0.03, 0.005, 0, 0, 0, 0, 0.001, 0.002, 0.01, 0.02, 0.04, 0.18])
EACH = 1 - 0.05 / len(HARMS)


def resets(
    rng: np.random.Generator, trainings: int, variation: float, harms: Floats = HARMS, speakers: int = 60
) -> tuple[Floats, Floats]:
    """Returns added errors and words, where every layer's harm varies between trainings by this share of it."""
    words = rng.integers(30, 70, speakers).astype(float)
    by_training = rng.gamma(variation**-2, variation**2, (trainings, len(harms), 1))
    peculiar = rng.gamma(4, 1 / 4, (trainings, len(harms), speakers))
    more = rng.poisson(words * (0.006 + harms[:, None] * by_training * peculiar))
    return more - rng.poisson(np.broadcast_to(0.006 * words, more.shape)).astype(float), words


def width(mean: Mean, confidence: float = EACH) -> float:
    estimate = mean.estimate(confidence)
    return estimate.high - estimate.low


@pytest.mark.parametrize("trainings", [1, 3])
def test_means_and_what_varies_by_speakers_are_those_of_each_layer_but_for_the_skewness_of_all(trainings: int) -> None:
    errors, words = resets(np.random.default_rng(0), trainings, 0.3)
    errors[:, 1] = 0  # a reset that does nothing tells nothing of it
    alone = [rate(errors[:, k], words) for k in range(len(HARMS))]
    skewness = np.mean([mean.speakers.skewness for k, mean in enumerate(alone) if k != 1])
    for mean, own in zip(rates(errors, words), alone, strict=True):
        assert mean.value == own.value
        assert mean.speakers == replace(own.speakers, skewness=pytest.approx(skewness))
        assert (mean.trainings is None) == (trainings == 1)
        if mean.trainings:
            assert mean.trainings.freedom - mean.trainings.lent == 2
            assert 0 <= mean.trainings.lent <= LENT


def test_one_layer_has_nobody_to_learn_from() -> None:
    errors, words = resets(np.random.default_rng(1), 3, 0.3, HARMS[-1:])
    assert rates(errors, words) == [rate(errors[:, 0], words)]


@pytest.mark.parametrize("speakers", [20, 80])
def test_classes_of_sixteen_layers_by_one_training_are_seldom_wrong(speakers: int) -> None:
    rng = np.random.default_rng(speakers)

    def wrong(alone: bool) -> bool:
        words = rng.integers(30, 70, speakers).astype(float)
        of_speaker = words * rng.gamma(1.5, 1 / 1.5, speakers)  # a few people make most of the errors
        added = rng.poisson(of_speaker * 0.026, (1, 16, speakers))
        errors = added - rng.poisson(of_speaker * 0.006, added.shape).astype(float)
        means = [rate(errors[:, k], words) for k in range(16)] if alone else rates(errors, words)
        ends = [mean.estimate(1 - 0.05 / 16) for mean in means]
        return any(not end.low <= 0.02 <= end.high for end in ends)

    found = np.mean([wrong(alone=False) for _ in range(150)])
    assert found < 0.09  # 5 % and what 150 draws vary by
    if speakers == 20:
        assert np.mean([wrong(alone=True) for _ in range(150)]) > found + 0.03


def test_a_layers_variance_is_what_follows_from_the_model_integrated_over_its_variation() -> None:
    """The same by quadrature in place of the grid, from F's density written out, for the layers of one experiment."""
    errors, words = resets(np.random.default_rng(2), 3, 0.4)
    alone = [rate(errors[:, k], words) for k in range(len(HARMS))]
    measured, peculiar, values = [], [], []
    for k, mean in enumerate(alone):
        by_training = errors[:, k].sum(1) / words.sum()
        moves = (errors[:, k] - by_training[:, None] * words) * (len(words) / words.sum())
        measured.append(by_training.var(ddof=1) / 3)
        peculiar.append(((moves - moves.mean(0)) ** 2).sum() / (2 * (len(words) - 1) * 3 * len(words)))
        values.append(mean.value)
    s, c, h = map(np.array, (measured, peculiar, values))

    def likelihood(log_v: float) -> float:
        expected = c + (math.exp(log_v) * h) ** 2 / 3
        # F with 2 and 2 degrees of freedom has the density 1 / (1 + x)²; s / expected has it.
        return float(np.prod(1 / (1 + s / expected) ** 2 / expected) * 1e-80)

    def moderated(log_v: float, layer: int) -> float:
        return float((2 * (c[layer] + (math.exp(log_v) * h[layer]) ** 2 / 3) + 2 * s[layer]) / 4) * likelihood(log_v)

    low, high = math.log(0.02), 0.0
    whole = integrate.quad(likelihood, low, high, limit=200)[0]
    for layer, mean in enumerate(rates(errors, words)):
        expected = integrate.quad(moderated, low, high, args=(layer,), limit=200)[0] / whole
        assert mean.trainings is not None
        without = max(expected - c[layer], expected / 4)
        assert mean.trainings.variance == pytest.approx(without, rel=0.1)


def test_layers_may_come_in_any_order_and_errors_in_any_unit() -> None:
    errors, words = resets(np.random.default_rng(3), 3, 0.3)
    ends = [astuple(mean.estimate(EACH)) for mean in rates(errors, words)]
    order = np.random.default_rng(4).permutation(len(HARMS))
    shuffled = [astuple(mean.estimate(EACH)) for mean in rates(errors[:, order], words)]
    np.testing.assert_allclose(shuffled, np.array(ends)[order])
    larger = [astuple(mean.estimate(EACH)) for mean in rates(7 * errors, 7 * words)]
    np.testing.assert_allclose(larger, ends)
    turned = [astuple(mean.estimate(EACH)) for mean in rates(-errors, words)]
    np.testing.assert_allclose(turned, -np.array(ends)[:, [0, 2, 1]])


def test_no_harm_at_all_has_no_width() -> None:
    assert [mean.estimate() for mean in rates(np.zeros((3, 4, 5)), [3] * 5)] == [Estimate(0.0, 0.0, 0.0)] * 4


def test_trainings_reach_farther_up_where_harm_is_large_and_as_far_down_where_it_is_none() -> None:
    errors, words = resets(np.random.default_rng(5), 3, 0.4)
    *_, nothing, harm = (mean.trainings for mean in rates(errors[:, [0, 1, 3, 11]], words))
    assert nothing is not None
    assert harm is not None
    assert harm.reach(1, 0.95) > 1.3 * harm.reach(-1, 0.95)
    assert nothing.reach(1, 0.95) == pytest.approx(nothing.reach(-1, 0.95), rel=0.2)
    # Of a small confidence both are Student's.
    student = stats.t.ppf(0.5 + 0.0005, harm.freedom) * math.sqrt(harm.variance)
    assert harm.reach(1, 0.001) == pytest.approx(student, rel=0.01)
    assert harm.reach(-1, 0.001) == pytest.approx(student, rel=0.01)


def test_a_layer_that_varies_far_more_than_the_others_keeps_a_wide_interval() -> None:
    rng = np.random.default_rng(6)
    errors, words = resets(rng, 5, 0.05)
    wild = errors.copy()
    wild[:, 4] += rng.poisson(words * np.array([[0.0], [0.0], [0.02], [0.04], [0.08]]))
    calm, found = rates(errors, words)[4], rates(wild, words)[4]
    assert calm.estimate(EACH).high < 0.01
    assert found.estimate(EACH).low < 0.02 < found.estimate(EACH).high


@pytest.mark.parametrize(("trainings", "shorter"), [(2, 0.25), (3, 0.75)])
def test_intervals_hold_as_often_as_they_promise_and_are_much_shorter(trainings: int, shorter: float) -> None:
    rng = np.random.default_rng(trainings)
    held, together, widths, runs = 0, 0, [], 150
    for _ in range(runs):
        errors, words = resets(rng, trainings, 0.3)
        means = rates(errors, words)
        ends = [mean.estimate() for mean in means]
        held += sum(end.low <= harm <= end.high for end, harm in zip(ends, HARMS, strict=True))
        ends = [mean.estimate(EACH) for mean in means]
        together += all(end.low <= harm <= end.high for end, harm in zip(ends, HARMS, strict=True))
        widths.append([width(mean) / width(rate(errors[:, k], words)) for k, mean in enumerate(means)])
    assert 0.93 * runs * len(HARMS) <= held <= 0.99 * runs * len(HARMS)
    assert together >= 0.9 * runs  # 0.95, less three deviations
    assert np.median(widths) < shorter
