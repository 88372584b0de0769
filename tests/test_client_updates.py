"""What a client does with the units that it keeps, and what a round says of the clients' updates, layer by layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_runs import Words
from torch import Tensor, nn

from paper_lib.conformer.layer import FeedForward
from paper_lib.conformer.loss import transducer_loss
from paper_lib.conformer.transducer import BLANK, Transducer
from paper_lib.corpus.batches import collate
from paper_lib.federated.algorithm import client_mask, client_seed, federated_dropout
from paper_lib.federated.averaging import CoordinateMean
from paper_lib.federated.clients import Client, client_update, local_batches, trainable
from paper_lib.federated.dropout import Mask, coverage, extract, scatter, sub_model
from paper_lib.federated.updates import LayerUpdates
from paper_lib.settings import DropoutPlan, FederatedSettings

SETTINGS = FederatedSettings(rounds=2, clients_per_round=2, local_batch_frames=600)
SCALED = SETTINGS.model_copy(update={"kept_units": "scaled"})
HALF = DropoutPlan(name="half of layer 2", rates={2: 0.5})
NOTHING = DropoutPlan(name="none")


def feed_forward(model: Transducer, kept: Tensor, scaled: bool) -> FeedForward:
    """Returns the first feed-forward module of layer 2 in a sub-model that keeps these of its units."""
    name = "encoder.layers.1.ffn1"
    mask = Mask({name: kept})
    smaller = sub_model(model.settings, mask, scaled)
    smaller.load_state_dict(extract(model.state_dict(), mask), assign=True)
    module = smaller.eval().get_submodule(name)
    assert isinstance(module, FeedForward)
    return module


@pytest.mark.parametrize("parts", [2, 4, 8])
@torch.inference_mode()
def test_scaled_units_give_the_whole_modules_output_on_the_average_over_masks(model: Transducer, parts: int) -> None:
    x = torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0))
    whole = model.eval().get_submodule("encoder.layers.1.ffn1")(x)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    # Masks of which every unit is dropped by one: a share of 1 / parts each.
    kept = [torch.cat(order.chunk(parts)[:k] + order.chunk(parts)[k + 1 :]).sort().values for k in range(parts)]
    scaled, plain = (
        torch.stack([feed_forward(model, units, scaled)(x) for units in kept]).mean(0) for scaled in (True, False)
    )
    torch.testing.assert_close(scaled, whole, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(plain, whole, atol=1e-2)


def test_a_scaled_sub_models_update_is_that_of_the_whole_model_under_inverted_dropout(
    model: Transducer, clients: list[Client]
) -> None:
    encoder = model.settings.encoder.model_copy(update={"dropout": 0.0})
    settings = model.settings.model_copy(update={"encoder": encoder})
    client = clients[0]
    mask = client_mask(SCALED, HALF, settings, 0, client)
    received = extract(model.state_dict(), mask)
    (batch, *_) = local_batches(SCALED, client, (0,))
    sent = client_update(SCALED, settings, received, mask, [batch], Words(), 0)
    # The whole model, the hidden units of layer 2 multiplied by 2 or 0 before W2; one step of SGD.
    whole = Transducer(settings)
    whole.load_state_dict(model.state_dict())
    for name, kept in mask.kept.items():
        factors = torch.zeros(64).index_fill(0, kept, 2.0)
        module = whole.get_submodule(name)
        assert isinstance(module, FeedForward)
        module.w2.register_forward_pre_hook(lambda _, inputs, factors=factors: (inputs[0] * factors,))
    heard = collate(batch, Words())
    encoded, frames = whole.train().encode(heard.features, heard.frames)
    logits = whole.logits(encoded, heard.targets)
    transducer_loss(logits, heard.targets, frames, heard.lengths, BLANK).mean().backward()
    nn.utils.clip_grad_norm_(whole.parameters(), SCALED.clip_norm)
    moved = scatter(sent, mask, trainable(whole))
    for name, parameter in whole.named_parameters():
        if parameter.grad is not None:
            expected = -SCALED.client_learning_rate * parameter.grad
            torch.testing.assert_close(moved[name], expected, rtol=1e-3, atol=1e-6, msg=name)
    unscaled = client_update(SETTINGS, settings, received, mask, [batch], Words(), 0)
    name = "encoder.layers.1.ffn1.w2.weight"
    assert not torch.allclose(sent[name], unscaled[name], rtol=0.1)


@pytest.mark.parametrize("plan", [NOTHING, HALF])
def test_scaling_changes_no_bit_where_nothing_is_dropped(
    model: Transducer, clients: list[Client], plan: DropoutPlan
) -> None:
    after = []
    for settings in (SETTINGS, SCALED):
        algorithm = federated_dropout(settings, plan, model.settings, Words())
        after.append(algorithm.apply(algorithm.init(model), clients[:2])[0].weights)
    same = [torch.equal(after[0][name], after[1][name]) for name in after[0]]
    assert all(same) is (plan == NOTHING)


def updates_of(dense: NDArray[np.float64], covers: NDArray[np.int64], weights: list[float]) -> LayerUpdates:
    """Returns the sums over clients whose updates of layers 1 and 2 are `dense` [clients, layers, coordinates]."""
    updates = LayerUpdates(dense.shape[1])
    for update, cover, weight in zip(dense, covers, weights, strict=True):
        updates.add(_named(update * cover), weight)
    return updates


def mean_of(dense: NDArray[np.float64], covers: NDArray[np.int64], weights: list[float]) -> CoordinateMean:
    mean = CoordinateMean()
    for update, cover, weight in zip(dense, covers, weights, strict=True):
        mean.add(_named(update * cover), _named(cover), weight)
    return mean


def _named(layers: NDArray[np.float64] | NDArray[np.int64]) -> dict[str, Tensor]:
    """Returns every layer's coordinates as two tensors, and a tensor that belongs to no layer."""
    named = {"joint.out.bias": torch.ones(3)}
    for layer, values in enumerate(layers):
        first, second = torch.tensor(values, dtype=torch.float).split([4, len(values) - 4])
        named |= {f"encoder.layers.{layer}.ffn1.w1.weight": first, f"encoder.layers.{layer}.norm.bias": second}
    return named


