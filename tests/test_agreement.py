"""How alike trainings rank layers, and what signatures tell of harm: against SciPy, brute force and closed forms."""

from __future__ import annotations

import math
from itertools import combinations, permutations, product

import numpy as np
import pytest
from made_up import sweep, training
from numpy.typing import NDArray
from scipy import stats

from paper_lib.claims.signatures import resemblance
from paper_lib.layers import agreement
from paper_lib.layers.agreement import (
    UNEQUAL_RESTS,
    agreement_p,
    association,
    instability,
    rank_agreements,
    rank_vectors,
    sets_in_common,
    sets_p,
    spearman,
    spearman_given_depth,
)
from paper_lib.layers.matrices import ATTENTION, MATRICES, SignatureError, check_step, recorded_steps
from paper_lib.layers.signature import common_steps, correlation_with_harm, signature, signatures_over_time, spread
from paper_lib.settings import TrainingSettings

Floats = NDArray[np.float64]
HARMS = [0.02, 0.1, 0.2, 0.3, 0.4, 0.5]


def profiles(*shape: int, ties: bool = False, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 3, shape).astype(float) if ties else rng.normal(size=shape)


def rho_of(first: Floats, second: Floats) -> float:
    """SciPy's, and 0 where one of them ranks nothing."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(stats.spearmanr(first, second).statistic)


@pytest.mark.parametrize("ties", [False, True])
def test_correlations_are_scipys(ties: bool) -> None:
    values = profiles(4, 6, ties=ties)
    expected = [rho_of(one, other) for one, other in combinations(values, 2)]
    assert rank_agreements(values) == pytest.approx(expected)
    assert spearman(values[:, None], values)[np.triu_indices(4, 1)] == pytest.approx(expected)


def test_ranks_are_vectors_of_length_1() -> None:
    vectors = rank_vectors(np.array([[0.3, 0.1, 0.2], [5.0, 5.0, 5.0]]))
    assert vectors[0] == pytest.approx(np.array([1, -1, 0]) / math.sqrt(2))
    assert vectors[1].tolist() == [0, 0, 0]


def test_correlation_at_fixed_depth_is_that_of_what_a_parabola_leaves_of_the_ranks() -> None:
    first, second = profiles(3, 9), profiles(3, 9, ties=True, seed=1)
    depth = np.arange(9.0)
    for one, other, rho in zip(first, second, spearman_given_depth(first, second), strict=True):
        rests = [ranks - np.polyval(np.polyfit(depth, ranks, 2), depth) for ranks in map(stats.rankdata, (one, other))]
        assert rho == pytest.approx(np.corrcoef(*rests)[0, 1])
    assert association(first, second, given_depth=True)[0] == pytest.approx(spearman_given_depth(first, second).mean())


def test_what_ranks_nothing_correlates_with_nothing() -> None:
    assert spearman(np.ones(4), np.arange(4.0)) == 0
    assert agreement_p(np.ones((3, 4))) == 1
    assert association(np.ones((3, 4)), profiles(3, 4)) == (0, 1)


def scipys_p(first: Floats, second: Floats) -> float:
    """Returns the p of SciPy's permutation test of ρ, in all orders."""
    found = stats.permutation_test(
        (first,),
        lambda shuffled: rho_of(shuffled, second),
        permutation_type="pairings",
        alternative="greater",
        n_resamples=np.inf,
    )
    return float(found.pvalue)


@pytest.mark.parametrize("ties", [False, True])
def test_the_agreement_of_two_trainings_is_tested_by_all_orders(ties: bool) -> None:
    for seed in range(5):
        values = profiles(2, 5, ties=ties, seed=seed)
        assert agreement_p(values) == pytest.approx(scipys_p(*values))


def test_perfect_agreement_of_two_trainings_is_met_by_one_order() -> None:
    assert agreement_p(np.array([HARMS, HARMS])) == pytest.approx(1 / 720)
    assert agreement_p(np.array([HARMS, HARMS[::-1]])) == 1


def brute_force(values: Floats, closeness: str) -> float:
    """Returns the share of all orders of all trainings but the first whose pairs are as alike, pair by pair."""
    functions = {"ranks": rho_of, "sets": lambda one, other: float(one @ other)}

    def mean(rows: tuple[Floats, ...]) -> float:
        return float(np.mean([functions[closeness](one, other) for one, other in combinations(rows, 2)]))

    first, *others = values
    orders = [[np.array(order) for order in permutations(other)] for other in others]
    seen = mean(tuple(values))
    return float(np.mean([mean((first, *rows)) >= seen - 1e-9 for rows in product(*orders)]))


