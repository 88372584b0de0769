"""BatchNorm's running statistics in federated learning: averaged as by hand, kept over a restart, used to recognise."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from tiny_runs import CPU, TINY_CORPUS, Words, babbling, tiny_run
from torch import Tensor

from paper_lib.checkpoint import load_tensors
from paper_lib.conformer.decoding import transcribe
from paper_lib.conformer.transducer import BLANK, Transducer
from paper_lib.corpus import Corpus
from paper_lib.corpus.batches import evaluation_batches
from paper_lib.evaluation import Spoken, wer
from paper_lib.federated.adaptation import adapt
from paper_lib.federated.algorithm import FederatedAlgorithm, centralised, federated_dropout
from paper_lib.federated.clients import Client, client_seed, compute_gradient, local_batches, refusal, sample, trainable
from paper_lib.federated.plans import named_plan
from paper_lib.fitted import Fit, History
from paper_lib.results import Store
from paper_lib.settings import DropoutPlan, FederatedSettings, ServerOptimizerSettings
from paper_lib.studies import computing
from paper_lib.studies.measurements import AdaptationStudy

NOTHING = named_plan("none", ())
HALF = DropoutPlan(name="half of layer 2", rates={2: 0.5})
SETTINGS = FederatedSettings(rounds=4, clients_per_round=2, local_epochs=2, local_batch_frames=600, seed=3)
LAYERS, DIM = 2, 16


@pytest.fixture(scope="module")
def batch_model(tiny_corpus: Corpus) -> Transducer:
    """The model of the other tests, with BatchNorm."""
    return babbling("batch", tiny_corpus)[0]


def algorithm(model: Transducer, plan: DropoutPlan = NOTHING, **changes: Any) -> FederatedAlgorithm:
    return federated_dropout(SETTINGS.model_copy(update=changes), plan, model.settings, Words())


def statistics_of(model: Transducer) -> dict[str, Tensor]:
    """Returns the buffers of the convolution modules' norms, which are all that the encoder's layers have."""
    return {name: tensor.clone() for name, tensor in model.named_buffers() if name.startswith("encoder.layers.")}


def trained_alone(model: Transducer, client: Client) -> dict[str, Tensor]:
    """Returns the running statistics that a client's local training leaves, by torch's own SGD."""
    own = copy.deepcopy(model).train()
    seed = client_seed(SETTINGS, 0, client.name)
    optimizer = torch.optim.SGD(own.parameters(), lr=SETTINGS.client_learning_rate)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for items in local_batches(SETTINGS, client, (seed,)):
            compute_gradient(SETTINGS, own, items, Words())
            optimizer.step()
    return statistics_of(own)


def deafened(client: Client) -> Client:
    shard = client.items[0][0]
    broken = replace(shard, matrix=np.full_like(shard.matrix, np.nan))
    return Client("broken", tuple((broken, index) for owner, index in client.items if owner is shard))


def test_the_servers_statistics_are_the_clients_mean_weighted_by_utterances(
    batch_model: Transducer, clients: list[Client]
) -> None:
    before = statistics_of(batch_model)
    # Unlike weights: a mean that does not weigh would be another.
    unequal = [clients[0], Client(clients[1].name, clients[1].items[:2]), clients[2]]
    rounds = algorithm(batch_model)
    state, report = rounds.apply(rounds.init(batch_model), [*unequal, deafened(clients[1])])
    assert [line.partition(":")[0] for line in report.refused] == ["broken"]
    alone = [trained_alone(batch_model, client) for client in unequal]
    counts = [len(client.items) for client in unequal]
    assert set(state.statistics) == set(before)
    assert len(before) == 2 * LAYERS
    for name, old in before.items():
        values = np.stack([one[name].double().numpy() for one in alone])
        expected = np.average(values, axis=0, weights=counts)
        np.testing.assert_allclose(state.statistics[name].numpy(), expected, rtol=1e-4, atol=1e-5)
        assert not np.allclose(expected, values.mean(0), rtol=1e-3)
        assert not np.allclose(expected, old.numpy(), rtol=1e-2)
    # Clients trained with copies.
    assert all(torch.equal(tensor, before[name]) for name, tensor in statistics_of(batch_model).items())


def test_no_server_optimizer_has_a_part_in_them(batch_model: Transducer, clients: list[Client]) -> None:
    servers = (
        ServerOptimizerSettings(kind="sgd", learning_rate=0.25, momentum=0.9, weight_decay=0.1),
        ServerOptimizerSettings(kind="adam", learning_rate=1e-3),
    )
    states = []
    for server in servers:
        rounds = algorithm(batch_model, server=server, decay_fraction=1.0)
        states.append(rounds.apply(rounds.init(batch_model), clients)[0])
    first, second = states
    assert all(torch.equal(first.statistics[name], second.statistics[name]) for name in first.statistics)
    assert not all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)
    assert not any(first.statistics.keys() & moment.keys() for state in states for moment in state.moments.values())


def test_without_clients_they_stay(batch_model: Transducer) -> None:
    rounds = algorithm(batch_model)
    state, _ = rounds.apply(rounds.init(batch_model), [])
    assert all(torch.equal(state.statistics[name], tensor) for name, tensor in statistics_of(batch_model).items())


@pytest.mark.parametrize("plan", [NOTHING, HALF])
def test_they_are_sent_both_ways_and_counted(batch_model: Transducer, clients: list[Client], plan: DropoutPlan) -> None:
    rounds = algorithm(batch_model, plan)
    state, report = rounds.apply(rounds.init(batch_model), clients[:2])
    weights = sum(tensor.numel() for tensor in trainable(batch_model).values())
    weights -= 2 * 32 * (2 * DIM + 1) if plan == HALF else 0  # two modules of layer 2
    assert report.bytes_down == report.bytes_up == 2 * 4 * (weights + 2 * LAYERS * DIM)
    moved = statistics_of(batch_model)
    assert not any(torch.equal(state.statistics[name], tensor) for name, tensor in moved.items())


def test_what_a_round_says_of_layers_is_of_their_weights(batch_model: Transducer, clients: list[Client]) -> None:
    rounds = algorithm(batch_model, client_learning_rate=1e-9)
    _, report = rounds.apply(rounds.init(batch_model), clients)
    assert max(report.update_norms) < 1e-6  # the statistics themselves are of the order of 1
    assert all(0 <= value <= 1 for value in report.disagreements)


def test_an_update_without_them_is_refused(batch_model: Transducer) -> None:
    state = algorithm(batch_model).init(batch_model)
    shapes = {name: tensor.shape for name, tensor in state.learnt.items()}
    lost = next(iter(state.statistics))
    assert refusal(state.learnt, shapes) is None
    assert refusal(state.weights, shapes) == f"its update lacks {sorted(state.statistics)[0]}"
    broken = state.learnt | {lost: state.statistics[lost] * torch.nan}
    assert refusal(broken, shapes) == f"its update of {lost} is not finite"


def test_pooled_training_moves_them_by_its_own_batches(batch_model: Transducer, clients: list[Client]) -> None:
    server = ServerOptimizerSettings(kind="sgd", learning_rate=0.05)
    settings = SETTINGS.model_copy(update={"server": server})
    pooled = centralised(settings, batch_model.settings, Words())
    state, _ = pooled.apply(pooled.init(batch_model), clients)
    everyone = Client("everyone", tuple(item for client in clients for item in client.items))
    seed = client_seed(settings, 0, everyone.name)
    own = copy.deepcopy(batch_model).train()
    optimizer = torch.optim.SGD(own.parameters(), lr=0.05)
    batches = local_batches(settings, everyone, (seed,))
    assert len(batches) > 2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for items in batches:
            compute_gradient(settings, own, items, Words())
            optimizer.step()
    before = statistics_of(batch_model)
    for name, tensor in statistics_of(own).items():
        torch.testing.assert_close(state.statistics[name], tensor, rtol=1e-3, atol=1e-4)
        assert not torch.allclose(tensor, before[name], rtol=1e-2)


class Interrupted(Exception):
    """What a test raises to stop the rounds."""


@pytest.mark.parametrize("method", ["federated", "centralised"])
def test_they_are_kept_over_a_restart_to_the_bit(
    method: str, batch_model: Transducer, clients: list[Client], tmp_path: Path
) -> None:
    rounds = algorithm(batch_model) if method == "federated" else centralised(SETTINGS, batch_model.settings, Words())
    names = set(statistics_of(batch_model))

    def after(directory: Path, stop_at: int | None = None) -> tuple[dict[str, Tensor], list[float]]:
        measured = []

        def measure(weights: Mapping[str, Tensor]) -> float:
            measured.append(sum(float(weights[name].sum()) for name in names))
            if len(measured) == stop_at:
                raise Interrupted
            return measured[-1]

        weights, met = adapt(rounds, batch_model, clients, SETTINGS, directory, measure, 1)
        return weights, list(met.dev_wer.values())

    whole, heard = after(tmp_path / "whole")
    with pytest.raises(Interrupted):
        after(tmp_path / "parts", stop_at=4)
    parts, resumed = after(tmp_path / "parts")
    assert names < whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    # They move in every round, and every measurement has those of its own round.
    assert resumed == heard
    assert len(set(heard)) == SETTINGS.rounds + 1


def test_a_model_with_group_norm_has_none(model: Transducer, clients: list[Client], tmp_path: Path) -> None:
    state = algorithm(model).init(model)
    assert state.statistics == {}
    weights, _ = adapt(algorithm(model), model, clients, SETTINGS, tmp_path, lambda _: 0.0, 2)
    assert weights.keys() == trainable(model).keys()
    assert set(load_tensors(tmp_path / "state.safetensors")[0]) == {"weights", "fixed", "first", "second"}


def test_dev_and_test_speech_are_recognised_with_the_averaged_statistics(
    batch_model: Transducer,
    clients: list[Client],
    tiny_corpus: Corpus,
    tiny_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tiny_cache))
    model = copy.deepcopy(batch_model)
    with torch.no_grad():
        model.joint.out.bias[BLANK] += 4  # or it would say as many words as it can, whatever it hears
    # Made for other speech: the adaptation gives it the clients' feature statistics.
    foreign = copy.deepcopy(model)
    foreign.feature_mean.add_(1.0)
    fitted = Fit(foreign, {}, Words(), History(), "no training", tmp_path)
    monkeypatch.setattr(computing, "trained_model", lambda run, position: fitted)
    # The weights hardly move, so that the model goes on babbling; the statistics do.
    slow = ServerOptimizerSettings(learning_rate=1e-6)
    settings = SETTINGS.model_copy(update={"client_learning_rate": 1e-6, "server": slow})
    study = AdaptationStudy(
        run=tiny_run("batch"),
        corpus=TINY_CORPUS,
        held_out="short_form",
        plan=NOTHING,
        federated=settings,
        measure_every=2,
    )
    result = computing.measure(study, Store(tmp_path / "records"), 0).result

    rounds = algorithm(model, client_learning_rate=1e-6, server=slow)
    state = rounds.init(model)
    for round_ in range(SETTINGS.rounds):
        state, _ = rounds.apply(state, [clients[k] for k in sample(SETTINGS, len(clients), round_)])

    def heard(tensors: Mapping[str, Tensor], split: Literal["dev", "test"]) -> list[tuple[str, str]]:
        model.load_state_dict(dict(tensors))
        return transcribe(model, evaluation_batches(tiny_corpus, split, study.batch_frames), Words(), CPU)

    assert result["dev_wer"]["4"] == wer(heard(state.model, "dev"))
    hypotheses = [hypothesis for _, hypothesis in heard(state.model, "test")]
    # The record has the clients' test and that of the training, which is the same here.
    assert Spoken.read(result).hypotheses(result["misheard"]) == hypotheses * 2
    stale = state.model | statistics_of(batch_model)
    assert [hypothesis for _, hypothesis in heard(stale, "test")] != hypotheses
    assert wer(heard(stale, "dev")) != result["dev_wer"]["4"]
