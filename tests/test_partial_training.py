"""Clients that train some layers alone: the others keep their bits, and what that saves is what torch counts."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from tiny_runs import Words, babbling, tiny_run
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from paper_lib.conformer.loss import transducer_loss
from paper_lib.conformer.transducer import BLANK, Transducer
from paper_lib.corpus import Corpus
from paper_lib.federated.accounting import account, step_flops, step_memory
from paper_lib.federated.algorithm import federated_dropout
from paper_lib.federated.averaging import ServerState
from paper_lib.federated.clients import Client, trainable
from paper_lib.federated.dropout import Mask, draw_mask, sub_model
from paper_lib.federated.plans import PlanError, own_plan
from paper_lib.layers.variants import layer_of
from paper_lib.settings import DropoutPlan, FederatedSettings, ServerOptimizerSettings, StreamingSettings

NOTHING = DropoutPlan(name="none")
SETTINGS = FederatedSettings(
    rounds=2,
    clients_per_round=2,
    local_batch_frames=600,
    server=ServerOptimizerSettings(kind="adam", learning_rate=0.01, weight_decay=0.1),
)


def after(model: Transducer, clients: list[Client], trained: tuple[int, ...] | None, rounds: int = 2) -> ServerState:
    algorithm = federated_dropout(SETTINGS, NOTHING, model.settings, Words(), trained=trained)
    state = algorithm.init(model)
    for _ in range(rounds):
        state, report = algorithm.apply(state, clients[:2])
        of_layers = [norm > 0 for norm in report.update_norms]
        assert of_layers == [trained is None or layer in trained for layer in (1, 2)]
        sent = sum(t.numel() for name, t in state.weights.items() if trained is None or layer_of(name) in trained)
        sent += sum(t.numel() for name, t in state.statistics.items() if trained is None or layer_of(name) in trained)
        assert report.bytes_down == 2 * 4 * sum(t.numel() for t in state.learnt.values())
        assert report.bytes_up == 2 * 4 * sent
    return state


@pytest.mark.parametrize("trained", [(1,), (2,)])
@pytest.mark.parametrize("norm", ["group", "batch"])
def test_what_is_not_trained_keeps_its_bits(
    tiny_corpus: Corpus, clients: list[Client], norm: str, trained: tuple[int, ...]
) -> None:
    model, _ = babbling(norm, tiny_corpus)  # type: ignore[arg-type]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    moved = {name for name, tensor in after(model, clients, trained).model.items() if not tensor.equal(before[name])}
    assert {layer_of(name) for name in moved} == set(trained)
    # After others had all of it trained, in this process, and the other way round.
    assert len(set(map(layer_of, changed(model, before, after(model, clients, None))))) == 3
    assert set(map(layer_of, changed(model, before, after(model, clients, trained)))) == set(trained)


def changed(model: Transducer, before: dict[str, Tensor], state: ServerState) -> list[str]:
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    return [name for name in trainable(model) if not torch.equal(state.weights[name], before[name])]


def test_a_layer_moves_as_it_does_with_all_the_others_while_these_have_not_moved(
    model: Transducer, clients: list[Client]
) -> None:
    # One step of one client without clipping: the gradient of a layer is the same whatever else has one.
    settings = SETTINGS.model_copy(
        update={
            "clip_norm": 1e9,
            "local_batch_frames": 10**6,
            "server": ServerOptimizerSettings(kind="sgd", learning_rate=1.0),
        }
    )
    states = []
    for trained in (None, (2,)):
        algorithm = federated_dropout(settings, NOTHING, model.settings, Words(), trained=trained)
        states.append(algorithm.apply(algorithm.init(model), clients[:1])[0])
    whole, part = states
    for name, tensor in part.weights.items():
        if layer_of(name) == 2:
            torch.testing.assert_close(tensor, whole.weights[name], rtol=1e-5, atol=1e-6)


def test_a_layer_that_is_not_there_is_refused(model: Transducer) -> None:
    with pytest.raises(PlanError, match="trained: there is no layer 3; the model has layers 1 to 2"):
        federated_dropout(SETTINGS, NOTHING, model.settings, Words(), trained=(1, 3))


@pytest.mark.parametrize("trained", [None, (1,), (3,), (2, 4), (4,)])
def test_operations_of_a_step_are_those_that_torch_counts(trained: tuple[int, ...] | None) -> None:
    settings = tiny_run(layers=4, streaming=StreamingSettings(left_context=4)).model
    frames, labels = 1000, 7
    model = sub_model(settings, Mask({}), trained=trained).eval()
    counted = []
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        encoded, _ = model.encode(torch.empty(1, frames, 80), torch.empty(1, dtype=torch.long))
        predicted = torch.empty(1, labels + 1, settings.prediction, requires_grad=trained is None)
        logits = model.joint(model.joint.encoder(encoded)[:, :, None], model.joint.prediction(predicted)[:, None])
        counted.append(counter.get_total_flops())
        logits.sum().backward()
        counted.append(counter.get_total_flops())
    encoder, t = settings.encoder, frames // 4
    # torch counts neither the LSTM nor a product that is added in place, that of queries and keys, nor in the backward
    # pass the gradient of a depthwise kernel, which is a product of spectra. We count those of the features and of the
    # sinusoids, for whole models alone, as if something came before them.
    lstm = 2 * (labels + 1) * 4 * settings.prediction * (settings.embedding + settings.prediction)
    content = 2 * encoder.dim * t * t * encoder.layers
    kernels = 2 * encoder.dim * encoder.kernel * t * (len(trained) if trained else encoder.layers)
    sinusoids = 2 * encoder.dim**2 * (2 * t - 1) * (len(trained) if trained else encoder.layers)
    features = 2 * 9 * 4 * 40 * (frames // 2) if trained is None else 0
    ours = step_flops(NOTHING, settings, frames, labels, trained)
    ours -= (3 if trained is None else 1) * lstm + content + kernels + sinusoids + features
    assert ours == pytest.approx(counted[1], rel=0.02)


@pytest.mark.parametrize("plan", [NOTHING, own_plan("2:0.5 4:0.97 rest:0.25", 4)])
@pytest.mark.parametrize("trained", [None, (1,), (3,), (2, 4)])
def test_memory_of_a_step_is_what_torch_keeps(trained: tuple[int, ...] | None, plan: DropoutPlan) -> None:
    settings = tiny_run(layers=4, streaming=StreamingSettings(left_context=4)).model
    kept: dict[int, int] = {}
    tensors = []

    def keep(tensor: Tensor) -> Tensor:
        tensors.append(tensor)
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    # Real tensors of any values, in the place of those that have none.
    mask = draw_mask(plan, settings, torch.Generator())
    model = sub_model(settings, mask, trained=trained).to_empty(device="cpu").train()
    labels = torch.ones(1, 10, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        encoded, frames = model.encode(torch.randn(1, 200, 80), torch.tensor([200]))
        logits = model.logits(encoded, labels)
        transducer_loss(logits, labels, frames, torch.tensor([10]), BLANK)
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    all_of_it = 4 * sum(tensor.numel() for tensor in trainable(sub_model(settings, mask)).values())
    gradients = 4 * sum(tensor.numel() for tensor in trainable(model).values())
    held = all_of_it + gradients + sum(size for place, size in kept.items() if place not in own)
    assert step_memory(plan, settings, 200, 10, trained) == pytest.approx(held, rel=0.03)


def test_the_higher_the_lowest_trained_layer_the_less_a_client_keeps_and_computes() -> None:
    settings = tiny_run(layers=4, streaming=StreamingSettings(left_context=4)).model
    found = [account(NOTHING, settings, 2.0, 10, trained=(layer,)) for layer in (1, 2, 3, 4)]
    for lower, higher in pairwise(found):
        assert lower.memory > higher.memory
        assert lower.flops > higher.flops
        assert lower.up == higher.up < lower.down == higher.down
