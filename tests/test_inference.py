"""Intervals over trainings and speakers, and tests: against SciPy, closed forms, brute force and simulations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import astuple
from itertools import combinations, permutations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from paper_lib.inference import (
    CONFIDENCE,
    DRAWN_ORDERS,
    SIGNIFICANCE,
    Estimate,
    Mean,
    difference_of_means,
    mean_over_trainings,
    orders_of,
    permutation_p,
    rate,
    smallest_p,
    survives_holm,
)

Floats = NDArray[np.float64]
TRUE_RATE = 0.05


def test_an_interval_has_95_percent_and_a_test_5() -> None:
    assert (CONFIDENCE, SIGNIFICANCE) == (0.95, 0.05)
    mean = mean_over_trainings([0.1, 0.2, 0.4])
    assert mean.estimate() == mean.estimate(0.95) != mean.estimate(0.94)


def skewed(
    trainings: int, rng: np.random.Generator, speakers: int = 40, between: float = 0.15
) -> tuple[Floats, Floats]:
    """Returns errors and words of trainings and speakers of whom few make most of the errors, at TRUE_RATE.

    Trainings differ by a share `between`; what is peculiar to a speaker in a training is a third of the speaker's rate.
    """
    words = rng.integers(20, 60, speakers).astype(float)
    by_speaker = rng.exponential(1, speakers)
    by_training = rng.gamma(between**-2, between**2, (trainings, 1)) if trainings > 1 else 1.0
    peculiar = rng.gamma(9, 1 / 9, (trainings, speakers))
    return rng.poisson(TRUE_RATE * words * by_speaker * by_training * peculiar).astype(float), words


# Intervals


def test_halls_interval_by_hand() -> None:
    # One of four speakers errs in 8 of 10 words: a mean of 0.2, a standard error of sqrt(0.16 / 4) = 0.2, a skewness of
    # 2, enlarged to 2.5, and so of 2.5 / sqrt(4) = k of the mean; Student's t with 3 degrees of freedom is 3.182446.
    k = 1.25
    estimate = rate([[0, 0, 0, 8]], [10] * 4).estimate()
    assert estimate.value == pytest.approx(0.2)
    assert estimate.low == pytest.approx(0.2 - 0.2 * 3 / k * ((1 + k * (3.182446 - k / 6)) ** (1 / 3) - 1), abs=1e-6)
    assert estimate.high == pytest.approx(0.2 + 0.2 * 3 / k * (1 + (k * (3.182446 + k / 6) - 1) ** (1 / 3)), abs=1e-6)
    assert (estimate.low, estimate.high) == pytest.approx((-0.1250, 1.3902), abs=1e-4)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_without_skewness_an_interval_over_speakers_is_students(confidence: float) -> None:
    errors = np.array([1.0, 2, 3, 4, 5])
    estimate = rate(errors[None], [10] * 5).estimate(confidence)
    expected = stats.ttest_1samp(errors / 10, 0).confidence_interval(confidence)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))
    # Two speakers have no skewness either.
    estimate = rate([[1, 4]], [10, 10]).estimate(confidence)
    expected = stats.ttest_1samp([0.1, 0.4], 0).confidence_interval(confidence)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))


def test_halls_interval_is_where_his_polynomial_meets_students_t() -> None:
    rng = np.random.default_rng(0)
    rates = rng.exponential(0.1, 30)
    estimate = rate(10 * rates[None], [10] * 30).estimate(0.9)
    error, skewness = stats.sem(rates), 1.25 * stats.skew(rates, bias=False)

    def corrected(mean: float) -> float:
        """Hall's (1992) transformation of Student's statistic."""
        t, k = (rates.mean() - mean) / error, skewness / math.sqrt(30)
        return t + k * t**2 / 3 + k**2 * t**3 / 27 + k / 6

    assert corrected(estimate.low) == pytest.approx(stats.t.ppf(0.95, 29))
    assert corrected(estimate.high) == pytest.approx(stats.t.ppf(0.05, 29))


def test_errors_of_few_speakers_reach_further_up_than_down_and_their_lack_further_down() -> None:
    few = rate([[9, 1, 0, 0, 1, 0, 0, 0]], [10] * 8).estimate()
    assert few.high - few.value > 2 * (few.value - few.low)
    most = rate([[1, 9, 10, 10, 9, 10, 10, 10]], [10] * 8).estimate()
    assert (most.low, most.high) == pytest.approx((1 - few.high, 1 - few.low))


def test_the_variance_by_speakers_is_the_jackknifes() -> None:
    rng = np.random.default_rng(1)
    errors, words = skewed(3, rng, speakers=80)
    left_out = [np.delete(errors, s, 1).sum() / (3 * np.delete(words, s).sum()) for s in range(80)]
    jackknife = 79 / 80 * np.sum((np.array(left_out) - np.mean(left_out)) ** 2)
    mean = rate(errors, words)
    assert mean.speakers is not None
    assert mean.value == pytest.approx(errors.sum() / (3 * words.sum()))
    assert mean.speakers.variance == pytest.approx(jackknife, rel=0.03)
    assert mean.speakers.freedom == 79
    equal = rate(errors, np.full(80, 40.0)).speakers
    assert equal is not None
    assert equal.variance == pytest.approx(stats.sem(errors.mean(0) / 40) ** 2)
    assert equal.skewness == pytest.approx(1.25 * stats.skew(errors.mean(0), bias=False) / 80**0.5)


def test_what_is_peculiar_to_a_speaker_in_a_training_is_taken_out_of_the_trainings() -> None:
    rng = np.random.default_rng(2)
    rates = 0.3 + rng.normal(0, 0.1, (4, 1)) + rng.normal(0, 0.1, 12) + rng.normal(0, 0.1, (4, 12))
    trainings = rate(20 * rates, np.full(12, 20.0)).trainings
    assert trainings is not None
    # An analysis of variance in two ways, cell by cell.
    interaction = sum(
        (rates[t, s] - rates[t].mean() - rates[:, s].mean() + rates.mean()) ** 2 for t in range(4) for s in range(12)
    ) / (3 * 11)
    between = np.var(rates.mean(1), ddof=1)
    assert interaction / 12 < 0.7 * between
    assert trainings.variance == pytest.approx((between - interaction / 12) / 4)
    assert trainings.freedom == 3


def test_a_quarter_of_the_spread_between_trainings_stays() -> None:
    # Every speaker errs in one training only: the trainings' rates differ by less than that alone would make them.
    errors = np.array([[6.0, 0, 3, 1], [0, 5, 1, 3]])
    trainings = rate(errors, [10] * 4).trainings
    assert trainings is not None
    assert trainings.variance == pytest.approx(np.var([0.25, 0.225], ddof=1) / 2 / 4)


def test_both_kinds_of_units_reach_as_far_as_the_root_of_the_sum_of_squares() -> None:
    # Speakers are spread evenly, without skewness, and trainings differ by 0.2 in all of them.
    errors = np.array([[1.0, 2, 3], [3, 4, 5]])
    estimate = rate(errors, [10] * 3).estimate()
    over_trainings = stats.t.ppf(0.975, 1) * np.std([0.2, 0.4], ddof=1) / 2**0.5
    over_speakers = stats.t.ppf(0.975, 2) * np.std([0.2, 0.3, 0.4], ddof=1) / 3**0.5
    reach = math.sqrt(over_trainings**2 + over_speakers**2)
    assert astuple(estimate) == pytest.approx((0.3, 0.3 - reach, 0.3 + reach))


def test_a_training_that_is_taken_twice_tells_no_more_than_once() -> None:
    errors, words = skewed(1, np.random.default_rng(3))
    once, twice = rate(errors, words).estimate(), rate(np.repeat(errors, 2, 0), words).estimate()
    assert astuple(twice) == pytest.approx(astuple(once))


def test_the_order_of_trainings_and_of_speakers_plays_no_part() -> None:
    rng = np.random.default_rng(4)
    errors, words = skewed(3, rng)
    expected = astuple(rate(errors, words).estimate())
    speakers = rng.permutation(40)
    assert astuple(rate(errors[:, speakers], words[speakers]).estimate()) == pytest.approx(expected)
    assert astuple(rate(errors[::-1], words).estimate()) == pytest.approx(expected)


@pytest.mark.parametrize("trainings", [1, 3])
def test_an_interval_scales_with_errors_and_turns_round_with_their_sign(trainings: int) -> None:
    errors, words = skewed(trainings, np.random.default_rng(5))
    value, low, high = astuple(rate(errors, words).estimate())
    assert astuple(rate(7 * errors, words).estimate()) == pytest.approx((7 * value, 7 * low, 7 * high))
    assert astuple(rate(7 * errors, 7 * words).estimate()) == pytest.approx((value, low, high))
    assert astuple(rate(-errors, words).estimate()) == pytest.approx((-value, -high, -low))
    # A constant rate that is added moves all of it.
    assert astuple(rate(errors + 0.1 * words, words).estimate()) == pytest.approx((value + 0.1, low + 0.1, high + 0.1))


def test_no_difference_at_all_has_no_width() -> None:
    assert rate(np.zeros((3, 5)), [3, 2, 5, 4, 4]).estimate() == Estimate(0.0, 0.0, 0.0)
    # Differences that cancel out have one.
    estimate = rate([[1, -1, 0, 0]], [3, 3, 5, 2]).estimate()
    assert estimate.low < estimate.value == 0 < estimate.high


def test_a_paired_difference_is_surer_than_that_of_unpaired_models() -> None:
    rng = np.random.default_rng(6)
    intact, words = skewed(3, rng)
    harmed = intact + rng.binomial(5, 0.2, intact.shape)
    paired = rate(harmed - intact, words).estimate()
    one, other = rate(harmed, words).estimate(), rate(intact, words).estimate()
    assert paired.value == pytest.approx(one.value - other.value)
    assert paired.low > 0
    assert paired.high - paired.low < 0.7 * math.hypot(one.high - one.low, other.high - other.low)


@pytest.mark.parametrize("trainings", [1, 3, 5])
def test_intervals_of_skewed_rates_hold_the_truth_as_often_as_they_promise(trainings: int) -> None:
    rng = np.random.default_rng(trainings)
    estimates = [rate(*skewed(trainings, rng)).estimate() for _ in range(1000)]
    above, below = (sum(e.low > TRUE_RATE for e in estimates), sum(e.high < TRUE_RATE for e in estimates))
    # 50 are expected to miss it, with a deviation of 7.
    assert 20 <= above + below <= 80
    assert below < 55  # twice the half of them: what is left of the skewness


def test_students_interval_over_speakers_would_miss_the_truth_more_often() -> None:
    rng = np.random.default_rng(1)
    halls, students = 0, 0
    for _ in range(600):
        rates = rng.exponential(1, 15) ** 2 / 2  # of a mean of 1
        halls += rate(rates[None], np.ones(15)).estimate().high < 1
        students += stats.ttest_1samp(rates, 0).confidence_interval().high < 1
    assert halls < 0.7 * students


@pytest.mark.parametrize("trainings", [2, 5])
def test_trainings_that_differ_widen_an_interval_that_speakers_alone_would_make_too_short(trainings: int) -> None:
    rng = np.random.default_rng(trainings)
    held, held_by_speakers = 0, 0
    for _ in range(600):
        mean = rate(*skewed(trainings, rng, between=0.3))
        both, alone = mean.estimate(), Mean(mean.value, None, mean.speakers).estimate()
        held += both.low <= TRUE_RATE <= both.high
        held_by_speakers += alone.low <= TRUE_RATE <= alone.high
    assert held >= 0.92 * 600
    assert held_by_speakers < 0.88 * 600


def test_one_speaker_and_one_training_are_too_few() -> None:
    with pytest.raises(ValueError, match="at least 2 speakers; there is 1"):
        rate([[1], [2]], [10])
    with pytest.raises(ValueError, match="at least 2 trainings; there is 1"):
        mean_over_trainings([0.3])
    for first, second in (([0.3], [0.1, 0.2]), ([0.1, 0.2], [0.3])):
        with pytest.raises(ValueError, match="at least 2 trainings; there is 1"):
            difference_of_means(first, second)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_values_per_training_have_students_interval_and_p(confidence: float) -> None:
    values = np.random.default_rng(7).normal(0.3, 0.2, 5)
    mean, expected = mean_over_trainings(values), stats.ttest_1samp(values, 0.05)
    interval = expected.confidence_interval(confidence)
    assert astuple(mean.estimate(confidence)) == pytest.approx((values.mean(), interval.low, interval.high))
    assert mean.p_value(0.05) == pytest.approx(expected.pvalue)
    assert mean_over_trainings([0.3, 0.3]).estimate() == Estimate(0.3, 0.3, 0.3)


def test_the_difference_of_two_models_is_welchs() -> None:
    rng = np.random.default_rng(8)
    first, second = rng.normal(0.5, 0.3, 4), rng.normal(0.1, 0.05, 6)
    mean = difference_of_means(first, second)
    expected = stats.ttest_ind(first, second, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert astuple(mean.estimate()) == pytest.approx((first.mean() - second.mean(), interval.low, interval.high))
    assert mean.p_value(0) == pytest.approx(expected.pvalue)
    assert astuple(difference_of_means([0.4, 0.4], [0.1, 0.1]).estimate()) == pytest.approx((0.3, 0.3, 0.3))


# p-values


MEANS: dict[str, Callable[[], Mean]] = {
    "one training": lambda: rate(*skewed(1, np.random.default_rng(9))),
    "three trainings": lambda: rate(*skewed(3, np.random.default_rng(9))),
    "few speakers": lambda: rate([[0, 0, 0, 8]], [10] * 4),
    "errors in all but a few": lambda: rate([[10, 10, 10, 2], [9, 10, 10, 1]], [10] * 4),
    "trainings alone": lambda: mean_over_trainings([0.1, 0.3, 0.2]),
}


@pytest.mark.parametrize("name", MEANS)
def test_the_interval_whose_confidence_is_1_less_p_ends_at_the_threshold(name: str) -> None:
    mean = MEANS[name]()
    width = mean.estimate().high - mean.estimate().low
    for share in (-0.6, -0.3, -0.2, 0.2, 0.4, 0.6):
        threshold = mean.value + share * width
        p = mean.p_value(threshold)
        estimate = mean.estimate(1 - p)
        if p > 1e-9:  # smaller ones are not told apart
            assert (estimate.low if share < 0 else estimate.high) == pytest.approx(threshold)
        # And so the interval of 95 % leaves it out if p is below 0.05.
        assert (p < 0.05) == (not mean.estimate().low <= threshold <= mean.estimate().high)


@pytest.mark.parametrize("name", MEANS)
def test_p_falls_with_the_distance_from_the_mean_on_either_side(name: str) -> None:
    mean = MEANS[name]()
    width = mean.estimate().high - mean.estimate().low
    assert mean.p_value(mean.value) == 1
    for side in (-1, 1):
        ps = [mean.p_value(mean.value + side * share * width) for share in np.geomspace(1e-4, 3, 25)]
        assert all(0 < p <= 1 for p in ps)
        assert ps == sorted(ps, reverse=True)
        assert ps[-1] < 0.05


def test_p_of_speakers_without_skewness_is_students() -> None:
    errors = np.array([1.0, 2, 3, 4, 5])
    assert rate(errors[None], [10] * 5).p_value(0.15) == pytest.approx(stats.ttest_1samp(errors / 10, 0.15).pvalue)


def test_what_does_not_vary_is_as_sure_as_can_be() -> None:
    mean = rate(np.zeros((3, 5)), [4] * 5)
    assert mean.p_value(0.02) <= 1e-6
    assert mean.p_value(0) == 1


def test_where_there_is_nothing_p_is_uniform() -> None:
    rng = np.random.default_rng(10)
    ps = np.array([rate(*skewed(3, rng)).p_value(TRUE_RATE) for _ in range(400)])
    for level in (0.05, 0.2, 0.5):
        # Conservative where trainings differ little, and by no more than a deviation or three liberal.
        assert np.mean(ps <= level) < level + 3 * math.sqrt(level * (1 - level) / 400)
    assert np.mean(ps <= 0.5) > 0.35


def test_the_smallest_p_of_a_verdict_is_that_of_the_interval_it_is_read_from() -> None:
    for name in ("one training", "three trainings", "trainings alone"):
        mean = MEANS[name]()
        threshold = mean.value - 0.3 * (mean.estimate().high - mean.estimate().low)

        def is_above(confidence: float, mean: Mean = mean, threshold: float = threshold) -> bool:
            return mean.estimate(confidence).low > threshold

        assert smallest_p(is_above) == pytest.approx(mean.p_value(threshold), rel=2e-4)
    assert smallest_p(lambda confidence: confidence < 0.97) == pytest.approx(0.03, rel=2e-4)
    assert smallest_p(lambda confidence: False) == 1
    assert smallest_p(lambda confidence: True) < 1e-8


# Permutations


@pytest.mark.parametrize("layers", [1, 3, 6])
def test_of_few_layers_all_orders_are_taken_the_measured_one_first(layers: int) -> None:
    orders = orders_of(layers)
    assert orders[0].tolist() == list(range(layers))
    assert sorted(map(tuple, orders.tolist())) == sorted(permutations(range(layers)))
    np.testing.assert_array_equal(orders, orders_of(layers, seed=1))


def test_of_many_layers_orders_are_drawn_evenly() -> None:
    assert len(orders_of(8)) == math.factorial(8)
    orders = orders_of(9)
    assert orders.shape == (1 + DRAWN_ORDERS, 9)
    assert orders[0].tolist() == list(range(9))
    assert np.all(np.sort(orders, axis=1) == np.arange(9))
    for layer in range(9):
        at = np.mean(orders[1:] == layer, axis=0)
        assert at == pytest.approx(np.full(9, 1 / 9), abs=5 * math.sqrt(8 / 81 / DRAWN_ORDERS))
    np.testing.assert_array_equal(orders, orders_of(9))
    assert not np.array_equal(orders, orders_of(9, seed=1))


def test_p_is_the_share_of_orders_that_are_as_large_as_the_measured_one() -> None:
    assert permutation_p(np.array([3.0, 1, 5, 3, 2])) == 3 / 5
    assert permutation_p(-np.array([3.0, 1, 5, 3, 2])) == 4 / 5
    assert permutation_p(np.array([9.0, 1, 5, 3, 2])) == 1 / 5  # the measured one is one of the orders
    # What differs by rounding alone is as large.
    assert permutation_p(np.array([0.3, 0.1 + 0.2, 0.3 - 1e-15, 0.2])) == 3 / 4


# Several tests


@pytest.mark.parametrize(
    ("ps", "survivors"),
    [
        # Holm's levels are 0.0125, 0.0167, 0.025 and 0.05.
        ([0.01, 0.04, 0.03, 0.005], [True, False, False, True]),
        ([0.0125, 0.0166, 0.025, 0.05], [True] * 4),
        ([0.013, 0.013, 0.013, 0.013], [False] * 4),  # each below 0.05, and the least not below 0.0125
        ([0.04], [True]),
        ([0.02, 0.06], [True, False]),
        ([], []),
    ],
)
def test_holms_procedure_by_hand(ps: list[float], survivors: list[bool]) -> None:
    assert survives_holm(ps) == survivors


def test_holms_procedure_is_the_closure_of_bonferronis() -> None:
    # A test survives if Bonferroni rejects every set of tests that it belongs to.
    rng = np.random.default_rng(11)
    for _ in range(100):
        ps = rng.uniform(0, 0.08, 4)
        sets = [each for size in (1, 2, 3, 4) for each in combinations(range(4), size)]
        rejected = {each: min(ps[list(each)]) <= 0.06 / len(each) for each in sets}
        expected = [all(rejected[each] for each in sets if test in each) for test in range(4)]
        assert survives_holm(list(ps), 0.06) == expected
