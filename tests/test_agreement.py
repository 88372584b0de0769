"""How alike trainings rank layers, and what signatures tell of harm: against SciPy, brute force and closed forms."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest
from made_up import sweep, training
from scipy import stats

from paper_lib.layers.agreement import (
    Repeats,
    TooFewTrainingsError,
    agreement,
    deviations,
    mean_of_pairs,
    overlap,
    overlap_of,
    per_training,
    permutation_test,
    rank_concordance,
    rank_correlation,
)
from paper_lib.layers.changes import spearman
from paper_lib.layers.matrices import ATTENTION, MATRICES, SignatureError, check_step, recorded_steps
from paper_lib.layers.signatures import correlation_with_harm, harm, signature, signatures_over_time, spread
from paper_lib.settings import TrainingSettings

HARMS = [0.02, 0.1, 0.2, 0.3, 0.4, 0.5]


def runs(*changes: list[float]) -> list[dict[str, Any]]:
    return [sweep(of_run, seed=seed) for seed, of_run in enumerate(changes)]


@pytest.mark.parametrize("ties", [False, True])
def test_correlations_of_pairs_are_scipys(ties: bool) -> None:
    rng = np.random.default_rng(0)
    changes = rng.integers(0, 4, (3, 4, 6)).astype(float) if ties else rng.normal(size=(3, 4, 6))
    rho, tau = rank_correlation(changes), rank_concordance(changes)
    for sample in range(3):
        for one, other in combinations(range(4), 2):
            x, y = changes[sample, one], changes[sample, other]
            assert rho[sample, one, other] == pytest.approx(stats.spearmanr(x, y).statistic)
            assert tau[sample, one, other] == pytest.approx(stats.kendalltau(x, y).statistic)
    pairs = [rho[0, one, other] for one, other in combinations(range(4), 2)]
    assert mean_of_pairs(rho)[0] == pytest.approx(np.mean(pairs))
    assert per_training(changes[0])[1] == pytest.approx(np.mean([rho[0, 1, other] for other in (0, 2, 3)]))


def test_what_ranks_nothing_correlates_with_nothing() -> None:
    assert spearman(np.ones(4), np.arange(4.0)) == 0
    assert rank_concordance(np.array([[1.0, 1.0], [0.0, 1.0]]))[0, 1] == 0


def test_overlap_is_the_share_of_common_layers() -> None:
    changes = np.array([[0.1, 0.2, 0.3, 0.4], [0.1, 0.4, 0.2, 0.3], [0.4, 0.3, 0.2, 0.1]])
    assert overlap(changes, 2)[np.triu_indices(3, 1)] == pytest.approx([0.5, 0.0, 0.5])


def test_the_permutation_test_counts_all_orders_of_two_trainings() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=5), rng.normal(size=5)
    seen = stats.spearmanr(first, second).statistic
    orders = [stats.spearmanr(first, order).statistic for order in permutations(second)]
    expected = np.mean(np.array(orders) >= seen - 1e-12)
    assert permutation_test(np.stack([first, second])) == pytest.approx(expected)


def test_an_interval_of_agreement_holds_its_value_and_narrows_with_more_speech() -> None:
    near = [0.1, 0.12, 0.2, 0.22, 0.4, 0.42]
    few = agreement(Repeats.of([sweep(near, seed=s) for s in range(2)]), rank_correlation)
    many = agreement(Repeats.of([sweep(near, seed=s, scale=20) for s in range(2)]), rank_correlation)
    assert few.low <= few.value <= few.high
    assert many.high - many.low < few.high - few.low
    assert agreement(Repeats.of(runs(HARMS, HARMS)), overlap_of(2)).value == 1


def test_from_three_trainings_on_the_interval_covers_which_trainings_there_are() -> None:
    alike = agreement(Repeats.of(runs(HARMS, HARMS, HARMS)), rank_correlation)
    one_differs = agreement(Repeats.of(runs(HARMS, HARMS, HARMS[::-1])), rank_correlation)
    assert alike.high - alike.low < 0.2
    assert one_differs.low < -0.9
    assert one_differs.high > 0.9


def test_deviations_are_those_that_were_put_in() -> None:
    results = runs([0.2, 0.4], [0.3, 0.4], [0.4, 0.4])
    found = deviations(results)
    # Layer 1 differs by 0.1, layer 2 by the noise of 2000 words alone.
    assert found.trainings == pytest.approx(0.1 / 2**0.5, rel=0.15)
    words = 2000
    binomial = [c * (1 - c) / words for c in (0.2, 0.3, 0.4, 0.4, 0.4, 0.4)]
    assert found.utterances == pytest.approx(np.mean(binomial) ** 0.5, rel=0.15)
    assert found.draws is None
    for result in results:
        again = [{**r, "draw": 1, "errors": [e + 1 for e in r["errors"]]} for r in result["resets"]]
        result["resets"] += [reset for reset in again if reset["kind"] == "re-randomisation"]
    # One word in five more in every utterance: draws differ by 0.2.
    assert deviations(results).draws == pytest.approx(0.2 / 2**0.5)


def test_one_training_cannot_be_compared() -> None:
    with pytest.raises(TooFewTrainingsError, match="there is 1: at least 2 seeds"):
        Repeats.of(runs(HARMS))


def test_signatures_follow_the_slides_formula() -> None:
    result = training({"attention": [0.1, 0.2, 0.3, 0.4]})
    assert signature(result, ATTENTION) == pytest.approx(np.tile([0.25, 0.5, 0.75, 1], (5, 1)))
    assert signature(result, ["ffn1.w1"], step=20) == pytest.approx(np.ones((1, 4)))
    assert signature(result, step=10) == pytest.approx(np.ones((12, 4)))
    over_time = signatures_over_time(result)
    assert over_time.shape == (2, len(MATRICES), 4)
    assert over_time[1] == pytest.approx(signature(result))
    assert spread(signature(result, ATTENTION)) == pytest.approx([0.75] * 5)


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
    assert recorded_steps(settings) == [25, 50, 75, 100, 110]
    with pytest.raises(SignatureError, match="nearest is 100"):
        check_step(101, recorded_steps(settings))


def test_a_signature_that_orders_the_layers_as_their_harm_does_is_found_out() -> None:
    sweeps = runs(HARMS, HARMS, HARMS)
    ordered = [training({"attention": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}, 6, 0.01, seed) for seed in range(3)]
    found = dict(zip(MATRICES, correlation_with_harm(ordered, sweeps), strict=True))
    rho, p = found["attention.q"]
    assert rho.value > 0.9
    assert rho.low > 0.8
    assert p < 0.01
    unrelated, chance = found["convolution.depthwise"]
    assert abs(unrelated.value) < 0.7
    assert chance > 0.05
    reversed_, p_reversed = correlation_with_harm(ordered, runs(*[HARMS[::-1]] * 3), ["attention.q"])[0]
    assert reversed_.value < -0.9
    assert p_reversed > 0.9


def test_harm_is_the_wer_change_of_re_initialisation() -> None:
    result = sweep([0.1, 0.4], [0.9, 0.9])
    words, intact = sum(result["words"]), sum(result["intact"])
    expected = [(sum(reset["errors"]) - intact) / words for reset in result["resets"][:2]]
    assert harm(result) == pytest.approx(expected)
