"""Verdicts on the paper's claims: made-up sweeps that must give each of them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from made_up import SPEAKERS, sweep, sweeps, training
from scipy import stats

from paper_lib.claims import (
    TOO_FEW,
    Finding,
    Part,
    above,
    conclude,
    federated_dropout,
    federated_norms,
    group_norm,
    signatures,
    stability,
    units_needed,
    verdict,
)
from paper_lib.claims import tested as judged
from paper_lib.claims.disagreements import disagreements
from paper_lib.claims.federated_dropout import crit_less_amb, dips_at_least_critical, dips_by_layer
from paper_lib.claims.findings import BEYOND, CLAIMS
from paper_lib.claims.model_size import judge, larger_is_more_robust, layers_differ, resets_are_similar, within
from paper_lib.claims.signatures import TooFewTrainingsError
from paper_lib.federated.comparison import Adapted
from paper_lib.inference import Component, Mean, mean_over_trainings, rate
from paper_lib.layers.sweeps import Sweeps


def one(first: list[float], second: list[float] | None = None, seed: int = 0, scale: int = 1) -> Sweeps:
    return Sweeps.of([sweep(first, second, seed, scale)])


def check(finding: Finding, expected: str) -> None:
    """The verdict, and a p that goes with it."""
    assert finding.verdict == expected
    assert finding.evidence
    assert 0 < finding.p <= 1
    assert (finding.p < 0.05) == (expected == "reproduced")


@pytest.mark.parametrize("trainings", [1, 5])
@pytest.mark.parametrize(
    ("first", "verdict"),
    [
        ([0.0, 0.3, 0.0], "reproduced"),
        ([0.3, 0.4, 0.5], "not reproduced"),
        ([0.0, 0.0, 0.0], "not reproduced"),
        ([0.02, 0.02, 0.02], "not resolved"),
        ([0.02, 0.3, 0.02], "not resolved"),  # a critical one, and perhaps an ambient one
        ([0.0, 0.02, 0.02], "not resolved"),  # the other way round
        ([0.3], "not reproduced"),
    ],
)
def test_layers_differ(first: list[float], verdict: str, trainings: int) -> None:
    finding = layers_differ({"S": sweeps([first] * trainings)})
    check(finding, verdict)
    assert bool(finding.remedy) == (verdict == "not resolved")


def test_a_claim_on_every_size_is_partly_reproduced_when_one_size_fails() -> None:
    finding = layers_differ({"S": one([0.3, 0.4]), "L": one([0.0, 0.4])})
    check(finding, "partly reproduced")
    assert "S: 0 ambient, 2 critical, 0 unresolved of 2" in finding.evidence


@pytest.mark.parametrize(
    ("harms", "verdict"),
    [
        ((0.4, 0.3, 0.1), "reproduced"),
        ((0.4, 0.1, 0.3), "partly reproduced"),
        ((0.1, 0.3, 0.4), "not reproduced"),
        ((0.2, 0.2, 0.2), "not resolved"),
    ],
)
def test_larger_is_more_robust(harms: tuple[float, ...], verdict: str) -> None:
    sizes = {size: sweeps([[harm / 2, harm]] * 4) for size, harm in zip("SML", harms, strict=True)}
    finding = larger_is_more_robust(sizes)
    check(finding, verdict)
    assert "S − M" in finding.evidence


def test_one_training_a_size_says_nothing_of_larger_ones_nor_does_one_size() -> None:
    finding = larger_is_more_robust({"S": one([0.4, 0.4]), "L": one([0.1, 0.1])})
    check(finding, "not resolved")
    assert finding.remedy == "S − L: at least 2 trainings a model"
    check(larger_is_more_robust({"S": one([0.1, 0.2])}), "not measured")


def test_sizes_are_compared_on_the_trainings_that_both_have() -> None:
    small, large = [[0.4, 0.4]] * 3, [[0.1, 0.1]] * 2
    step = larger_is_more_robust({"S": sweeps(small), "L": sweeps(large)})
    expected = larger_is_more_robust({"S": sweeps(small[:2]), "L": sweeps(large)})
    assert step.p == expected.p
    assert step.evidence.rpartition("S − L")[2] == expected.evidence.rpartition("S − L")[2]


SIX = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        (SIX, SIX, "reproduced"),
        (SIX, [0.2, 0.3, 0.4, 0.5, 0.6, 0.7], "partly reproduced"),
        (SIX, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], "not reproduced"),
        ([0.0, 0.3], [0.0, 0.34], "not resolved"),  # two layers have two orders
    ],
)
def test_resets_are_similar(first: list[float], second: list[float], verdict: str) -> None:
    finding = resets_are_similar({"S": sweeps([first] * 3, [second] * 3, scale=2)})
    check(finding, verdict)
    assert ("S, ρ: more layers" in finding.remedy) == (verdict == "not resolved")


def test_resets_of_layers_that_all_do_the_same_rank_nothing() -> None:
    result = sweep([0.0, 0.0])
    for reset in result["resets"]:
        reset["misheard"] = result["intact"]
    finding = resets_are_similar({"S": Sweeps.of([result])})
    assert "ρ 0.00, p = 1" in finding.evidence
    check(finding, "partly reproduced")  # the levels agree


def test_a_mean_is_within_a_margin_if_its_interval_is() -> None:
    def around(value: float, deviation: float) -> Mean:
        return mean_over_trainings([value - deviation, value, value + deviation])

    for value in (0.005, -0.005):
        part = within(around(value, 0.001), 0.02)
        assert part.holds
        # The nearer end of the margin is the harder one to tell it from.
        values = np.array([-0.001, 0, 0.001]) + abs(value)
        assert part.p == pytest.approx(stats.ttest_1samp(values, 0.02).pvalue)
        assert within(around(value + math.copysign(0.1, value), 0.001), 0.02) == Part(False)
        open_ = within(around(value, 0.02), 0.02)
        assert open_.holds is None
        assert open_.p > 0.05
        assert re.match(r"about \d+ trainings", open_.remedy)
        outside = within(around(value + math.copysign(0.016, value), 0.01), 0.02)
        assert (outside.holds, outside.p) == (None, 1)


def test_judge_has_a_finding_on_every_claim_of_the_slide() -> None:
    findings = judge({"S": one([0.0, 0.4]), "L": one([0.0, 0.2])})
    assert [f.claim.id for f in findings] == ["layers-differ", "larger-is-more-robust", "resets-are-similar"]
    assert all(f.evidence for f in findings)


def test_claims_have_distinct_ids_and_say_what_each_verdict_takes() -> None:
    claims = (*CLAIMS, *BEYOND)
    assert len({claim.id for claim in claims}) == len(claims)
    assert (len(CLAIMS), len(BEYOND)) == (24, 8)
    for claim in claims:
        assert set(claim.criteria) == {"reproduced", "partly reproduced", "not reproduced", "not resolved"}
        assert all([claim.statement, claim.statistic, claim.records, claim.chapter, claim.figure])
        assert bool(claim.slide) == (claim in CLAIMS)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([True, True], "reproduced"),
        ([True, False], "partly reproduced"),
        ([True, None], "partly reproduced"),
        ([False, False], "not reproduced"),
        ([False, None], "not resolved"),
        ([None], "not resolved"),
        ([], "not measured"),
    ],
)
def test_a_verdict_follows_from_the_parts(parts: list[bool | None], expected: str) -> None:
    assert verdict(parts) == expected


def test_a_finding_names_what_would_resolve_each_open_part_and_has_the_p_of_the_least_sure() -> None:
    parts = {"S": Part(True, 0.01, "never shown"), "M": Part(None, 0.2, "about 5 seeds"), "L": Part(None, 0.1, "9")}
    finding = conclude(CLAIMS[0], ["a", "b"], parts)
    assert finding.remedy == "M: about 5 seeds; L: 9"
    assert finding.evidence == "a; b"
    assert finding.p == 0.2
    assert conclude(CLAIMS[0], [], {}).p == 1


def test_a_mean_is_above_a_threshold_if_its_interval_is() -> None:
    mean = mean_over_trainings([0.1, 0.2, 0.3])
    p = stats.ttest_1samp([0.1, 0.2, 0.3], -0.2).pvalue
    assert above(mean, -0.2) == Part(True, pytest.approx(p))
    assert above(mean, 0.6) == Part(False)
    open_ = above(mean)
    assert (open_.holds, open_.p) == (None, pytest.approx(stats.ttest_1samp([0.1, 0.2, 0.3], 0).pvalue))
    assert open_.remedy
    assert above(mean, 0.3).p == 1  # on the wrong side of it, p is not that it is above
    assert above(mean, 0, 0.9).holds is True


@pytest.mark.parametrize(
    ("p", "opposite", "expected"),
    [
        (0.049, 0.96, Part(True, 0.049)),
        (0.97, 0.04, Part(False)),
        (0.05, 0.96, Part(None, 0.05, "more layers")),
        (0.6, 0.5, Part(None, 0.6, "more layers")),
    ],
)
def test_a_part_that_is_tested_from_both_sides(p: float, opposite: float, expected: Part) -> None:
    assert judged(p, opposite, "more layers") == expected


def needed(remedy: str) -> int:
    return int(re.sub(r"\D", "", remedy))


def test_the_speakers_that_would_do_are_those_whose_interval_just_excludes_the_threshold() -> None:
    errors = np.tile([4.0, 5, 6, 7, 8], 8) / 10  # of 40 speakers, 10 words each
    mean = rate(10 * errors[None], [10] * 40)

    def reach(speakers: int) -> float:
        return float(stats.t.ppf(0.975, speakers - 1) * errors.std(ddof=1) / speakers**0.5)

    for threshold in (0.6 - reach(40) / 2, 0.6 + reach(40) / 4):
        enough = next(speakers for speakers in range(40, 2000) if reach(speakers) < abs(threshold - 0.6))
        remedy = units_needed(mean, threshold)
        assert remedy.endswith(" test speakers")
        assert needed(remedy) == pytest.approx(enough, rel=0.05)  # two digits are told
    assert units_needed(mean, 0.6) == "no number of trainings or of speakers alone"


def test_the_trainings_that_would_do_make_students_interval_just_exclude_zero() -> None:
    remedy = above(mean_over_trainings([0.1, 0.5])).remedy
    enough = needed(remedy)
    assert remedy == f"about {enough} trainings"

    def low(n: int) -> float:
        scaled = np.linspace(-1, 1, n)
        return mean_over_trainings(0.3 + scaled * np.std([0.1, 0.5], ddof=1) / scaled.std(ddof=1)).estimate().low

    assert low(enough) > 0 > low(enough - 1)


def test_what_layers_lend_each_other_is_no_training() -> None:
    # Three trainings whose variance has one and a half degrees of freedom from the other layers.
    mean = Mean(0.03, Component(0.015**2 / 3, 2 + 1.5, lent=1.5), None)
    remedy = units_needed(mean, 0.02)
    enough = needed(remedy)
    assert remedy == f"about {enough} trainings"

    def low(n: int) -> float:
        return 0.03 - float(stats.t.ppf(0.975, n - 1 + 1.5)) * 0.015 / n**0.5

    assert low(enough) > 0.02 > low(enough - 1)


def test_of_trainings_and_speakers_those_are_asked_for_of_whom_fewer_times_as_many_would_do() -> None:
    rng = np.random.default_rng(0)
    words = np.full(SPEAKERS, 50.0)
    by_speaker, by_training = 6 * rng.normal(size=SPEAKERS), np.array([[-4.0], [0], [4]])
    few_speakers = rate(np.tile(3 + by_speaker - by_speaker.mean(), (3, 1)) + 0.01 * by_training, words)
    few_trainings = rate(3 + 0.01 * by_speaker + by_training, words)
    half = few_speakers.value - (few_speakers.value - few_speakers.estimate().low) / 2
    assert units_needed(few_speakers, half).endswith("test speakers")
    assert units_needed(few_trainings, few_trainings.value / 2).endswith("trainings")


def by_groups(changes: list[list[float]]) -> dict[str, Sweeps]:
    return {f"GroupNorm, {n} groups": sweeps([of_one] * 5) for n, of_one in enumerate(changes)}


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ([[0.0, 0.4], [0.0, 0.3]], "reproduced"),
        ([[0.0, 0.4], [0.2, 0.3]], "partly reproduced"),
        ([[0.2, 0.4], [0.2, 0.3]], "not reproduced"),
        ([[0.2, 0.4], [0.02, 0.3]], "not resolved"),
    ],
)
def test_group_norm_yields_ambient_layers(group: list[list[float]], expected: str) -> None:
    finding = group_norm.yields_ambient_layers(by_groups(group))
    check(finding, expected)
    assert bool(finding.remedy) == (expected == "not resolved")


@pytest.mark.parametrize(
    ("batch", "group", "expected"),
    [
        ([0.3, 0.4], [[0.0, 0.4], [0.0, 0.0]], "reproduced"),
        ([0.0, 0.4], [[0.0, 0.4], [0.0, 0.0]], "partly reproduced"),
        ([0.0, 0.4], [[0.3, 0.4], [0.3, 0.0]], "not reproduced"),
        ([0.02, 0.4], [[0.0, 0.4], [0.0, 0.3]], "not resolved"),
    ],
)
def test_batch_norm_interferes(batch: list[float], group: list[list[float]], expected: str) -> None:
    finding = group_norm.interferes(sweeps([batch] * 5), by_groups(group))
    check(finding, expected)
    assert finding.evidence.startswith("BatchNorm: ")
    assert [f.claim for f in group_norm.judge(sweeps([batch] * 2), by_groups(group))] == list(group_norm.CLAIMS)


RANKS = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


@pytest.mark.parametrize(
    ("small", "large", "expected"),
    [
        ([RANKS] * 3, [RANKS] * 3, "reproduced"),
        ([RANKS] * 3, [RANKS, RANKS[::-1]], "partly reproduced"),
        ([RANKS] * 3, [RANKS], "partly reproduced"),
        # That layers have no ranks cannot be shown, however little trainings agree.
        ([RANKS, RANKS[::-1]], [RANKS, RANKS[::-1]], "not resolved"),
        ([RANKS, [0.1, 0.02, 0.4, 0.5, 0.2, 0.3]], [RANKS, RANKS[::-1]], "not resolved"),
    ],
)
def test_layers_can_be_ranked(small: list[list[float]], large: list[list[float]], expected: str) -> None:
    finding = stability.judge({"S": sweeps(small), "L": sweeps(large)})[0]
    assert finding.claim.id == "layers-can-be-ranked"
    check(finding, expected)
    assert ("trainings" in finding.remedy) == (expected != "reproduced")


TWO_AMBIENT = [0.0, 0.0, 0.3, 0.3, 0.4, 0.5]


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([[TWO_AMBIENT] * 3], "reproduced"),
        ([[TWO_AMBIENT] * 3, [TWO_AMBIENT, TWO_AMBIENT[::-1]]], "partly reproduced"),
        ([[TWO_AMBIENT, TWO_AMBIENT[::-1]]], "not resolved"),
        ([[TWO_AMBIENT] * 2], "not resolved"),  # two of six layers are met by chance once in 15
        ([[TWO_AMBIENT]], "not resolved"),
        ([[[0.3, 0.4, 0.5]] * 3], "not resolved"),  # there is none
        ([[TWO_AMBIENT] * 3, [[0.0, 0.0, 0.0]] * 3], "reproduced"),  # where all are, there is no position
    ],
)
def test_positions_are_stable(runs: list[list[list[float]]], expected: str) -> None:
    sizes = {size: sweeps(of_size) for size, of_size in zip("SL", runs, strict=False)}
    finding = stability.judge(sizes)[2]
    assert finding.claim.id == "positions-are-stable"
    assert finding.verdict == expected
    assert (finding.p < 0.05) == (expected == "reproduced")
    if len(runs) == 1 and len(runs[0]) > 1 and runs[0][0] == TWO_AMBIENT:
        assert " in common, 0.7 by chance, p " in finding.evidence


def apart(by: float, trainings: int = 4) -> Sweeps:
    """Returns trainings each of which lies as far from the mean of the others as any."""
    signs = np.array([[1, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]])
    return sweeps((np.linspace(0.1, 0.6, 6) + by * np.tile(signs, 2)[:trainings]).tolist())


@pytest.mark.parametrize(
    ("deviations", "expected"),
    [
        ((0.1, 0.05, 0.0), "reproduced"),
        ((0.1, 0.0, 0.05), "partly reproduced"),
        ((0.1, 0.0, 0.0), "partly reproduced"),
        ((0.0, 0.05, 0.1), "not reproduced"),
        ((0.05, 0.05, 0.05), "not resolved"),
        ((0.05, 0.05, 0.1), "not resolved"),
    ],
)
def test_larger_is_more_stable(deviations: tuple[float, ...], expected: str) -> None:
    finding = stability.judge({size: apart(by) for size, by in zip("SML", deviations, strict=True)})[1]
    assert finding.claim.id == "larger-is-more-stable"
    check(finding, expected)
    assert finding.remedy or expected != "not resolved"


def test_a_size_that_was_trained_once_has_no_stability() -> None:
    finding = stability.judge({"S": apart(0.1), "M": apart(0.0, 1), "L": apart(0.0)})[1]
    assert finding.verdict == "not resolved"
    assert finding.remedy == f"S − M: {TOO_FEW.remedy}; M − L: {TOO_FEW.remedy}"


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (([0.3, 0.3, 0.3], [0.0, 0.3, 0.3], [0.0, 0.0, 0.3]), "reproduced"),
        (([0.3, 0.3, 0.3], [0.0, 0.3, 0.3], [0.0, 0.3, 0.3]), "partly reproduced"),
        (([0.3, 0.3, 0.3], [0.3, 0.3, 0.3], [0.3, 0.3, 0.3]), "not reproduced"),
        (([0.3, 0.3, 0.3], [0.02, 0.3, 0.3], [0.02, 0.3, 0.3]), "not resolved"),
    ],
)
def test_larger_models_have_more_ambient_layers(sizes: tuple[list[float], ...], expected: str) -> None:
    finding = stability.judge({size: sweeps([c] * 5) for size, c in zip("SML", sizes, strict=True)})[3]
    assert finding.claim.id == "larger-has-more-ambient-layers"
    check(finding, expected)
    alone = stability.judge({size: one(c) for size, c in zip("SML", sizes, strict=True)})[3]
    assert alone.verdict == "not resolved"
    assert alone.remedy.startswith(f"S and M: {TOO_FEW.remedy}")


def test_signatures_are_compared_where_there_are_two_trainings() -> None:
    with pytest.raises(TooFewTrainingsError, match="at least 2 seeds; of S there is one"):
        signatures.judge({"S": [training({})]}, {"S": one([0.1, 0.2, 0.3, 0.4])})


RISING, FALLING = [0.2, 0.5, 0.8, 1.0], [1.0, 0.8, 0.5, 0.2]
HARMS = [0.05, 0.15, 0.3, 0.5]


def verdicts_on_signatures(
    small: Sequence[dict[str, list[float]]], large: Sequence[dict[str, list[float]]], noise: float = 1e-3
) -> dict[str, str]:
    sizes = {"S": small, "L": large}
    trainings = {
        size: [training(shape, noise=noise, seed=seed) for seed, shape in enumerate(shapes)]
        for size, shapes in sizes.items()
    }
    found = signatures.judge(trainings, {size: sweeps([HARMS] * len(shapes)) for size, shapes in sizes.items()})
    assert [finding.claim for finding in found] == list(signatures.CLAIMS)
    for finding in found:
        check(finding, finding.verdict)
    return {finding.claim.id: finding.verdict for finding in found}


WEAK, FLAT = [0.6, 0.7, 0.8, 1.0], [1.0, 1.0, 1.0, 1.0]


def test_signatures_like_the_papers_reproduce_its_claims() -> None:
    found = verdicts_on_signatures([{"attention": WEAK}] * 4, [{"attention": RISING}] * 4)
    assert set(found.values()) == {"reproduced"}


def test_opposite_signatures_contradict_the_claims() -> None:
    shapes = [{"attention": FALLING, "convolution": [0.05, 1, 1, 1]}] * 4
    found = verdicts_on_signatures(shapes, [{"attention": [1.0, 0.9, 0.8, 0.7], "convolution": RISING}] * 4)
    assert found["upper-layers-move-more"] == "not reproduced"
    assert found["convolutions-move-alike"] == "not reproduced"
    assert found["less-pronounced-in-smaller-models"] == "not reproduced"
    assert found["signature-shares-features-with-wer"] == "not reproduced"


def test_two_sizes_that_differ_partly_reproduce_a_claim_on_all() -> None:
    found = verdicts_on_signatures(
        [{"attention": FALLING, "convolution": [0.05, 1, 1, 1]}] * 4, [{"attention": RISING}] * 4
    )
    assert found["upper-layers-move-more"] == "partly reproduced"
    assert found["convolutions-move-alike"] == "partly reproduced"
    assert found["signature-shares-features-with-wer"] == "partly reproduced"
    turned = verdicts_on_signatures([{"attention": RISING}, {"attention": FALLING}], [{"attention": RISING}] * 4)
    assert turned["signature-is-stable"] == "partly reproduced"
    assert turned["signature-emerges"] == "partly reproduced"


def test_trainings_that_turn_out_both_ways_resolve_nothing() -> None:
    both = [{"attention": RISING}, {"attention": FALLING}]
    found = verdicts_on_signatures(both, both)
    assert found["signature-is-stable"] == "not resolved"
    assert found["upper-layers-move-more"] == "not resolved"
    assert found["signature-shares-features-with-wer"] == "not resolved"
    assert found["less-pronounced-in-smaller-models"] == "not resolved"
    same = verdicts_on_signatures([{"attention": FLAT}] * 2, [{"attention": FLAT}] * 2, 0)
    assert set(same.values()) == {"not resolved"}


def later_unlike(end: list[float], first: list[float], seed: int) -> Any:
    """Returns a training whose attention begins with one signature and ends with another."""
    began, ended = (training({"attention": shape}, noise=1e-3, seed=seed) for shape in (first, end))
    distances = {name: [began["distances"][name][1], last] for name, (_, last) in ended["distances"].items()}
    return {**ended, "distances": distances}


def test_a_signature_that_was_there_at_first_and_went_does_not_emerge() -> None:
    # The trainings begin as the others end, and end each in its own way.
    ends = [np.roll(RISING, shift) for shift in range(4)]
    runs = [later_unlike(end.tolist(), (sum(ends) - end).tolist(), seed) for seed, end in enumerate(ends)]
    finding = signatures.emerges_during_training({"S": runs})
    check(finding, "not reproduced")
    always = [later_unlike(RISING, RISING, seed) for seed in range(3)]
    check(signatures.emerges_during_training({"S": always}), "not resolved")


def test_signatures_of_middle_models_may_be_the_most_pronounced() -> None:
    shapes = {"S": WEAK, "M": RISING, "L": WEAK}
    sizes = {
        size: [training({"attention": shape}, noise=1e-3, seed=seed) for seed in range(3)]
        for size, shape in shapes.items()
    }
    check(signatures.less_pronounced_in_smaller_models(sizes), "partly reproduced")


def adapted(wer: float, seeds: int = 4, seed: int = 0) -> Adapted:
    """Returns adaptations by one plan after which so many of the words are wrong."""
    rng = np.random.default_rng([seed, round(1000 * wer)])
    words = np.full(SPEAKERS, 100.0)
    return Adapted(words, rng.binomial(100, wer, (seeds, SPEAKERS)).astype(float))


@pytest.mark.parametrize(
    ("crit", "amb", "flat", "expected"),
    [
        # The mean over N, crit-3, crit-4, flat.
        ((0.4, 0.45, 0.5), (0.3, 0.3, 0.3), 0.3, ["reproduced"] * 4),
        ((0.3, 0.3, 0.3), (0.4, 0.45, 0.5), 0.3, ["not reproduced"] * 4),
        ((0.3, 0.3, 0.3), (0.3, 0.3, 0.3), 0.2729, ["not resolved"] * 4),
        ((0.3, 0.2, 0.5), (0.3, 0.3, 0.3), 0.3, ["reproduced", "not reproduced", "reproduced", "reproduced"]),
    ],
)
def test_plans_of_federated_dropout(
    crit: tuple[float, ...], amb: tuple[float, ...], flat: float, expected: list[str]
) -> None:
    plans = {"flat": adapted(flat, seed=9), "flat-4": adapted(flat, seed=10)}
    for kind, wers in (("crit", crit), ("amb", amb)):
        plans |= {f"{kind}-{n}": adapted(wer, seed=n + 5 * (kind == "amb")) for n, wer in enumerate(wers, 2)}
    streaming = [training({"attention": RISING}, seed=seed) for seed in range(2)]
    found = federated_dropout.judge(plans, streaming, sweeps([HARMS] * 2))
    assert [finding.claim for finding in found] == list(federated_dropout.CLAIMS)
    for finding, of_claim in zip(found, expected, strict=False):
        check(finding, of_claim)
    assert "flat-4 − amb-4: " in found[3].evidence
    difference = crit_less_amb(plans)
    assert difference is not None
    means = [np.mean(crit) - np.mean(amb), difference.mean.value]
    assert means[1] == pytest.approx(means[0], abs=0.01)
    # Of sixteen layers flat and flat-4 are one plan: one difference is told once.
    same = federated_dropout.judge(plans | {"flat-4": plans["flat"]}, streaming, sweeps([HARMS] * 2))
    assert "flat-4" not in same[3].evidence
    # A plan is all of its adaptations: one of each says nothing. Of a plan that was not run nothing is measured.
    alone = {name: Adapted(plan.words, plan.errors[:1]) for name, plan in plans.items()}
    for finding in federated_dropout.judge(alone, streaming, sweeps([HARMS] * 2))[:4]:
        check(finding, "not resolved")
        assert finding.remedy.endswith(TOO_FEW.remedy)
    del plans["amb-4"]
    assert crit_less_amb(plans) is None
    found = federated_dropout.judge(plans, streaming, sweeps([HARMS] * 2))
    # Nor of the claim on the streaming model where there is none.
    unmeasured = (found[0], found[2], found[3], federated_dropout.judge(plans, [], sweeps([HARMS] * 2))[4])
    assert {(finding.verdict, finding.evidence, finding.remedy) for finding in unmeasured} == {("not measured", "", "")}
    assert found[1].verdict == expected[1]


@pytest.mark.parametrize("seeds", [1, 4])
@pytest.mark.parametrize(
    ("batch", "group", "expected"),
    [
        # WERs after FedAvg and of the pooled model.
        ((0.5, 0.2), (0.3, 0.2), "reproduced"),
        ((0.3, 0.2), (0.5, 0.2), "not reproduced"),
        ((0.3, 0.2), (0.3, 0.2), "not resolved"),
        # BatchNorm is the worse by far after FedAvg, and as much without it: that is not the clients' doing.
        ((0.6, 0.5), (0.3, 0.2), "not resolved"),
        # Nor is the better model after FedAvg the one that clients harm less.
        ((0.3, 0.1), (0.4, 0.35), "reproduced"),
    ],
)
def test_norms_under_clients_are_judged_by_what_clients_add(
    batch: tuple[float, float], group: tuple[float, float], expected: str, seeds: int
) -> None:
    norms = {"BatchNorm": batch, "GroupNorm, 4 groups": group}
    federated, pooled = (
        {norm: adapted(wers[way], seeds, 1 + 2 * place + way) for place, (norm, wers) in enumerate(norms.items())}
        for way in (0, 1)
    )
    (finding,) = federated_norms.judge(federated, pooled)
    assert (finding.claim,) == federated_norms.CLAIMS
    # A norm is all of its trainings; of one there is an interval over speakers, and no verdict.
    check(finding, expected if seeds > 1 else "not resolved")
    if seeds == 1:
        assert finding.remedy == f"BatchNorm − GroupNorm, 4 groups: {TOO_FEW.remedy}"
    (_, _, told) = finding.evidence.split("; ")
    name, *numbers = re.findall(r"^.*?(?=:)|[+−][\d.]+", told)
    value, low, high = (float(number.replace("−", "-")) for number in numbers)
    assert name == "BatchNorm − GroupNorm, 4 groups"
    assert value == pytest.approx(100 * (batch[0] - batch[1] - group[0] + group[1]), abs=2.5)
    by_speaker = [pooled[norm].errors - federated[norm].errors for norm in norms]
    paired = (by_speaker[1] - by_speaker[0]).mean(0)
    assert (high - low) / 2 > 100 * 1.9 * paired.std(ddof=1) / 100 / math.sqrt(SPEAKERS)
    if seeds == 1:  # no more than over speakers
        assert (high - low) / 2 < 100 * 2.2 * paired.std(ddof=1) / 100 / math.sqrt(SPEAKERS) + 0.1


def test_dips_are_below_the_mean_of_the_other_layers() -> None:
    (dips,) = dips_by_layer([training({"attention": [1.0, 0.4, 0.8, 0.8]})])
    assert dips == pytest.approx([2 / 3 - 1, 2.6 / 3 - 0.4, 2.2 / 3 - 0.8, 2.2 / 3 - 0.8])


@pytest.mark.parametrize(
    ("dips", "least", "expected"),
    [
        ([0, 1, 2], [0, 1, 2], "reproduced"),
        ([0, 1, 2], [1, 2, 3], "not resolved"),
        ([0], [0], "not resolved"),  # one of five layers is met by chance once in five
        ([0, 0, 0], [0, 0, 0], "not resolved"),  # and always the same one is one layer
    ],
)
def test_the_signature_dips_at_the_least_critical_layer(dips: list[int], least: list[int], expected: str) -> None:
    runs = [training({"attention": [1.0 - 0.6 * (n == dip) for n in range(5)]}, 5, 0.01, dip) for dip in dips]
    harm = sweeps([[0.3 * (n != layer) for n in range(5)] for layer in least])
    finding = dips_at_least_critical(runs, harm)
    check(finding, expected)
    assert finding.evidence.endswith(f"least critical: {', '.join(str(layer + 1) for layer in least)} of 5")


def test_the_signature_peaks_at_the_least_critical_layer() -> None:
    runs = [training({"attention": [0.4 + 0.6 * (n == peak) for n in range(5)]}, 5, 0.01, peak) for peak in range(3)]
    check(
        dips_at_least_critical(runs, sweeps([[0.3 * (n != at) for n in range(5)] for at in range(3)])), "not reproduced"
    )


def test_profiles_disagree_where_verdicts_do_and_it_is_said_why() -> None:
    def found(parts: dict[str, Part]) -> dict[str, Finding]:
        return {CLAIMS[0].id: conclude(CLAIMS[0], ["+1.0 points"], parts)}

    holds, fails = Part(True, 0.01), Part(False)
    told, contradicted = found({"S": holds}), found({"S": fails})
    unknown = found({"S": Part(None, 0.3, "about 7 trainings")})
    partly = found({"S": holds, "M": fails})
    assert disagreements("quick", told, "laptop", told) == []
    assert disagreements("quick", told, "laptop", {}) == []
    reasons = [
        disagreements("quick", one, "laptop", other)[0].why
        for one, other in ((unknown, told), (partly, told), (contradicted, told), (contradicted, unknown))
    ]
    assert reasons[0] == "quick cannot tell; it would take: S: about 7 trainings"
    assert reasons[1].startswith("at quick some parts of the claim hold")
    assert reasons[2].startswith("both can tell")
    assert reasons[3].startswith("laptop cannot tell")
