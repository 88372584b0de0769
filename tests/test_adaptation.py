"""Rounds that resume, and comparisons of plans: against brute force, with everything paired."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_runs import Words
from torch import Tensor

from paper_lib.claims.federated_dropout import CLAIMS, dips_by_layer, judge
from paper_lib.conformer.transducer import Transducer
from paper_lib.federated.adaptation import Adaptation, adapt
from paper_lib.federated.algorithm import federated_dropout
from paper_lib.federated.clients import Client, ClientError
from paper_lib.federated.comparison import Adapted, late_gain, updates_of
from paper_lib.federated.plans import named_plan
from paper_lib.inference import Estimate
from paper_lib.layers.matrices import ATTENTION
from paper_lib.layers.sweeps import Sweeps
from paper_lib.settings import FederatedSettings

SETTINGS = FederatedSettings(rounds=4, clients_per_round=2, local_batch_frames=600, failure_rate=0.3, seed=3)
PLAN = named_plan("amb-1", [2, 1])


class Interrupted(Exception):
    """What a test raises to stop the rounds."""


def after(
    model: Transducer,
    clients: list[Client],
    directory: Path,
    stop_at: int | None = None,
    settings: FederatedSettings = SETTINGS,
) -> tuple[dict[str, Tensor], Adaptation]:
    asked: list[int] = []

    def measure(weights: Mapping[str, Tensor]) -> float:
        asked.append(1)
        if len(asked) == stop_at:
            raise Interrupted
        return float(weights["joint.out.bias"].sum())

    algorithm = federated_dropout(settings, PLAN, model.settings, Words())
    return adapt(algorithm, model, clients, settings, directory, measure, 2)


def test_rounds_go_on_where_they_were_stopped(model: Transducer, clients: list[Client], tmp_path: Path) -> None:
    whole, met = after(model, clients, tmp_path / "whole")
    with pytest.raises(Interrupted):
        after(model, clients, tmp_path / "parts", stop_at=3)  # in the last round
    parts, resumed = after(model, clients, tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert resumed.reports == met.reports
    assert all(len(report.update_norms) == len(report.disagreements) == 2 for report in met.reports if report.clients)
    assert any(report.clients for report in met.reports)
    assert resumed.dev_wer == met.dev_wer
    assert list(met.dev_wer) == [0, 2, 4]
    assert len(met.reports) == 4


def test_what_is_finished_is_not_done_again(model: Transducer, clients: list[Client], tmp_path: Path) -> None:
    first, _ = after(model, clients, tmp_path)
    again, _ = after(model, clients, tmp_path, stop_at=1)  # nothing is measured again either
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_damaged_state_is_reported_and_the_rounds_begin_anew(
    model: Transducer, clients: list[Client], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = after(model, clients, tmp_path)
    state = tmp_path / "state.safetensors"
    content = bytearray(state.read_bytes())
    content[-5] ^= 1
    state.write_bytes(content)
    again, _ = after(model, clients, tmp_path)
    assert "the rounds begin anew" in caplog.text
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_too_many_clients_are_refused_before_a_round(model: Transducer, clients: list[Client], tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="clients_per_round is 9; there are 3 clients"):
        after(model, clients, tmp_path, settings=SETTINGS.model_copy(update={"clients_per_round": 9}))


def test_without_rounds_the_model_is_as_it_was(model: Transducer, clients: list[Client], tmp_path: Path) -> None:
    weights, met = after(model, clients, tmp_path, settings=SETTINGS.model_copy(update={"rounds": 0}))
    assert all(torch.equal(weights[name], parameter) for name, parameter in model.named_parameters() if name in weights)
    assert (list(met.dev_wer), met.reports) == ([0], [])


SAID = "turn on the kitchen light"
SPEAKERS = 20


def adaptation(errors: NDArray[np.int64]) -> dict[str, Any]:
    """Returns what a record keeps of a test with so many word errors, [utterances]; first words are heard wrong.

    Speakers take turns. Every other round of them is of telephone speech, and the last speaker has no other.
    """
    places = range(len(errors))
    telephone = [place // SPEAKERS % 2 == 1 or place % SPEAKERS == SPEAKERS - 1 for place in places]
    spoken = {
        "ids": [f"test-{place}" for place in places],
        "speakers": [f"speaker {place % SPEAKERS}" for place in places],
        "domains": ["telephone" if by_telephone else "short_form" for by_telephone in telephone],
        "references": [SAID for _ in places],
    }
    heard = [" ".join(["uh"] * count + SAID.split()[count:]) for count in errors.tolist()]
    misheard = [[place, count, heard[place]] for place, count in enumerate(errors.tolist()) if count]
    return json.loads(json.dumps({"spoken": spoken, "misheard": misheard}))  # type: ignore[no-any-return]


def made_up(rng: np.random.Generator, rate: float, seeds: int = 3, utterances: int = 400) -> list[dict[str, Any]]:
    return [adaptation(rng.binomial(5, rate, utterances)) for _ in range(seeds)]


def estimate_of(results: list[dict[str, Any]], domain: str = "short_form") -> Estimate:
    return Adapted.of(results, (domain,)).mean.estimate()


@pytest.mark.parametrize("domains", [("telephone",), ("short_form",), ("telephone", "short_form")])
def test_word_errors_are_those_of_the_domains_by_speaker(domains: tuple[str, ...]) -> None:
    results = made_up(np.random.default_rng(0), 0.3)
    adapted = Adapted.of(results, domains)
    by_name: dict[str, list[int]] = {}  # word errors of every seed, and words
    for seed, result in enumerate(results):
        heard = {place: text for place, _, text in result["misheard"]}
        spoken = result["spoken"]
        for place, (name, domain) in enumerate(zip(spoken["speakers"], spoken["domains"], strict=True)):
            if domain in domains:
                counts = by_name.setdefault(name, [0] * 4)
                count = jiwer.process_words(SAID, heard.get(place, SAID))
                counts[seed] += count.substitutions + count.deletions + count.insertions
                counts[3] += 5 * (seed == 0)
    expected = np.array([by_name[name] for name in sorted(by_name)])
    assert len(expected) == SPEAKERS - ("telephone" not in domains)
    assert adapted.errors.tolist() == expected[:, :3].T.tolist()
    assert adapted.words.tolist() == expected[:, 3].tolist()
    assert adapted.by_seed == pytest.approx(expected[:, :3].sum(0) / expected[:, 3].sum())
    estimate = adapted.mean.estimate()
    assert estimate.value == pytest.approx(adapted.by_seed.mean())
    assert estimate.low < estimate.value < estimate.high


def test_intervals_hold_the_truth_about_as_often_as_they_say_and_are_no_wider_than_needed() -> None:
    rng = np.random.default_rng(1)
    estimates = [estimate_of(made_up(rng, 0.3, seeds=8, utterances=100), "telephone") for _ in range(200)]
    assert sum(e.low <= 0.3 <= e.high for e in estimates) >= 180
    # By the binomial distribution, whose deviation nobody need estimate here.
    ideal = 2 * 1.96 * np.sqrt(0.3 * 0.7 / (8 * 52 * 5))
    assert ideal < np.mean([e.high - e.low for e in estimates]) < 2 * ideal


def test_with_two_seeds_far_apart_the_interval_reaches_over_both() -> None:
    rng = np.random.default_rng(2)
    low, high = made_up(rng, 0.2, 1), made_up(rng, 0.5, 1)
    both, alone = estimate_of(low + high), [estimate_of(one) for one in (low, high)]
    assert both.value == pytest.approx((alone[0].value + alone[1].value) / 2)
    assert both.low < alone[0].low
    assert both.high > alone[1].high


def test_one_seed_alone_has_an_interval_over_its_speakers() -> None:
    mean = Adapted.of(made_up(np.random.default_rng(3), 0.3, 1), ("short_form",)).mean
    assert mean.trainings is None
    assert mean.speakers is not None
    assert mean.speakers.freedom == SPEAKERS - 2  # of those who speak in the domain, less one


def test_pairing_narrows_a_difference() -> None:
    rng = np.random.default_rng(3)
    hard = rng.binomial(4, np.tile(np.linspace(0.05, 0.6, SPEAKERS), 15))
    better = [adaptation(hard) for _ in range(3)]
    worse = [adaptation(hard + rng.binomial(1, 0.1, len(hard))) for _ in range(3)]
    one, other = Adapted.of(worse, ("short_form",)), Adapted.of(better, ("short_form",))
    difference, wer = one.less(other).mean.estimate(), other.mean.estimate()
    assert difference.value == pytest.approx(one.mean.value - other.mean.value)
    assert difference.low > 0
    assert difference.high - difference.low < (wer.high - wer.low) / 2
    turned = other.less(one).mean.estimate()
    assert (turned.value, turned.low, turned.high) == pytest.approx(
        (-difference.value, -difference.high, -difference.low)
    )


def test_an_average_is_of_the_plans_seed_by_seed_and_speaker_by_speaker() -> None:
    rng = np.random.default_rng(5)
    several = [Adapted.of(made_up(rng, rate), ("short_form",)) for rate in (0.1, 0.2, 0.6)]
    average = Adapted.average(several)
    for seed in range(3):
        for speaker in range(SPEAKERS - 1):
            expected = sum(one.errors[seed, speaker] for one in several) / 3
            assert average.errors[seed, speaker] == pytest.approx(expected)
    assert average.words.tolist() == several[0].words.tolist()
    assert average.mean.value == pytest.approx(np.mean([one.mean.value for one in several]))
    assert Adapted.average(several[:1]).errors.tolist() == several[0].errors.tolist()


def test_the_errors_of_several_draws_are_their_mean_seed_by_seed() -> None:
    rng = np.random.default_rng(8)
    seeds = [made_up(rng, rate, 2) for rate in (0.1, 0.2, 0.6)]  # two draws of each of three seeds
    drawn = Adapted.of([result for draws in seeds for result in draws], ("short_form",), draws=2)
    first, second = (Adapted.of([draws[k] for draws in seeds], ("short_form",)) for k in (0, 1))
    assert drawn.errors.tolist() == ((first.errors + second.errors) / 2).tolist()
    assert drawn.words.tolist() == first.words.tolist()


@pytest.mark.parametrize(
    ("curves", "share"),
    [
        ([{0: 0.9, 20: 0.3, 30: 0.2, 40: 0.1}], 0.1 / 0.8),
        ([{0: 0.9, 16: 0.3, 40: 0.1}], 0.2 / 0.8),  # nothing was measured after 30 rounds: the share is too large
        ([{0: 0.8, 3: 0.3, 4: 0.3}, {0: 1.0, 3: 0.5, 4: 0.3}], 0.1 / 0.6),
        ([{40: 0.2, 30: 0.1, 0: 0.4}], -0.1 / 0.2),  # it rises at the end; the order of measurements plays no part
        ([{0: 0.5, 30: 0.4, 40: 0.5}], None),
    ],
)
def test_what_the_last_quarter_of_the_rounds_brought(curves: list[dict[int, float]], share: float | None) -> None:
    found = late_gain(curves)
    assert found == (share if share is None else pytest.approx(share))


def test_updates_of_records_are_means_over_the_rounds_that_had_clients() -> None:
    rounds = [([1.0, 2.0], [0.5, 0.1]), ([], []), ([3.0, 6.0], [0.7, 0.2])]
    results = [{"reports": [{"update_norms": norms, "disagreements": apart} for norms, apart in rounds]}] * 2
    assert updates_of(results, "update_norms").tolist() == [[2.0, 4.0]] * 2
    assert updates_of(results, "disagreements") == pytest.approx(np.array([[0.6, 0.15]] * 2))


def training(layers: list[float]) -> dict[str, Any]:
    distances = {f"layers.{i}.{name}.weight": [7.0 * value] for i, value in enumerate(layers) for name in ATTENTION}
    return {"distance_steps": [9], "distances": distances}


def sweep(harms: list[int]) -> dict[str, Any]:
    """Returns a sweep in which the re-initialisation of every layer adds so many word errors for each of speakers."""
    intact = adaptation(np.zeros(SPEAKERS, int))
    resets = [
        {
            "layer": layer,
            "kind": "re-initialisation",
            "draw": 0,
            "module": None,
            "misheard": adaptation(np.full(SPEAKERS, harm))["misheard"],
        }
        for layer, harm in enumerate(harms, 1)
    ]
    return {"spoken": intact["spoken"], "intact": intact["misheard"], "resets": resets}


def test_a_dip_is_below_the_mean_of_the_other_layers() -> None:
    found = dips_by_layer([training([1.0, 0.4, 0.8]), training([0.5, 1.0, 0.9])])
    np.testing.assert_allclose(found, [[0.6 - 1.0, 0.9 - 0.4, 0.7 - 0.8], [0.95 - 0.5, 0.7 - 1.0, 0.75 - 0.9]])


# The least critical layers of three trainings, and how far a signature lies below that of the others there.
LEAST = ([5, 1, 3, 4, 5], [2, 5, 1, 4, 3], [1, 5, 4, 2, 3])


def dipping(depth: float) -> list[dict[str, Any]]:
    rng = np.random.default_rng(6)
    return [training([0.9 + 0.05 * rng.random() - depth * (harm == 1) for harm in harms]) for harms in LEAST]


@pytest.mark.parametrize(
    ("depth", "verdict"), [(0.5, "reproduced"), (-0.5, "not reproduced"), (0.0, "not resolved")], ids=str
)
def test_the_dip_is_tested_by_where_else_it_might_have_been(depth: float, verdict: str) -> None:
    trainings = dipping(depth)
    finding = judge({}, trainings, Sweeps.of([sweep(harms) for harms in LEAST]))[4]
    assert finding.verdict == verdict
    dips = dips_by_layer(trainings)
    means = [
        np.mean([dips[t, order[harms.index(1)]] for t, harms in enumerate(LEAST)]) for order in permutations(range(5))
    ]
    p = np.mean(np.array(means) >= means[0] - 1e-9)
    assert finding.p == pytest.approx(1.0 if verdict == "not reproduced" else p)
    assert "least critical: 2, 3, 1 of 5" in finding.evidence


def test_where_one_layer_is_least_critical_in_all_trainings_layers_are_too_few_to_tell() -> None:
    (harms, *_) = LEAST
    finding = judge({}, [dipping(0.5)[0]] * 3, Sweeps.of([sweep(harms)] * 3))[4]
    assert (finding.verdict, finding.p) == ("not resolved", pytest.approx(1 / 5))
    assert finding.remedy == "others − least critical: more layers"


RATES = {"crit-2": 0.4, "crit-3": 0.5, "crit-4": 0.6, "amb-2": 0.3, "amb-3": 0.3, "amb-4": 0.3, "flat": 0.3}


def test_verdicts_follow_from_the_plans() -> None:
    rng = np.random.default_rng(4)
    adapted = {name: Adapted.of(made_up(rng, rate, 5, 800), ("short_form",)) for name, rate in RATES.items()}
    trainings, sweeps = dipping(0.5), Sweeps.of([sweep(harms) for harms in LEAST])
    found = judge(adapted, trainings, sweeps)
    assert [finding.claim for finding in found] == list(CLAIMS)
    assert [finding.verdict for finding in found] == ["reproduced"] * 5
    assert all(finding.p < 0.05 for finding in found)
    turned = {"flat": adapted["flat"]}
    for count in (2, 3, 4):
        turned |= {f"crit-{count}": adapted[f"amb-{count}"], f"amb-{count}": adapted[f"crit-{count}"]}
    found = judge(turned, trainings, sweeps)
    assert [finding.verdict for finding in found[:4]] == ["not reproduced"] * 4
    assert [finding.p for finding in found[:4]] == [1.0] * 4
    few = judge({"flat": adapted["flat"], "crit-3": adapted["crit-3"]}, trainings, sweeps)
    assert [(finding.verdict, finding.evidence) for finding in few[:4]] == [("not measured", "")] * 4


def test_plans_are_not_judged_by_one_seed() -> None:
    rng = np.random.default_rng(7)
    adapted = {name: Adapted.of(made_up(rng, rate, 1), ("short_form",)) for name, rate in RATES.items()}
    found = judge(adapted, dipping(0.5), Sweeps.of([sweep(harms) for harms in LEAST]))
    assert [finding.verdict for finding in found[:4]] == ["not resolved"] * 4
    assert found[1].remedy == "crit-3 − amb-3: at least 2 trainings a model"
