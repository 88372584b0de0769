"""Rounds that resume, and comparisons of plans: against brute force, with everything paired."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_runs import Words, babbling
from torch import Tensor

from paper_lib.claims.federated_dropout import CLAIMS, dip, judge
from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus import Corpus
from paper_lib.federated.adaptation import Adaptation, adapt
from paper_lib.federated.algorithm import federated_dropout
from paper_lib.federated.clients import Client, ClientError, clients_of
from paper_lib.federated.comparison import Adapted
from paper_lib.federated.plans import named_plan
from paper_lib.settings import FederatedSettings

SETTINGS = FederatedSettings(rounds=4, clients_per_round=2, local_batch_frames=600, failure_rate=0.3, seed=3)
PLAN = named_plan("amb-1", [2, 1])


@pytest.fixture(scope="module")
def model(tiny_corpus: Corpus) -> Transducer:
    return babbling("group", tiny_corpus)[0]


@pytest.fixture(scope="module")
def clients(tiny_corpus: Corpus) -> list[Client]:
    return clients_of(tiny_corpus, "train")


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


def made_up(rng: np.random.Generator, rate: float, seeds: int = 3, utterances: int = 400) -> list[dict[str, Any]]:
    words = np.full(utterances, 5)
    domains = ["short_form", "telephone"] * (utterances // 2)
    return [
        {"domains": domains, "words": words.tolist(), "errors": rng.binomial(words, rate).tolist()}
        for _ in range(seeds)
    ]


def test_word_errors_are_those_of_the_domain() -> None:
    results = made_up(np.random.default_rng(0), 0.3)
    adapted = Adapted.of(results, ("telephone",))
    expected = [np.sum(r["errors"][1::2]) / np.sum(r["words"][1::2]) for r in results]
    assert adapted.by_seed.tolist() == pytest.approx(expected)
    estimate = adapted.estimate()
    assert estimate.value == pytest.approx(np.mean(expected))
    assert estimate.low < estimate.value < estimate.high


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    estimates = [Adapted.of(made_up(rng, 0.3, seeds=8, utterances=60), ("telephone",)).estimate() for _ in range(100)]
    assert 85 <= sum(e.low <= 0.3 <= e.high for e in estimates) <= 100


def test_with_two_seeds_the_interval_reaches_over_both() -> None:
    rng = np.random.default_rng(2)
    low, high = made_up(rng, 0.2, 1), made_up(rng, 0.5, 1)
    both = Adapted.of(low + high, ("telephone",)).estimate()
    alone = [Adapted.of(one, ("telephone",)).estimate() for one in (low, high)]
    assert (both.low, both.high) == pytest.approx((alone[0].low, alone[1].high))


def test_pairing_narrows_a_difference() -> None:
    rng = np.random.default_rng(3)
    hard = rng.binomial(5, 0.4, 300)
    domains = ["short_form"] * 300
    better = [{"domains": domains, "words": [5] * 300, "errors": hard.tolist()} for _ in range(3)]
    worse = [{**result, "errors": np.minimum(5, hard + rng.binomial(1, 0.1, 300)).tolist()} for result in better]
    one, other = Adapted.of(worse, ("short_form",)), Adapted.of(better, ("short_form",))
    difference, wer = one.less(other).estimate(), other.estimate()
    assert difference.value == pytest.approx(one.estimate().value - wer.value)
    assert difference.low > 0
    assert difference.high - difference.low < (wer.high - wer.low) / 2


def training(layers: list[float]) -> dict[str, Any]:
    names = ("q", "k", "v", "pos", "out")
    distances = {f"layers.{i}.attention.{n}.weight": [value] for i, value in enumerate(layers) for n in names}
    return {"distance_steps": [9], "distances": distances}


def sweep(harms: list[int]) -> dict[str, Any]:
    resets = [{"layer": i, "kind": "re-initialisation", "draw": 0, "errors": [h, h]} for i, h in enumerate(harms)]
    return {"words": [10, 10], "intact": [0, 0], "resets": resets}


def test_the_dip_is_at_the_least_critical_layer() -> None:
    assert dip(training([1.0, 0.4, 0.8]), sweep([5, 1, 3])) == pytest.approx(0.9 - 0.4)
    assert dip(training([1.0, 0.4, 0.8]), sweep([1, 5, 3])) == pytest.approx(0.6 - 1.0)


def test_verdicts_follow_from_the_plans() -> None:
    rng = np.random.default_rng(4)
    rates = {"crit-2": 0.4, "crit-3": 0.5, "crit-4": 0.6, "amb-2": 0.3, "amb-3": 0.3, "amb-4": 0.3, "flat": 0.3}
    adapted = {name: Adapted.of(made_up(rng, rate), ("short_form",)) for name, rate in rates.items()}
    trainings = [training([1.0, 0.4 + 0.01 * seed, 0.8]) for seed in range(3)]
    found = judge(adapted, trainings, [sweep([5, 1, 3])] * 3)
    assert [finding.claim for finding in found] == list(CLAIMS)
    assert [finding.verdict for finding in found[:3]] == ["reproduced"] * 3
    assert found[4].verdict == "reproduced"
    turned = {**adapted, "amb-2": adapted["crit-4"], "crit-3": adapted["amb-3"], "amb-4": adapted["crit-4"]}
    found = judge(turned, trainings[:1], [sweep([5, 1, 3])])
    verdicts = [finding.verdict for finding in found]
    assert verdicts == [
        "not resolved",  # one is excluded, two cannot be told
        "not reproduced",
        "reproduced",
        "not reproduced",
        "not resolved",
    ]
    few = judge({"flat": adapted["flat"]}, trainings, [sweep([5, 1, 3])] * 3)
    assert [finding.verdict for finding in few[:4]] == ["not resolved"] * 4
    assert few[3].remedy == "flat + margin − amb-4: both plans"
