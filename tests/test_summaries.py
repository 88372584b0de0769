"""What chapters say in short, and what captions tell: right for one training and many, for none, one and all layers."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from bs4 import BeautifulSoup
from made_up import SPEAKERS, sweeps, training
from made_up_sets import additive, searched

from paper_lib.claims.federated_dropout import secondary_comparisons
from paper_lib.claims.model_size import larger_is_more_robust, resets_are_similar
from paper_lib.claims.use_sentences import harmless
from paper_lib.conformer.sizes import count_parameters
from paper_lib.corpus import open_corpus
from paper_lib.corpus.survey import survey
from paper_lib.federated.accounting import SHORT, account
from paper_lib.federated.comparison import Adapted
from paper_lib.federated.plans import named_plan
from paper_lib.figures.markup import folded_answers, in_short, paragraph
from paper_lib.figures.tables import table
from paper_lib.inference import Estimate
from paper_lib.layers.ranking import intact_wer, layer_effects, reinitialised
from paper_lib.layers.signature import Correlation
from paper_lib.layers.sweeps import Sweeps
from paper_lib.profiles import profile_of
from paper_lib.settings import SyntheticSettings
from paper_lib.studies.federated import Varied
from paper_lib.studies.use_records import RANKED_BY
from paper_lib.summaries import (
    comparable_plans,
    federated_dropout,
    group_norm,
    human_speech,
    layer_sets,
    model_size,
    signatures,
    stability,
    summarised,
    uses,
)
from paper_lib.summaries.captions import (
    at_the_line,
    best_and_worst,
    close_to_fedavg,
    differences_found,
    ends_of_ranks,
    farthest_moved,
    forgotten,
    told_beyond_depth,
    trainings_apart,
)
from paper_lib.summaries.comparable_plans import readings_of_slide
from paper_lib.summaries.making import (
    corpus_in_short,
    costs_in_short,
    coverage_in_short,
    model_in_short,
    scale_in_short,
    slides_in_short,
    sweep_in_short,
)
from paper_lib.summaries.summary import Summary
from paper_lib.summaries.words import counted, layers_named, listed, share_of_layers, worse_of

HARM = 0.3


def of_classes(ambient: int, critical: int, trainings: int = 3) -> Sweeps:
    """Returns sweeps of a model whose first layers do no harm and whose others do much."""
    return sweeps([[0.0] * ambient + [HARM] * critical] * trainings)


def adapted(wer: float, seeds: int = 5, seed: int = 0) -> Adapted:
    """Returns adaptations after which so many of the words are wrong."""
    rng = np.random.default_rng([seed, round(1000 * wer)])
    return Adapted(np.full(SPEAKERS, 100.0), rng.binomial(100, wer, (seeds, SPEAKERS)).astype(float))


def check(summary: Summary) -> str:
    """Returns the sentences in short; checks that there are two to four, and two questions, all of them whole."""
    assert 2 <= len(summary.sentences) <= 4
    assert len(summary.questions) == 2
    for text in (*summary.sentences, *(part for question in summary.questions for part in question)):
        assert re.match(r"[A-Z0-9]", text), text
        assert text.endswith((".", "?")), text
        assert not re.search(r"\bnan\b|\binf\b|\{|  | -\d|\(-| 1 (layers|trainings|seeds|speakers)\b", text), text
    return " ".join(summary.sentences)


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ([3], "layer 3"),
        ([3, 4], "layers 3 and 4"),
        ([2, 3, 4, 5], "layers 2 to 5"),
        ([1, 3, 4, 5, 9, 10], "layers 1, 3 to 5, 9 and 10"),
    ],
)
def test_layers_are_named_by_their_runs(layers: list[int], told: str) -> None:
    assert layers_named(layers) == told


def test_counts_have_their_singular_and_lists_their_and() -> None:
    assert [counted(n, "training") for n in (0, 1, 2, 1234)] == [
        "0 trainings",
        "1 training",
        "2 trainings",
        "1,234 trainings",
    ]
    assert [listed("abc"[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
    assert [share_of_layers(n, 16) for n in (0, 1, 16)] == [
        "none of the 16 layers",
        "1 of the 16 layers",
        "all 16 layers",
    ]


def test_which_of_two_is_worse_is_told_by_the_interval_alone() -> None:
    said = [worse_of(Estimate(0.01, *ends), "a", "b") for ends in ((0.005, 0.02), (-0.02, -0.001), (-0.01, 0.02))]
    assert said == ["so a did worse", "so b did worse", "which does not tell them apart"]


def test_sizes_are_told_with_their_ambient_layers_the_costliest_one_and_what_the_intervals_are_over() -> None:
    said = check(model_size.summarise({"S": of_classes(2, 2), "M": of_classes(0, 4, 1), "L": of_classes(4, 0, 1)}))
    assert "2 of the 4 layers of ConformerS, none of 4 of ConformerM and 4 of 4 of ConformerL can be put back" in said
    assert re.search(r"layer [34] in ConformerS \(\+3\d\.\d \[\+\d+\.\d, \+\d+\.\d\] points\)", said)
    assert "3 trainings of S, 1 training of M and 1 training of L, tested by 40 speakers" in said
    assert "; with one training, of M and L, an interval is about that trained model alone" in said
    assert "; that larger models are more robust is not resolved." in said


@pytest.mark.parametrize(
    ("ambient", "told"), [(0, "None of the 4 layers of"), (1, "1 of the 4 layers of"), (4, "All 4 layers of")]
)
@pytest.mark.parametrize("trainings", [1, 3])
def test_one_size_alone_is_told_without_a_comparison(ambient: int, told: str, trainings: int) -> None:
    said = check(model_size.summarise({"S": of_classes(ambient, 4 - ambient, trainings)}))
    assert said.startswith(told)
    assert "more robust" not in said
    assert (f"rests on {counted(trainings, 'training')} of S, tested") in said
    assert ("about that trained model alone" in said) is (trainings == 1)


@pytest.mark.parametrize("trainings", [1, 2])
def test_norms_are_told_beside_each_other(trainings: int) -> None:
    norms = {
        "BatchNorm": of_classes(1, 3, trainings),
        "GroupNorm, 1 group": of_classes(4, 0, trainings),
        "GroupNorm, 8 groups": of_classes(0, 4, trainings),
    }
    found = group_norm.summarise(norms, of_classes(3, 1, trainings), "S")
    said = check(found)
    assert (
        "1 of the 4 layers with BatchNorm, 4 of 4 with GroupNorm of 1 group and none of 4 with GroupNorm of 8 groups "
        "are ambient, in models of size S."
    ) in said
    assert "when its layer is reset, 3 are ambient." in said
    assert f"{counted(trainings, 'training')} of BatchNorm, GroupNorm of 1 group and GroupNorm of 8 groups each" in said
    # Two of four layers' resets harm with the statistics reset, and not without.
    assert re.search(r"changes the WER by \+1\d\.\d \[.*part of the harm is theirs", found.questions[0].answer)
    assert found.questions[1].answer.endswith("more ambient layers than GroupNorm of 1 group, which has 4 of 4.")


def test_stability_names_the_sizes_that_cannot_be_compared() -> None:
    harms = [0.0, 0.0, 0.1, 0.2, 0.3, 0.4]
    said = check(stability.summarise({"S": sweeps([harms] * 3)}, ["S", "M"]))
    assert re.search(r"ρ = (0\.[89]\d|1\.00) in ConformerS \(p [=<] 0\.00", said)
    assert "2 of the 6 layers of S add less than 2 points of WER in every training." in said
    assert "There are not two trainings of M to compare." in said
    one = check(stability.summarise({"S": sweeps([[0.0, *harms[2:]]] * 2)}, ["S"]))
    assert "1 of the 5 layers of S adds less than" in one
    assert "not two trainings" not in one
    none = stability.summarise({"S": sweeps([harms[2:]] * 2)}, ["S"])
    assert "None of the 4 layers of S add" in check(none)
    assert none.questions[0].answer.startswith("S: none, of 4.")


def test_signatures_are_told_with_the_harm_that_they_go_with() -> None:
    moved = [0.2, 0.4, 0.5, 0.7, 0.9, 1.0]
    runs = [training({"attention": moved}, 6, noise=0.02, seed=seed) for seed in range(3)]
    made = sweeps([[0.0, 0.1, 0.2, 0.3, 0.4, 0.5]] * 3)
    found = signatures.summarise({"S": runs}, {"S": made})
    said = check(found)
    assert re.search(r"harm of its reset at Spearman's ρ = (0\.9\d|1\.00) in ConformerS \(p = 0\.00", said)
    assert re.search(r"Upper layers move more than lower ones at ρ = (0\.9\d|1\.00) in S", said)
    assert "S: at fixed depth no matrix's signature is shown to go with the harm, at most at ρ = " in said
    share = re.search(r"matrices: (0\.\d\d) and (0\.\d\d) in S", found.questions[0].answer)
    assert share is not None
    assert float(share[1]) == pytest.approx(0.2, abs=0.05)
    assert float(share[2]) == pytest.approx(1.0, abs=0.05)
    # Resets that harm where little moved: a negative ρ has a minus sign, not a hyphen.
    assert "ρ = −" in check(signatures.summarise({"S": runs}, {"S": sweeps([[0.5, 0.4, 0.3, 0.2, 0.1, 0.0]] * 3)}))


def test_matrices_that_tell_more_than_depth_are_named() -> None:
    def found(given_depth: float, p: float) -> Correlation:
        return Correlation(0.9, 0.001, given_depth, p, 0.8, 1.0)

    told = told_beyond_depth(
        {"S": [found(0.5, 0.04), found(0.1, 0.6), found(0.6, 0.01)], "M": [found(-0.2, 0.9)] * 3},
        ["ffn1.w1", "attention.q", "ffn2.w1"],
    )
    assert told == (
        "S: at fixed depth, too, the signature of ffn1.w1 and ffn2.w1 goes with the harm, 2 of 3 matrices, at most at "
        "ρ = 0.60 of ffn2.w1. M: at fixed depth no matrix's signature is shown to go with the harm, at most at ρ = "
        "−0.20 of ffn1.w1."
    )


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize(("ambient", "told"), [(0, "None of the 4"), (1, "1 of the 4"), (4, "All 4 layers")])
def test_dropout_is_told_by_its_primary_comparison(seeds: int, ambient: int, told: str) -> None:
    wers = {"none": 0.10, **{f"{kind}-{n}": wer for kind, wer in (("crit", 0.4), ("amb", 0.2)) for n in (2, 3, 4)}}
    plans = {name: adapted(wer, seeds, place) for place, (name, wer) in enumerate(wers.items())}
    effects = reinitialised(of_classes(ambient, 4 - ambient))
    forgot = (adapted(0.1, seeds), adapted(0.3, seeds))
    found = federated_dropout.summarise(plans, adapted(0.5, seeds), effects, forgot)
    said = check(found)
    assert re.search(
        r"ambient ones changes the WER by \+(19|20)\.\d \[.*\] points, mean .* 2, 3 and 4, so critical", said
    )
    assert re.search(r"without dropout the WER on the new domain falls from (49|50)\.\d % .* to (9|10)\.\d %", said)
    assert f"{told}" in said
    assert ("; with one seed it is said of this one trained model" in said) is (seeds == 1)
    assert f"{counted(seeds, 'seed')} and 40 speakers" in said
    assert re.search(r"changes by \+(19|20|21)\.\d", found.questions[1].answer)
    assert found.questions[0].answer == "None of the plans that would tell was asked here."
    worse = federated_dropout.summarise({"flat": adapted(0.6)}, adapted(0.5), effects, forgot)
    assert "Crit-N against Amb-N, was not asked here" in check(worse)
    assert "by the plan flat does not lower the WER" in worse.sentences[1]


def test_plans_are_comparable_where_they_drop_as_much() -> None:
    smoke = profile_of("smoke").adaptation.model
    ranking = range(1, smoke.encoder.layers + 1)
    accounts = {
        name: account(named_plan(name, ranking), smoke, *SHORT) for name in ("none", "crit-2", "amb-2", "flat-2")
    }
    rounded = accounts | {"flat-2": replace(accounts["flat-2"], dropped=accounts["crit-2"].dropped - 7)}
    full = readings_of_slide(profile_of("gpu").adaptation.model)
    wers = {"crit-3": adapted(0.4, 1), "amb-3": adapted(0.2, 1, 7), "flat-3": adapted(0.3, 1)}
    lower = {name: adapted(0.1, 1) for name in wers}
    seeds: dict[Varied, tuple[int, ...]] = {"base rate": (3,), "rescaling": (0, 3)}
    found = comparable_plans.summarise(rounded, full, {0.0: wers, 0.2: lower}, {False: wers, True: lower}, seeds)
    said = check(found)
    assert f"{100 * accounts['crit-2'].dropped_share:.1f} % with N = 2" in said
    assert f"up to 7 of {accounts['none'].parameters:,} parameters" in said
    assert "Of the 320 readings of the slide's column" in said
    assert "none gives all of its 7 values; the best gives 5." in said
    assert re.search(r"crit-3 less amb-3 is \+2\d\.\d .* at 0 % and \+0\.0 .* at 20 % \(seed 3\)\.", said)
    assert re.search(r"keep, the WER changes by −3\d.* \(crit-3\), .* and .* \(flat-3\), seeds 0 and 3\.", said)
    by_rate, by_scale = (question.answer for question in found.questions)
    assert re.match(r"At 0 % crit-3 − amb-3 is \+.* points, so crit-3 did worse\. At 20 % ", by_rate)
    assert re.match(
        r"The WER with scaling less that without: crit-3 −3\d.* points, so leaving them as they are did worse; amb-3 −",
        by_scale,
    )
    alone = comparable_plans.summarise({"none": accounts["none"], "crit-2": accounts["crit-2"]}, full, {}, {}, {})
    said = check(alone)
    assert said.startswith("No two plans of one N")
    assert said.endswith("The base rate was not varied here.")
    exact = comparable_plans.summarise({name: accounts[name] for name in ("crit-2", "amb-2")}, full, {}, {}, {})
    assert exact.sentences[0].startswith("Plans of one N drop exactly the same number of parameters:")


@pytest.mark.parametrize("seeds", [1, 3])
def test_differences_are_told_by_themselves_and_together(seeds: int) -> None:
    wers = {"crit-2": 0.4, "amb-2": 0.2, "flat-2": 0.2}
    plans = {name: adapted(wer, seeds, place) for place, (name, wer) in enumerate(wers.items())}
    plans["high-2"] = plans["crit-2"]
    secondary = secondary_comparisons(plans)
    said = differences_found(None, secondary)
    assert "Of 3 secondary differences, each by itself, 1 excludes 0 (crit-2 − amb-2); " in said
    assert ("with one seed they cannot be tested together" in said) is (seeds == 1)
    assert ("tested together (Holm), 1." in said) is (seeds == 3)
    assert said.endswith("Not one error differs between high-2 and crit-2.")
    told = differences_found(plans["crit-2"].less(plans["amb-2"]), [])
    assert re.fullmatch(r"Crit-N less Amb-N is \+(19|20|21)\.\d \[.*\] points, so critical layers did worse\.", told)
    assert differences_found(None, []) == ""


def test_what_is_forgotten_is_told_by_its_ends() -> None:
    after = {name: Estimate(wer, 0.0, 1.0) for name, wer in (("none", 0.14), ("crit-2", 0.12), ("flat", 0.2))}
    assert forgotten(Estimate(0.06, 0.05, 0.07), after) == (
        "The WER on the other domains goes from 6.0 % to between 12.0 % (crit-2) and 20.0 % (flat), 14.0 % without "
        "dropout."
    )


def test_people_are_told_beside_the_synthesiser_and_what_is_missing_is_said() -> None:
    people, synthetic = sweeps([[0.3, 0.0, 0.0, 0.2, 0.4]]), sweeps([[0.3, 0.0, 0.0, 0.0, 0.4]])
    nothing = human_speech.summarise("S", people, synthetic, None, None)
    said = check(nothing)
    assert said.startswith(
        "2 of the 5 layers of ConformerS are ambient after fine-tuning on people, heard on people; 3"
    )
    assert "Federated learning with people has not been measured yet." in said
    assert "This rests on 1 training;" in said
    assert nothing.questions[0].answer == (
        "Shown for both layers 2 and 3; for people alone none; for synthetic speech alone layer 4. What is shown for "
        "one alone is not excluded for the other, which may not tell."
    )
    assert nothing.questions[1].answer == "That has not been measured yet."
    plans = {"amb-4": adapted(0.2, 1), "crit-4": adapted(0.4, 1, 7)}
    assert "so critical layers did worse" in check(human_speech.summarise("S", people, synthetic, plans, None))
    apart = sweeps([[0.0, 0.3, 0.3, 0.0, 0.0]])
    assert "Whether the same layers matter is not shown" in check(
        human_speech.summarise("S", people, apart, plans, None)
    )


@pytest.mark.parametrize("trainings", [1, 2])
@pytest.mark.parametrize(("single", "ambient"), [((0.3, 0.0, 0.0, 0.0, 0.0, 0.2), 4), ((0.3, 0.0, 0.3, 0.3), 1)])
def test_sets_are_told_training_by_training(single: tuple[float, ...], ambient: int, trainings: int) -> None:
    models = [searched(additive(single), len(single), seed) for seed in range(trainings)]
    said = check(layer_sets.summarise(models, "S"))
    # What is alike in all trainings is said once.
    assert f"Ambient one by one on dev speech are {ambient}; reset together" in said
    assert said.startswith(f"Up to {ambient} of the {len(single)} layers of ConformerS can be reset together")
    assert ("(there are no two such layers)" in said) is (ambient == 1)
    assert ("(seeds 0 and 1)" in said) is ("each by itself" in said) is (trainings == 2)


def test_what_differs_between_trainings_is_listed() -> None:
    models = [
        searched(additive(single), 6, seed)
        for seed, single in enumerate([(0.3, 0, 0, 0, 0, 0.2), (0.3, 0, 0, 0.1, 0, 0.2)])
    ]
    assert "Ambient one by one on dev speech are 4 and 3; reset together" in check(layer_sets.summarise(models, "S"))


def test_uses_say_what_is_measured_and_what_is_not() -> None:
    bits = {"none": adapted(0.2, 1), "uniform-8": adapted(0.2, 1), "uniform-4": adapted(0.3, 1)}
    bits |= {"amb-low": adapted(0.4, 1), "crit-low": adapted(0.6, 1)}
    sent = {"uniform-8": 2_000_000} | dict.fromkeys(("uniform-4", "amb-low", "crit-low"), 500_000)
    found = uses.summarise({"bits": bits}, None, sent, 8_000_000)
    said = check(found)
    assert "Of the 4 choices measured, 1 stays with confidence" in said
    even, ambient, critical, whole = (
        f"{100 * bits[name].mean.value:.1f} %" for name in ("uniform-4", "amb-low", "crit-low", "none")
    )
    assert f"the WER is {ambient}; the other way round, at as many bytes, {critical}; with 4 bits everywhere" in said
    assert (
        f"everywhere {even}, and in float32 {whole}. 4 bits everywhere less 2 in the ambient half, at as many" in said
    )
    assert "FedAvg: uniform-8, with 2.0 MB a client and round, down and up, in the place of 8.0 MB." in said
    assert "Not measured yet: some layers trained alone and dropout planned without resets." in said
    assert "rests on 1 training (few bits in the rounds)." in said
    assert "has not been measured yet" in found.questions[0].answer
    alone = {"none": adapted(0.2, 1), "critical": adapted(0.3, 1), "ambient": adapted(0.5, 1)}
    said = check(uses.summarise({"trained": alone}, None, dict.fromkeys(("only critical", "only ambient"), 1), 2))
    numbers = [f"{100 * alone[name].mean.value:.1f} %" for name in ("critical", "ambient", "none")]
    assert "come to a WER of {}, with the most ambient ones to {}; with all layers to {}.".format(*numbers) in said
    rates = {"none": 0.2, "amb-3": 0.3, **dict.fromkeys(RANKED_BY, 0.28), "random-3": 0.35, "crit-3": 0.4}
    dropout = {name: adapted(rate) for name, rate in (rates | {"updates-3": 0.5, "signature-3": 0.25}).items()}
    told = uses.summarise({"bits": bits, "dropout": dropout}, None, sent, 8_000_000)
    wers = {name: f"{100 * one.mean.value:.1f}" for name, one in dropout.items()}
    assert f"by resets, the WER is {wers['amb-3']} %; in those that the 7 cheap ranks name" in check(told)
    assert f"name {wers['signature-3']} to {wers['updates-3']} %, by lot {wers['random-3']} %; in the most" in check(
        told
    )
    assert "so the first is the worse" in told.questions[1].answer
    assert harmless({name: (bits[name], bits["none"]) for name in sent}) == ["uniform-8"]
    kept = close_to_fedavg({name: (bits[name], bits["none"]) for name in sent})
    assert kept.endswith("plain FedAvg: uniform-8, of 4.")
    assert close_to_fedavg({"crit-low": (bits["crit-low"], bits["none"])}).endswith("no choice, of 1.")


@pytest.mark.parametrize(
    ("harms", "told"),
    [
        ([0.0] * 4, "S: all 4 layers stay within 2 points of the intact line."),
        ([HARM] * 4, "S: no layer is sure to stay within 2 points of the intact line; layers 1 to 4 rise above it."),
        ([0.0, 0.0, 0.0, HARM], "S: layers 1 to 3 stay within 2 points of the intact line; layer 4 rises above it."),
        ([HARM, 0.0, HARM], "S: layer 2 stays within 2 points of the intact line; layers 1 and 3 rise above it."),
        ([0.0, 0.02], "S: layer 1 stays within 2 points of the intact line; of layer 2 it cannot be told."),
    ],
)
def test_a_caption_names_the_layers_at_the_line(harms: list[float], told: str) -> None:
    # Another draw of what a re-randomisation does changes nothing.
    made = sweeps([harms] * 3, [[HARM] * len(harms)] * 3)
    assert at_the_line({"S": layer_effects(made)}) == told


def test_captions_of_trainings_name_layers_from_1() -> None:
    harm = np.array([[0.0, 0.01, 0.5, 0.3], [0.0, 0.015, 0.2, 0.6]])
    assert trainings_apart({"S": harm}) == (
        "S: trainings differ most in layer 3, from +20.0 to +50.0 points; in 2 of 4 layers by less than 2."
    )
    assert ends_of_ranks({"S": harm}) == (
        "S: no layer always among the 1 most harmful, layer 1 always among the 1 least harmful."
    )
    assert farthest_moved({"S": np.array([0.5, 0.9, 0.7])}).startswith(
        "S: attention moved farthest in layer 2, least in layer 1 (0.50 against 0.90"
    )
    plans = {"none": adapted(0.1), "flat": adapted(0.2), "crit-3": adapted(0.4)}
    assert re.search(
        r"highest with crit-3, (39|40)\.\d % and lowest with flat, (19|20)\.\d %; w", best_and_worst(plans)
    )
    assert "lowest" not in best_and_worst({"flat": adapted(0.2)})


def test_at_a_profile_without_records_the_page_says_so_and_what_is_published() -> None:
    missing, published = (summarised("model_size", {"profile": name}) for name in ("gpu", "laptop"))
    first, second = missing.in_short.text.split("\n")[1:]
    assert first == "Not measured yet: profile gpu has no records of this yet."
    assert missing.questions.text == ""
    finding = published.in_short.text.split("\n")[1]
    assert second.startswith("Published result (profile laptop): ")
    assert finding.startswith(second.removeprefix("Published result (profile laptop): "))
    assert "Published" not in published.in_short.text
    assert published.questions.html.count("<details") == 2


def test_parameters_of_the_chapter_choose_the_records() -> None:
    told = summarised("model_size", {"profile": "laptop", "seeds": 1, "draws": None, "sizes": ("S",)}).in_short.text
    assert "1 training of S, tested" in told
    assert "ConformerM" not in told


@pytest.mark.parametrize(("known", "told"), [(0, "No sentence of the test is"), (1, "1 sentence of the test is")])
def test_the_corpus_is_told_by_what_the_test_shares_with_training(known: int, told: str) -> None:
    train = open_corpus(SyntheticSettings(domains={"short_form": 1}, utterances={"train": 6}, speakers={"train": 3}))
    test = open_corpus(SyntheticSettings(domains={"short_form": 1}, utterances={"test": 4}, speakers={"test": 2}))
    surveys = {"train": survey(train, "train"), "test": survey(test, "test")}
    if known:
        (shard,) = surveys["test"].shards
        (heard,) = surveys["train"].shards
        shared = replace(shard.utterances[0], text=heard.utterances[0].text)
        surveys["test"] = replace(surveys["test"], shards=[replace(shard, utterances=[shared, *shard.utterances[1:]])])
    said = corpus_in_short(surveys)
    assert "0.00 hours of speech (6 utterances)" in said[0]
    assert said[1].startswith(told)
    assert re.search(r"of its 2 voices\.$", said[1])


def test_costs_are_told_by_the_ratios_of_others_on_one_thread() -> None:
    def row(group: str, threads: int, *ratios: float) -> dict[str, object]:
        others = [{"name": f"other {place}", "ratio": ratio} for place, ratio in enumerate(ratios)]
        return {"group": group, "threads": threads, "seconds": [{"name": "ours"}, *others]}

    rows = [row("encoder", 1, 0.5, 2.0), row("encoder", 2, 0.1), row("federated", 1, 3.0), row("sweep", 1, 9.0)]
    assert costs_in_short(rows, {"layers": 0.9, "width": 1.62}) == [
        "Other code is slower than ours in 2 of 3 comparisons on one thread.",
        "It takes so many times as long as ours: 0.5 to 2.0 (encoder) and 3.0 to 3.0 (federated rounds).",
        "When the work grows, time grows at most with the power 1.6, that of width.",
    ]


def test_coverage_is_told_by_the_number_of_trainings() -> None:
    lines = [(1, 0.941), (1, 0.962), (2, 0.99), (3, 0.95), (5, 0.96)]
    found = {
        "draws": 4000,
        "intervals": [{"trainings": trainings, "of_95": of} for trainings, of in lines],
        "tests": [{"rejects": 0.012}, {"rejects": 0.049}],
    }
    said = coverage_in_short(found)
    assert "94 to 96 % with one training, 99 to 99 % with two trainings and 95 to 96 % with three or five" in said[0]
    assert said[1].startswith("Of the tests at 5 %, 1.2 to 4.9 % find")
    assert "4,000 simulated experiments" in said[2]


def test_the_models_of_the_papers_sizes_have_its_digits() -> None:
    counts = {size: count_parameters(settings) for size, settings in profile_of("gpu").models.items()}
    said = model_in_short("gpu", counts, counts, [0.66, 0.66])
    assert "S 10.3M, M 30.7M and L 118.6M parameters, as the paper prints." in said[0]
    assert said[2].startswith("The two feed-forward modules hold 66 % of a layer")
    half = {size: replace(count, layers=count.layers // 2) for size, count in counts.items()}
    assert "not all as the paper prints" in model_in_short("gpu", counts, half, [0.6, 0.7])[0]


def test_what_a_box_says_is_text_and_a_number_keeps_its_sign() -> None:
    box = in_short(["A < B.", "It is 5 % [4, 6] %."], "Published: 7 %.")
    page = BeautifulSoup(box.html, "html.parser")
    assert [p.get_text() for p in page.select(".in-short > p")] == [
        "In short",
        "A < B. It is 5\u00a0% [4, 6]\u00a0%.",
        "Published: 7\u00a0%.",
    ]
    assert box.text == "In short\nA < B. It is 5 % [4, 6] %.\nPublished: 7 %."
    assert len(BeautifulSoup(in_short(["A."]).html, "html.parser").select("p")) == 2
    assert "N %" in paragraph("N % of it").html
    answers = BeautifulSoup(folded_answers([("Why?", "So < so."), ("How?", "Well.")]).html, "html.parser")
    assert [one.summary.get_text() for one in answers.select("details.answer")] == ["Why?", "How?"]
    assert not answers.select("details[open]")
    assert answers.p.get_text() == "So < so."


def test_a_folded_table_is_whole_behind_a_line_that_tells_its_length() -> None:
    plain = table([("a", 1), ("b", 2)], ["x", "y"], "c")
    folded = table([("a", 1), ("b", 2)], ["x", "y"], "c", folded="All of it")
    page = BeautifulSoup(folded.html, "html.parser")
    assert page.details.summary.get_text() == "All of it (2 rows)"
    assert plain.html in folded.html
    assert not page.details.has_attr("open")
    assert folded.text == plain.text


def test_one_sweep_is_told_by_its_classes_and_by_the_ends_of_its_ranking() -> None:
    model = of_classes(3, 1)
    counted_, ends = sweep_in_short("A model", intact_wer(model), reinitialised(model))
    assert counted_.startswith("A model has a WER of ")
    assert counted_.endswith("; of its 4 layers 3 are ambient, 1 is critical and none is unresolved.")
    assert re.fullmatch(
        r"The reset of layer 4 costs most, \+\d\d\.\d \[.+\] points, and that of layer [123] least, .+ points\.", ends
    )


def test_slides_are_told_by_verdicts_the_most_frequent_first_and_speech_on_which_nothing_is_judged() -> None:
    sizes = {"S": of_classes(2, 2), "M": of_classes(3, 1)}
    robust, similar = larger_is_more_robust(sizes), resets_are_similar(sizes)
    assert slides_in_short(3, {"synthetic speech": [robust, robust, similar], "recordings of people": []}) == [
        "The slides make 3 claims that can be measured.",
        f"On synthetic speech 3 of them are judged: 2 {robust.verdict}, 1 {similar.verdict}.",
        "On recordings of people none of them is judged yet.",
    ]


def test_hours_of_a_gpu_are_told_with_the_speed_that_is_assumed() -> None:
    first, *_ = scale_in_short({"gpu": 2.2, "librispeech": 1600.4}, 30e12)
    assert "30 · 10¹² operations a second, which is assumed" in first
    assert first.endswith("profile gpu takes 2 and librispeech takes 1,600 hours.")