def test_the_agreement_of_three_trainings_is_that_of_all_their_orders_but_for_the_draw() -> None:
    ps = []
    for seed in range(3):
        values = profiles(3, 3, seed=seed)
        values[1:] += values[0]
        ps.append(brute_force(values, "ranks"))
        assert agreement_p(values) == pytest.approx(ps[-1], abs=5 * math.sqrt(0.25 / 99_999))
    values = profiles(3, 4)
    values[1:] += 3 * values[0]
    ps.append(brute_force(values, "ranks"))
    assert agreement_p(values) == pytest.approx(ps[-1], abs=5 * math.sqrt(ps[-1] / 99_999))
    assert min(ps) < 0.1 < 0.3 < max(ps)


def chosen(*rows: str) -> NDArray[np.bool_]:
    return np.array([[mark == "x" for mark in row] for row in rows])


def test_layers_in_common_by_hand() -> None:
    common, by_chance = sets_in_common(chosen("xx--", "x-x-", "-xxx"))
    assert common == pytest.approx((1 + 1 + 1) / 3)
    assert by_chance == pytest.approx((2 * 2 / 4 + 2 * 3 / 4 + 2 * 3 / 4) / 3)


def test_layers_in_common_by_chance_are_those_of_shuffled_choices() -> None:
    rng = np.random.default_rng(0)
    choices = chosen("xx-----", "-xxx---", "x---xxx")
    shuffled = [sets_in_common(rng.permuted(choices, axis=1))[0] for _ in range(3000)]
    # The deviation of one is 0.45.
    assert sets_in_common(choices)[1] == pytest.approx(np.mean(shuffled), abs=0.04)


def test_p_of_two_sets_is_hypergeometric() -> None:
    for one, other in (("xxx----", "-xxxx--"), ("xx----", "xx----"), ("xx--", "--xx")):
        choices = chosen(one, other)
        first, second = choices.sum(1)
        expected = stats.hypergeom(len(one), first, second).sf((choices[0] & choices[1]).sum() - 1)
        assert sets_p(choices) == pytest.approx(expected)


def test_p_of_three_sets_is_that_of_all_their_orders_but_for_the_draw() -> None:
    for choices in (chosen("xx--", "x-x-", "xx--"), chosen("x--", "x--", "x--"), chosen("xx-", "x-x", "-xx")):
        p = brute_force(choices.astype(float), "sets")
        assert sets_p(choices) == pytest.approx(p, abs=5 * math.sqrt(0.25 / 99_999))


def test_no_p_depends_on_the_seed() -> None:
    values = profiles(4, 6)
    values[1:] += 1.5 * values[0]
    for test, of in ((agreement_p, values), (sets_p, values.argsort(1).argsort(1) < 2)):
        ps = [test(of, seed=seed) for seed in range(4)]
        p = float(np.mean(ps))
        assert 0.001 < p < 0.2
        assert ps == pytest.approx([p] * 4, abs=5 * math.sqrt(p / 99_999))
        assert len(set(ps)) > 1


def test_p_plays_no_favourites_among_trainings_and_layers() -> None:
    values = profiles(3, 6)
    values[1:] += 1.5 * values[0]
    p = agreement_p(values)
    near = 5 * math.sqrt(p / 99_999)
    assert 0.001 < p < 0.2
    assert agreement_p(values[::-1]) == pytest.approx(p, abs=near)
    assert agreement_p(values[:, [3, 1, 5, 0, 2, 4]]) == pytest.approx(p, abs=near)
    # Ranks are all that is compared.
    assert agreement_p(np.exp(values)) == p


@pytest.mark.parametrize("trainings", [2, 3, 5])
def test_where_trainings_have_nothing_in_common_p_is_below_5_percent_at_most_as_often(
    trainings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "DRAWN_ORDERS", 399)
    values = profiles(600, trainings, 6, seed=trainings)
    ranked = np.mean([agreement_p(one) <= 0.05 for one in values])
    # Two layers and three in turn, of seven: sets have few values, and their p is rarely just below 5 %.
    values = profiles(600, trainings, 7, seed=trainings)
    sizes = 2 + np.arange(trainings) % 2
    sets = np.mean([sets_p(one.argsort(1).argsort(1) < sizes[:, None]) <= 0.05 for one in values])
    # The deviation of 5 % is 0.9 %.
    assert 0.02 < ranked < 0.07
    assert sets < 0.07