def test_norms_and_disagreements_are_those_of_the_formulas() -> None:
    rng = np.random.default_rng(0)
    dense, weights = rng.normal(size=(5, 2, 10)) + 1, [1.0, 2.0, 3.0, 4.0, 5.0]
    all_of_it = np.ones((5, 2, 10), int)
    updates = updates_of(dense, all_of_it, weights)
    norms = np.linalg.norm(dense, axis=2)
    assert updates.norms() == pytest.approx(np.average(norms, axis=0, weights=weights), rel=1e-3)
    mean = np.average(dense, axis=0, weights=weights)
    expected = 1 - (mean**2).sum(1) / np.average(norms**2, axis=0, weights=weights)
    assert updates.disagreements(mean_of(dense, all_of_it, weights)) == pytest.approx(expected, abs=1e-4)


def test_a_client_counts_for_the_coordinates_that_it_trained_alone() -> None:
    rng = np.random.default_rng(1)
    dense, weights = rng.normal(size=(5, 2, 10)) + 1, [1.0, 2.0, 3.0, 4.0, 5.0]
    covers = rng.integers(0, 2, (5, 2, 10))
    covers[:, 0, 0], covers[:, 1, 1] = 0, [0, 0, 1, 0, 0]
    found = updates_of(dense, covers, weights).disagreements(mean_of(dense, covers, weights))
    for layer in range(2):
        apart = squares = 0.0
        for place in range(10):
            having = [k for k in range(5) if covers[k, layer, place]]
            if having:
                shares = [weights[k] for k in having]
                values = dense[having, layer, place]
                apart += float(np.sum(shares * (values - np.average(values, weights=shares)) ** 2))
                squares += float(np.sum(shares * values**2))
        assert found[layer] == pytest.approx(apart / squares, abs=1e-4)


@pytest.mark.parametrize(("turn", "expected"), [(1.0, 0.0), (-1.0, 1.0), (0.0, 0.5)])
def test_clients_that_agree_and_that_cancel(turn: float, expected: float) -> None:
    one = np.zeros((2, 10))
    one[:, 0] = 3.0
    other = turn * one
    if turn == 0:
        other[:, 5] = 3.0  # at right angles
    dense, covers = np.stack([one, other]), np.ones((2, 2, 10), int)
    updates = updates_of(dense, covers, [2.0, 2.0])
    assert updates.disagreements(mean_of(dense, covers, [2.0, 2.0])) == (expected, expected)
    assert updates.norms() == (3.0, 3.0)


def test_a_layer_that_nobody_moved_has_no_disagreement() -> None:
    dense, covers = np.zeros((2, 2, 10)), np.ones((2, 2, 10), int)
    dense[:, 1] = 1.0
    updates = updates_of(dense, covers, [1.0, 1.0])
    assert updates.norms()[0] == updates.disagreements(mean_of(dense, covers, [1.0, 1.0]))[0] == 0


@pytest.mark.parametrize("plan", [NOTHING, HALF])
def test_a_round_reports_the_updates_that_its_clients_sent(
    model: Transducer, clients: list[Client], plan: DropoutPlan
) -> None:
    algorithm = federated_dropout(SETTINGS, plan, model.settings, Words())
    _, report = algorithm.apply(algorithm.init(model), clients)
    updates, mean = LayerUpdates(2), CoordinateMean()
    norms = []
    for client in clients:
        mask, seed = client_mask(SETTINGS, plan, model.settings, 0, client), client_seed(SETTINGS, 0, client.name)
        batches = local_batches(SETTINGS, client, (seed,))
        received = extract(model.state_dict(), mask)
        sent = client_update(SETTINGS, model.settings, received, mask, batches, Words(), seed)
        whole = scatter(sent, mask, trainable(model))
        updates.add(whole, len(client.items))
        mean.add(whole, coverage(mask, trainable(model)), len(client.items))
        of_layers = [
            torch.cat([t.flatten() for n, t in whole.items() if n.startswith(f"encoder.layers.{layer}.")])
            for layer in (0, 1)
        ]
        norms.append([float(vector.norm()) for vector in of_layers])
    weights = [len(client.items) for client in clients]
    assert report.update_norms == pytest.approx(np.average(norms, axis=0, weights=weights), rel=1e-3)
    assert report.disagreements == updates.disagreements(mean)
    assert all(0 < value < 1 for value in report.disagreements)


def test_without_clients_there_is_nothing_to_say_of_updates(model: Transducer) -> None:
    algorithm = federated_dropout(SETTINGS, NOTHING, model.settings, Words())
    _, report = algorithm.apply(algorithm.init(model), [])
    assert (report.update_norms, report.disagreements) == ((), ())
