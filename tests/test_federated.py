"""Federated averaging and Federated Dropout: against brute force, against FedAvg, and bit for bit across workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tiny_runs import Words
from torch import Tensor

from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus import Corpus
from paper_lib.corpus.batches import collate
from paper_lib.federated.algorithm import centralised, federated_dropout, rate_scale
from paper_lib.federated.averaging import CoordinateMean, ServerState, server_init, server_step
from paper_lib.federated.clients import (
    Client,
    ClientError,
    client_update,
    local_batches,
    refusal,
    sample,
    trainable,
)
from paper_lib.federated.dropout import (
    Mask,
    coverage,
    draw_mask,
    extract,
    scatter,
    shapes_of,
    sub_model,
)
from paper_lib.federated.plans import PlanError, check_plan
from paper_lib.settings import DropoutPlan, FederatedSettings, ServerOptimizerSettings

HALF = DropoutPlan(name="half of layer 2", rates={2: 0.5})
NOTHING = DropoutPlan(name="none")
SETTINGS = FederatedSettings(rounds=2, clients_per_round=3, local_batch_frames=400, seed=5)


def mask_of(model: Transducer, plan: DropoutPlan = HALF, seed: int = 0) -> Mask:
    return draw_mask(plan, model.settings, torch.Generator().manual_seed(seed))


def after_rounds(
    model: Transducer, clients: Sequence[Client], plan: DropoutPlan, rounds: int = 2, workers: int = 1, **changes: Any
) -> ServerState:
    settings = SETTINGS.model_copy(update=changes)
    algorithm = federated_dropout(settings, plan, model.settings, Words(), workers)
    state = algorithm.init(model)
    for round_ in range(rounds):
        chosen = [clients[k] for k in sample(settings, len(clients), round_)]
        state, _ = algorithm.apply(state, chosen)
    return state


def test_clients_are_the_speakers_with_their_own_utterances(clients: list[Client], tiny_corpus: Corpus) -> None:
    everything = [u.id for k in range(tiny_corpus.shards("train")) for u in tiny_corpus.shard("train", k).utterances]
    owned = [shard.utterances[index] for client in clients for shard, index in client.items]
    assert sorted(u.id for u in owned) == sorted(everything)
    assert len(clients) == 3
    assert all(shard.utterances[i].speaker == client.name for client in clients for shard, i in client.items)


def test_extract_then_scatter_gives_back_what_was_kept_and_nothing_else(model: Transducer) -> None:
    mask, full = mask_of(model), trainable(model)
    back, covered = scatter(extract(full, mask), mask, full), coverage(mask, full)
    assert back.keys() == full.keys()
    for name, tensor in full.items():
        assert torch.equal(back[name], tensor * covered[name]), name
    dropped = {name for name in full if (covered[name] == 0).any()}
    assert dropped == {
        f"encoder.layers.1.{f}.{p}" for f in ("ffn1", "ffn2") for p in ("w1.weight", "w1.bias", "w2.weight")
    }


@torch.inference_mode()
def test_a_sub_model_computes_what_the_full_one_does_with_the_dropped_units_at_zero(
    model: Transducer, clients: list[Client]
) -> None:
    mask = mask_of(model)
    smaller = sub_model(model.settings, mask)
    smaller.load_state_dict(extract(model.state_dict(), mask), assign=True)
    zeroed = Transducer(model.settings)
    state = model.state_dict()
    covered = coverage(mask, state)
    # The unit is silent when its way out is zero.
    zeroed.load_state_dict({n: t * covered[n] if n.endswith("w2.weight") else t for n, t in state.items()})
    batch = collate(clients[0].items[:3], Words())
    ours, _ = smaller.eval().encode(batch.features, batch.frames)
    theirs, _ = zeroed.eval().encode(batch.features, batch.frames)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(ours, model.eval().encode(batch.features, batch.frames)[0], atol=1e-3)
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in model.parameters())


def test_a_plan_that_drops_nothing_is_federated_averaging_bit_for_bit(model: Transducer, clients: list[Client]) -> None:
    settings = SETTINGS.model_copy(update={"server": ServerOptimizerSettings(kind="sgd", learning_rate=1.0)})
    state = after_rounds(model, clients, NOTHING, rounds=1, server=settings.server)
    # FedAvg by hand: the mean of the clients' models, weighted by their utterances.
    weights = trainable(model)
    total, mean = 0, {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    for k in sample(settings, len(clients), 0):
        client = clients[k]
        seed = _seed_of(client)
        update = client_update(
            settings,
            model.settings,
            dict(model.state_dict()),
            Mask({}),
            local_batches(settings, client, (seed,)),
            Words(),
            seed,
        )
        total += len(client.items)
        mean = {name: mean[name].add(update[name], alpha=len(client.items)) for name in mean}
    for name, tensor in weights.items():
        assert torch.equal(state.weights[name], tensor + mean[name] / total), name
    # A bias of the keys shifts all of a query's scores alike, so it has no gradient.
    still = [name for name, tensor in weights.items() if torch.equal(state.weights[name], tensor)]
    assert all(name.endswith("attention.k.bias") for name in still)


def _seed_of(client: Client) -> int:
    from paper_lib.federated.algorithm import client_seed

    return client_seed(SETTINGS, 0, client.name)


def test_coordinates_are_averaged_over_the_clients_that_had_them() -> None:
    rng = np.random.default_rng(0)
    updates, covers, weights = rng.normal(size=(4, 5, 3)), rng.integers(0, 2, (4, 5)), [1.0, 2.0, 3.0, 4.0]
    covers[:, 0] = 0
    mean = CoordinateMean()
    for update, cover, weight in zip(updates, covers, weights, strict=True):
        covered = torch.tensor(cover, dtype=torch.float)[:, None]
        mean.add({"w": torch.tensor(update, dtype=torch.float) * covered}, {"w": covered}, weight)
    found, touched = mean.mean()
    for row in range(5):
        having = [k for k in range(4) if covers[k, row]]
        assert bool(touched["w"][row, 0]) == bool(having)
        for column in range(3):
            total = sum(weights[k] for k in having)
            expected = sum(weights[k] * updates[k, row, column] for k in having) / total if having else 0.0
            assert float(found["w"][row, column]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        ServerOptimizerSettings(kind="sgd", learning_rate=0.5, momentum=0.9, weight_decay=0.1),
        ServerOptimizerSettings(kind="adam", learning_rate=0.5, weight_decay=0.1),
    ],
)
def test_what_nobody_trained_stays_under_momentum_and_weight_decay(settings: ServerOptimizerSettings) -> None:
    def step(state: ServerState, covered: Tensor) -> ServerState:
        mean = CoordinateMean()
        mean.add({"w": torch.ones(3) * covered}, {"w": covered}, 2.0)
        return server_step(settings, state, mean)

    state = step(server_init(settings, {"w": torch.full((3,), 7.0)}), torch.tensor([1.0, 1.0, 0.0]))
    after = step(state, torch.tensor([1.0, 0.0, 0.0]))
    assert after.weights["w"][2] == 7.0
    assert after.weights["w"][1] == state.weights["w"][1] != 7.0
    assert after.weights["w"][0] != state.weights["w"][0]
    for moment in after.moments:
        assert after.moments[moment]["w"][1] == state.moments[moment]["w"][1] != 0
        assert after.moments[moment]["w"][2] == 0


def test_adam_and_momentum_are_torchs_where_everything_is_trained() -> None:
    updates = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    for settings in (
        ServerOptimizerSettings(kind="sgd", learning_rate=0.3, momentum=0.8),
        ServerOptimizerSettings(kind="sgd", learning_rate=0.3),
    ):
        state = server_init(settings, {"w": torch.zeros(6)})
        parameter = torch.zeros(6, requires_grad=True)
        theirs = torch.optim.SGD([parameter], lr=0.3, momentum=settings.momentum)
        for update in updates:
            mean = CoordinateMean()
            mean.add({"w": update}, {"w": torch.ones(())}, 3.0)
            state = server_step(settings, state, mean)
            parameter.grad = -update
            theirs.step()
        torch.testing.assert_close(state.weights["w"], parameter.detach())


def test_no_client_no_step(model: Transducer) -> None:
    algorithm = federated_dropout(SETTINGS, HALF, model.settings, Words())
    state = algorithm.init(model)
    after, report = algorithm.apply(state, [])
    assert after.rounds == 1
    assert all(torch.equal(after.weights[name], tensor) for name, tensor in state.weights.items())
    assert (report.clients, report.bytes_up) == ((), 0)


def test_a_skipped_round_is_said_so(model: Transducer, caplog: pytest.LogCaptureFixture) -> None:
    algorithm = federated_dropout(SETTINGS, HALF, model.settings, Words())
    algorithm.apply(algorithm.init(model), [])
    assert "round 0 is skipped, the model stays as it is: no client answered with an update" in caplog.text


def deafened(client: Client) -> Client:
    """Returns the client with a broken microphone: all of its features are NaN."""
    shard = client.items[0][0]
    broken = replace(shard, matrix=np.full_like(shard.matrix, np.nan))
    return Client("broken", tuple((broken, index) for owner, index in client.items if owner is shard))


def test_a_client_that_cannot_be_used_is_refused_and_the_round_goes_on(
    model: Transducer, clients: list[Client], caplog: pytest.LogCaptureFixture
) -> None:
    algorithm = federated_dropout(SETTINGS, NOTHING, model.settings, Words())
    state = algorithm.init(model)
    alone, _ = algorithm.apply(state, clients[:1])
    after, report = algorithm.apply(state, [Client("silent", ()), deafened(clients[1]), clients[0]])
    assert report.clients == (clients[0].name,)
    assert report.utterances == len(clients[0].items)
    silent, broken = report.refused
    assert silent == "silent: it has no utterances"
    assert broken.startswith("broken: its update of ")
    assert broken.endswith(" is not finite")
    assert report.bytes_up == 2 * 4 * sum(tensor.numel() for tensor in state.weights.values())
    assert all(torch.equal(after.weights[name], tensor) for name, tensor in alone.weights.items())
    assert "round 0 refuses client silent: it has no utterances" in caplog.text


def test_an_update_of_another_shape_or_of_other_weights_is_refused(model: Transducer) -> None:
    weights = trainable(model)
    shapes = shapes_of(weights, mask_of(model))
    good = extract(weights, mask_of(model))
    assert {name: tensor.shape for name, tensor in good.items()} == shapes
    assert refusal(good, shapes) is None
    name = "encoder.layers.1.ffn1.w1.bias"
    assert refusal({**good, name: weights[name]}, shapes) == f"its update of {name} has shape [64] instead of [32]"
    fewer = {other: tensor for other, tensor in good.items() if other != name}
    assert refusal(fewer, shapes) == f"its update lacks {name}"
    assert refusal({**good, "extra": torch.ones(1)}, shapes) == "its update has a foreign extra"
    assert refusal({**good, name: good[name] * torch.inf}, shapes) == f"its update of {name} is not finite"


def test_centralised_training_takes_a_step_of_the_server_a_batch(model: Transducer, clients: list[Client]) -> None:
    server = ServerOptimizerSettings(kind="sgd", learning_rate=0.1)
    settings = SETTINGS.model_copy(update={"local_batch_frames": 100_000, "clip_norm": 1e9, "server": server})
    # All speech in one batch: what a single client with it would do in one step of SGD.
    everyone = Client("everyone", tuple(item for client in clients for item in client.items))
    same = settings.model_copy(update={"client_learning_rate": 0.1})
    (batch,) = local_batches(same, everyone, (0,))
    still = model.settings.model_copy(update={"encoder": model.settings.encoder.model_copy(update={"dropout": 0.0})})
    without = centralised(settings, still, Words())
    tuned, report = without.apply(without.init(model), clients)
    update = client_update(same, still, dict(model.state_dict()), Mask({}), [batch], Words(), 0)
    for name, tensor in trainable(model).items():
        torch.testing.assert_close(tuned.weights[name], tensor + update[name], rtol=1e-3, atol=1e-5)
    assert (tuned.rounds, report.bytes_up, report.utterances) == (1, 0, len(everyone.items))


def test_a_round_changes_the_weights_and_only_those_that_some_client_had(
    model: Transducer, clients: list[Client]
) -> None:
    before = trainable(model)
    state = after_rounds(model, clients, HALF, rounds=1, masks="round")
    touched = before["encoder.layers.1.ffn1.w1.weight"] != state.weights["encoder.layers.1.ffn1.w1.weight"]
    rows = touched.any(1)
    assert int(rows.sum()) == 32  # half of 4 x 16
    assert (before["encoder.layers.0.ffn1.w1.weight"] != state.weights["encoder.layers.0.ffn1.w1.weight"]).any(1).all()
    by_client = after_rounds(model, clients, HALF, rounds=1)
    many = before["encoder.layers.1.ffn1.w1.weight"] != by_client.weights["encoder.layers.1.ffn1.w1.weight"]
    assert 32 < int(many.any(1).sum()) <= 64


@pytest.mark.book
def test_the_number_of_workers_changes_no_bit(model: Transducer, clients: list[Client]) -> None:
    alone, beside = (after_rounds(model, clients, HALF, rounds=1, workers=workers) for workers in (1, 2))
    assert all(torch.equal(alone.weights[name], tensor) for name, tensor in beside.weights.items())


def test_bytes_are_those_of_the_smaller_model(model: Transducer, clients: list[Client]) -> None:
    sizes = {}
    for plan in (NOTHING, HALF):
        algorithm = federated_dropout(SETTINGS, plan, model.settings, Words())
        _, report = algorithm.apply(algorithm.init(model), clients[:2])
        assert report.bytes_down == report.bytes_up
        sizes[plan.name] = report.bytes_up / 2 / 4
    dim, hidden = 16, 64
    dropped = 2 * (hidden // 2) * (2 * dim + 1)  # two modules: rows of W1 with their bias, columns of W2
    assert sizes["none"] == sum(tensor.numel() for tensor in trainable(model).values())
    assert sizes["none"] - sizes[HALF.name] == dropped


def test_clients_are_sampled_alike_for_every_plan_and_fail_at_their_rate() -> None:
    settings = FederatedSettings(rounds=1, clients_per_round=20, failure_rate=0.3, seed=2)
    rounds = [sample(settings, 40, round_) for round_ in range(300)]
    assert rounds[7] == sample(settings, 40, 7) != rounds[8]
    assert all(len(set(chosen)) == len(chosen) <= 20 for chosen in rounds)
    assert np.mean([len(chosen) for chosen in rounds]) == pytest.approx(14, abs=0.5)


def test_the_servers_rate_falls_over_the_last_rounds_to_zero() -> None:
    settings = FederatedSettings(rounds=8, clients_per_round=1, decay_fraction=0.5)
    assert [rate_scale(settings, round_) for round_ in range(8)] == [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert rate_scale(settings.model_copy(update={"decay_fraction": 0.0}), 7) == 1
    sgd = ServerOptimizerSettings(kind="sgd", learning_rate=1.0)
    mean = CoordinateMean()
    mean.add({"w": torch.ones(1)}, {"w": torch.ones(())}, 1.0)
    state = server_init(sgd, {"w": torch.zeros(1)})
    half, whole = (server_step(sgd, state, mean, scale).weights["w"] for scale in (0.5, 1.0))
    assert float(half) == 0.5 * float(whole)


def test_more_clients_than_there_are_is_refused() -> None:
    with pytest.raises(ClientError, match="clients_per_round is 3; there are 2 clients"):
        sample(SETTINGS, 2, 0)


def test_a_plan_with_a_layer_that_is_not_there_is_refused(model: Transducer) -> None:
    with pytest.raises(PlanError, match="there is no layer 9; the model has layers 1 to 2"):
        check_plan(DropoutPlan(name="x", rates={9: 0.5}), 2)
    with pytest.raises(PlanError, match="no layer 9"):
        mask_of(model, DropoutPlan(name="x", rates={9: 0.5}))
    with pytest.raises(ValidationError, match="less than 1"):
        DropoutPlan(name="x", rates={1: 1.0})