def test_agreement_is_found_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "DRAWN_ORDERS", 399)
    values = profiles(100, 1, 6) + profiles(100, 5, 6, seed=1)
    assert np.mean([agreement_p(one) <= 0.05 for one in values]) > 0.7
    three_least = values.argsort(2).argsort(2) < 3
    assert np.mean([sets_p(one) <= 0.05 for one in three_least]) > 0.45


def test_instability_by_hand() -> None:
    # Two trainings differ by 1 in a layer of three; of each the other is the mean.
    found = instability(np.array([[1.0, 2, 0], [0.0, 2, 0]]))
    assert found[0] == pytest.approx(math.sqrt(1 / 3) / np.std([0, 2, 0]))
    assert found[1] == pytest.approx(math.sqrt(1 / 3) / np.std([1, 2, 0]))
    # The mean of the others of the first is 0, 3, 0.
    third = instability(np.array([[1.0, 2, 0], [0.0, 2, 0], [0.0, 4, 0]]))
    assert third[0] == pytest.approx(math.sqrt((1 + 1 + 0) / 3) / np.std([0, 3, 0]))
    assert instability(np.full((3, 4), 0.1)).tolist() == [0, 0, 0]  # all layers alike in all trainings


def test_instability_is_0_for_trainings_alike_and_about_1_where_layers_are_nothing_but_chance() -> None:
    assert instability(np.array([HARMS] * 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-12)
    base, noise = profiles(1, 2000), profiles(400, 2000, seed=1)
    # Of layers as far apart as a layer's trainings are, the mean of the others being exact.
    assert instability(base + noise) == pytest.approx(np.ones(400), abs=0.1)
    assert instability(np.zeros((3, 4))).tolist() == [0, 0, 0]  # no reset does anything
    values = profiles(4, 6)
    assert instability(3 * values + 2) == pytest.approx(instability(values))


def mean_rho(first: Floats, second: Floats) -> float:
    return float(np.mean([rho_of(one, other) for one, other in zip(first, second, strict=True)]))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("trainings", [1, 3])
def test_an_association_is_tested_by_all_orders_of_the_layers_in_all_trainings_alike(
    trainings: int, ties: bool
) -> None:
    first, second = profiles(trainings, 5, ties=ties), profiles(trainings, 5, ties=ties, seed=1)
    rho, p = association(first, second)
    assert rho == pytest.approx(mean_rho(first, second))
    shuffled = [mean_rho(first, second[:, order]) for order in permutations(range(5))]
    assert p == pytest.approx(np.mean(np.array(shuffled) >= rho - 1e-9))
    # It has no side: the layers of the one are shuffled as well as those of the other.
    assert association(second, first) == pytest.approx((rho, p))
    assert association(first, -second)[0] == pytest.approx(-rho)


def test_the_association_of_one_training_is_scipys() -> None:
    first, second = profiles(2, 5)
    assert association(first[None], second[None]) == pytest.approx((rho_of(first, second), scipys_p(first, second)))


def test_of_more_than_eight_layers_the_orders_are_drawn() -> None:
    first = profiles(1, 10)
    second = first + 1.5 * profiles(1, 10, seed=1)
    rho, p = association(first, second)
    assert rho == pytest.approx(rho_of(first[0], second[0]))
    # The t-approximation of SciPy is good for ten layers.
    assert p == pytest.approx(stats.spearmanr(first[0], second[0], alternative="greater").pvalue, abs=0.01)
    assert 0.01 < p < 0.2


def rest_of(ranks: Floats) -> Floats:
    """Returns what a parabola in depth does not tell."""
    depth = np.arange(len(ranks))
    return ranks - np.polyval(np.polyfit(depth, ranks, 2), depth)


@pytest.mark.parametrize("trainings", [1, 2])
def test_an_association_at_fixed_depth_is_that_of_the_rests(trainings: int) -> None:
    first, second = profiles(trainings, 6), profiles(trainings, 6, seed=3) + 0.3 * np.arange(6)
    rests = [[rest_of(stats.rankdata(one)) for one in several] for several in (first, second)]

    def mean_of(order: tuple[int, ...]) -> float:
        pairs = zip(*rests, strict=True)
        return float(np.mean([np.corrcoef(one, rest_of(other[list(order)]))[0, 1] for one, other in pairs]))

    rho, p = association(first, second, given_depth=True)
    assert rho == pytest.approx(mean_of((0, 1, 2, 3, 4, 5)))
    shuffled = np.mean([mean_of(order) >= rho - 1e-9 for order in permutations(range(6))])
    assert p == pytest.approx(min(1, UNEQUAL_RESTS * shuffled))


def test_what_depth_alone_tells_is_taken_away() -> None:
    depth = np.arange(7.0)
    first, second = np.tile(depth, (3, 1)), np.tile(depth**2, (3, 1))
    assert association(first, second) == pytest.approx((1, 1 / 5040))
    rho, p = association(first, second, given_depth=True)
    assert (rho, p) == (0, 1)
    # Three layers are told by a parabola whatever they do.
    assert association(profiles(2, 3), profiles(2, 3, seed=1), given_depth=True) == (0, 1)


def test_what_two_profiles_share_beyond_depth_is_found() -> None:
    shared = profiles(200, 1, 7)
    trend = 2 * np.arange(7)
    found = [
        association(trend + one + 0.2 * noise[:3], -trend + one + 0.2 * noise[3:], given_depth=True)[1] <= 0.05
        for one, noise in zip(5 * shared, profiles(200, 6, 7, seed=1), strict=True)
    ]
    assert np.mean(found) > 0.5


@pytest.mark.filterwarnings("ignore:Precision loss")
def test_where_two_profiles_have_nothing_to_do_with_each_other_p_is_below_5_percent_at_most_as_often() -> None:
    # Each belongs to the layers, in all five trainings: that is one pair of profiles, and not five.
    first = profiles(1000, 1, 6) + 0.3 * profiles(1000, 5, 6, seed=1)
    second = profiles(1000, 1, 6, seed=2) + 0.3 * profiles(1000, 5, 6, seed=3)
    found = np.mean([association(*pair)[1] <= 0.05 for pair in zip(first, second, strict=True)])
    # The deviation of 5 % is 0.7 %.
    assert 0.03 < found < 0.065
    # Student's t over trainings takes them for five.
    rhos = spearman(first, second)
    assert np.mean(stats.ttest_1samp(rhos, 0, axis=1, alternative="greater").pvalue <= 0.05) > 0.25


def test_at_fixed_depth_too_p_is_below_5_percent_about_as_often_as_it_says() -> None:
    depth = np.arange(6.0)
    first = profiles(600, 1, 6) + 0.5 * profiles(600, 3, 6, seed=1) + 0.8 * depth
    second = profiles(600, 1, 6, seed=2) + 0.5 * profiles(600, 3, 6, seed=3) - 0.3 * (depth - 3) ** 2
    found = np.mean([association(*pair, given_depth=True)[1] <= 0.05 for pair in zip(first, second, strict=True)])
    # The deviation of 5 % is 0.9 %.
    assert 0.02 < found < 0.07


def test_signatures_follow_the_slides_formula() -> None:
    result = training({"attention": [0.1, 0.2, 0.3, 0.4]})
    assert signature(result, ATTENTION) == pytest.approx(np.tile([0.25, 0.5, 0.75, 1], (5, 1)))
    assert signature(result, ["ffn1.w1"], step=20) == pytest.approx(np.ones((1, 4)))
    assert signature(result, step=10) == pytest.approx(np.ones((12, 4)))
    over_time = signatures_over_time([result])
    assert over_time.shape == (1, 2, len(MATRICES), 4)
    assert over_time[0, 1] == pytest.approx(signature(result))
    assert spread(signature(result, ATTENTION)) == pytest.approx([0.75] * 5)


def test_trainings_that_end_at_different_steps_are_compared_at_those_that_all_have_recorded() -> None:
    long, short = (training({"attention": moved}) for moved in ([0.1, 0.2, 0.3, 0.4], [0.4, 0.1, 0.2, 0.3]))
    long = {
        "distance_steps": [*long["distance_steps"], 25, 30],
        "distances": {name: [*moved, 9.0, 9.0] for name, moved in long["distances"].items()},
    }
    short = {"distance_steps": [10, 20, 25], "distances": {n: [*m, m[-1]] for n, m in short["distances"].items()}}
    assert common_steps([short, long]) == [10, 20, 25]
    over_time = signatures_over_time([short, long], ATTENTION)
    assert over_time.shape == (2, 3, len(ATTENTION), 4)
    for place, step in enumerate((10, 20, 25)):
        assert over_time[0, place] == pytest.approx(signature(short, ATTENTION, step))
        assert over_time[1, place] == pytest.approx(signature(long, ATTENTION, step))


def test_a_training_resembles_the_end_of_another_that_had_more_steps() -> None:
    short = training({"attention": [0.4, 0.1, 0.2, 0.3]})
    own_end = training({"attention": [0.1, 0.2, 0.3, 0.4]})
    own_end["distance_steps"] = [10, 50]
    assert resemblance([short, own_end]) == pytest.approx(np.array([[0.0], [0.0]]))
    own_end["distances"] = {name: [moved[1], moved[1]] for name, moved in own_end["distances"].items()}
    assert resemblance([own_end, short])[0, 0] == pytest.approx(rho_of(np.arange(4.0), np.array([0.4, 0.1, 0.2, 0.3])))


def test_a_signature_of_what_was_not_recorded_is_refused_with_what_was() -> None:
    result = training({})
    with pytest.raises(SignatureError, match=r"step 12 was not recorded; the 2 that were go from 10 to 20.*is 10"):
        signature(result, step=12)
    with pytest.raises(SignatureError, match=r"no weight matrix is called attention\.x; there are ffn1\.w1, "):
        signature(result, ["attention.x"])


def test_the_recorded_steps_end_with_the_last() -> None:
    settings = TrainingSettings(
        steps=110, batch_frames=1, learning_rate=1, warmup_steps=0, distance_every=25, checkpoint_every=1
    )
    assert recorded_steps(settings) == [1, 25, 50, 75, 100, 110]
    with pytest.raises(SignatureError, match="nearest is 100"):
        check_step(101, recorded_steps(settings))


def test_a_signature_that_orders_the_layers_as_their_harm_does_is_found_out() -> None:
    results = [sweep(HARMS, seed=seed) for seed in range(3)]
    ordered = [training({"attention": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}, 6, 0.01, seed) for seed in range(3)]
    found = dict(zip(MATRICES, correlation_with_harm(ordered, np.array(harms(results))), strict=True))
    attention, unrelated = found["attention.q"], found["convolution.depthwise"]
    assert attention.rho > 0.95
    assert attention.lowest - 1e-9 <= attention.rho <= attention.highest + 1e-9
    assert attention.p < 0.01
    # Both rise from layer to layer, and with a parabola in depth nothing is left.
    assert attention.given_depth < 0.5
    assert attention.p_given_depth > 0.05
    assert abs(unrelated.rho) < 0.7
    assert unrelated.p > 0.05
    turned = [sweep(HARMS[::-1], seed=seed) for seed in range(3)]
    (reversed_,) = correlation_with_harm(ordered, np.array(harms(turned)), ["attention.q"])
    assert reversed_.rho < -0.95
    assert reversed_.p > 0.95


def test_ps_of_several_matrices_are_corrected_together() -> None:
    results = [sweep([0.1, 0.4, 0.2, 0.5, 0.3], seed=seed) for seed in range(2)]
    harm = np.array(harms(results))
    runs = [training({}, 5, 0.5, seed) for seed in range(2)]
    matrices = ["attention.q", "ffn1.w1", "ffn2.w2", "convolution.depthwise"]
    alone = [correlation_with_harm(runs, harm, [matrix])[0] for matrix in matrices]
    together = correlation_with_harm(runs, harm, matrices)
    for name in ("p", "p_given_depth"):
        ps = [getattr(one, name) for one in alone]
        # Benjamini and Hochberg: the least of p times the tests over its rank, from this p upwards.
        ranks = stats.rankdata(ps, method="max")
        corrected = [
            min(1, *(4 * other / rank for other, rank in zip(ps, ranks, strict=True) if other >= p)) for p in ps
        ]
        assert [getattr(one, name) for one in together] == pytest.approx(corrected)
        assert any(more > less for more, less in zip(corrected, ps, strict=True))
    rhos = [
        [rho_of(signature(run, [matrix])[0], np.array(harm)) for run, harm in zip(runs, harms(results), strict=True)]
        for matrix in matrices
    ]
    for one, of_matrix in zip(together, rhos, strict=True):
        assert (one.rho, one.lowest, one.highest) == pytest.approx((np.mean(of_matrix), min(of_matrix), max(of_matrix)))


def harms(results: list) -> list[list[float]]:  # type: ignore[type-arg]
    """Returns the word errors of every re-initialised layer, by training."""
    return [
        [sum(errors for _, errors, _ in one["misheard"]) for one in result["resets"] if one["kind"][3] == "i"]
        for result in results
    ]
