"""FedAvg with Federated Dropout, in the manner of FedJAX: an algorithm is `init` and `apply`.

    algorithm = federated_dropout(settings, plan, model_settings, tokenizer)
    state = algorithm.init(model)
    for round_ in range(settings.rounds):
        state, report = algorithm.apply(state, [clients[k] for k in sample(settings, len(clients), round_)])

With a plan that drops nothing it is FedAvg. What is sent may be rounded to few bits (`quantisation`), and clients may
train some of the layers alone (partial variable training, Yang et al. 2022).

Everything random is a function of (seed, round, client's name): the bits are the same for any number of workers, and
plans with one seed meet the same clients, batches and masks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus.tokens import Tokenizer
from paper_lib.federated.averaging import CoordinateMean, ServerState, Weights, server_init, server_step
from paper_lib.federated.clients import (
    Client,
    Participant,
    absence,
    alone,
    answer,
    client_seed,
    clipped,
    compute_gradient,
    local_batches,
    refusal,
    running_statistics,
    trainable,
)
from paper_lib.federated.dropout import (
    Mask,
    coverage,
    draw_mask,
    extract,
    is_trained,
    reused_sub_model,
    scatter,
    shapes_of,
)
from paper_lib.federated.plans import check_layers, check_plan
from paper_lib.federated.quantisation import rounded, rounded_update, transfer_bytes
from paper_lib.federated.updates import LayerUpdates
from paper_lib.jobs import LOCAL, Engine, run_in_order
from paper_lib.settings import BitsPlan, DropoutPlan, FederatedSettings, TransducerSettings
from paper_lib.threads import one_thread

logger = logging.getLogger("paper_lib")


@dataclass(frozen=True)
class RoundReport:
    """What a round moved; bytes are to and from all clients that trained, refused ones included."""

    clients: tuple[str, ...]  # whose updates were averaged; without any, the round was skipped
    refused: tuple[str, ...]  # the others, each with the reason
    utterances: int
    bytes_down: int
    bytes_up: int
    # By encoder layer, as `updates` defines them; empty where no client's update was averaged.
    update_norms: tuple[float, ...] = ()
    disagreements: tuple[float, ...] = ()


class FederatedAlgorithm(NamedTuple):
    """`init` makes the server's state from a model; `apply` is one round with the clients that answer."""

    init: Callable[[Transducer], ServerState]
    apply: Callable[[ServerState, Sequence[Any]], tuple[ServerState, RoundReport]]


class Asked(NamedTuple):
    """What the server asks of a client in a round, from 0."""

    client: Any  # a `Client`; of devices that hold their speech themselves, a `Participant`
    mask: Mask
    round_: int


# Maps the full model, rounded as it is sent, and what is asked to the answers in the same order: by how much the
# weights of a client's sub-model have moved, or why it gives none.
Ask = Callable[[Weights, Sequence[Asked]], Iterator[dict[str, Tensor] | str]]


def federated_dropout(
    settings: FederatedSettings,
    plan: DropoutPlan,
    model_settings: TransducerSettings,
    tokenizer: Tokenizer,
    workers: int = 1,
    bits: BitsPlan | None = None,
    trained: tuple[int, ...] | None = None,
    engine: Engine = LOCAL,
    ask: Ask | None = None,
) -> FederatedAlgorithm:
    """Returns FedAvg in which each client trains the sub-model that `plan` leaves it.

    With `bits` a client receives rounded weights, and the server rounded updates. With `trained` clients move those
    encoder layers alone, from 1, and send no others.
    The server's weight of a client is its number of utterances, for running statistics too. `workers` processes train
    clients side by side, on this machine or by another `engine` on a cluster, each node of which receives the weights
    once a round; updates are added in the order of the clients as they come, and no list of them is kept. A client
    without utterances, that is late or fails, or whose update cannot be used, is refused and reported, and the round
    goes on. With `ask` the clients are no simulation: it asks devices, which `answer`. Raises PlanError and
    ClusterError.
    """
    ask = ask or partial(_ask_here, settings, model_settings, tokenizer, trained, workers, engine)
    check_plan(plan, model_settings.encoder.layers)
    check_layers("bits", bits.bits if bits else (), model_settings.encoder.layers)
    check_layers("trained", trained or (), model_settings.encoder.layers)

    def apply(state: ServerState, clients: Sequence[Participant]) -> tuple[ServerState, RoundReport]:
        full = rounded(state.model, bits)
        absent = {client.name: reason for client in clients if (reason := absence(settings, client))}
        refused = [f"{name}: {reason}" for name, reason in absent.items()]
        training = [client for client in clients if client.name not in absent]
        asked = [
            Asked(client, client_mask(settings, plan, model_settings, state.rounds, client), state.rounds)
            for client in training
        ]
        mean, statistics, accepted = CoordinateMean(), CoordinateMean(), []
        updates = LayerUpdates(model_settings.encoder.layers)
        owed, down, up = dict(state.owed), 0, 0
        for (client, mask, _), moved in zip(asked, ask(full, asked), strict=True):
            shapes = shapes_of(state.learnt, mask)
            down += transfer_bytes(shapes, bits)
            if isinstance(moved, str):
                refused.append(f"{client.name}: {moved}")
                continue
            up += transfer_bytes({name: tensor.shape for name, tensor in moved.items()}, bits)
            if reason := refusal(moved, {name: shapes[name] for name in shapes if is_trained(name, trained)}):
                refused.append(f"{client.name}: {reason}")
            else:
                before = owed.get(client.name, {})
                place = client_seed(settings, state.rounds, f"{client.name}, rounding")
                generator = torch.Generator().manual_seed(place)
                update, lost = rounded_update(moved, bits, generator, extract(before, mask))
                of_weights, of_statistics = (
                    {name: update[name] for name in names if name in update}
                    for names in (state.weights, state.statistics)
                )
                of_weights = clipped(of_weights, settings.update_clip_norm)
                covered = coverage(mask, state.learnt)
                mean.add(scatter(of_weights, mask, state.weights), covered, client.utterances)
                statistics.add(of_statistics, covered, client.utterances)
                if bits and bits.error_feedback:
                    owed[client.name] = _owed(before, lost, mask, state.weights)
                updates.add(of_weights, client.utterances)
                accepted.append(client)
        stepped = server_step(settings.server, state, mean, rate_scale(settings, state.rounds))
        stepped = replace(stepped, statistics=state.statistics | statistics.mean()[0], owed=owed)
        report = _report(state.rounds, accepted, refused, down, up)
        return stepped, replace(report, update_norms=updates.norms(), disagreements=updates.disagreements(mean))

    return FederatedAlgorithm(partial(_init, settings), apply)


def centralised(
    settings: FederatedSettings, model_settings: TransducerSettings, tokenizer: Tokenizer
) -> FederatedAlgorithm:
    """Returns the reference line: a round's speech is pooled, and each batch of it is a step of the server's optimizer.

    It meets the same speech as the clients of its rounds, as often; nothing is sent. Running statistics follow the
    batches, as in any training.
    """

    def apply(state: ServerState, clients: Sequence[Client]) -> tuple[ServerState, RoundReport]:
        everyone = Client("everyone", tuple(item for client in clients for item in client.items))
        seed = client_seed(settings, state.rounds, everyone.name)
        moved = state
        with one_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for items in local_batches(settings, everyone, (seed,)):
                model = reused_sub_model(model_settings, Mask({}))
                model.load_state_dict({name: t.clone() for name, t in moved.model.items()}, assign=True)
                compute_gradient(settings, model.train(), items, tokenizer)
                downhill = {name: -p.grad for name, p in model.named_parameters() if p.grad is not None}
                mean = CoordinateMean()
                mean.add(downhill, coverage(Mask({}), downhill), 1)
                moved = server_step(settings.server, moved, mean, rate_scale(settings, state.rounds))
                moved = replace(moved, statistics=running_statistics(model))
        report = _report(state.rounds, [client for client in clients if client.items], [], 0, 0)
        return replace(moved, rounds=state.rounds + 1), report

    return FederatedAlgorithm(partial(_init, settings), apply)


def rate_scale(settings: FederatedSettings, round_: int) -> float:
    """Returns the share of the server's learning rate in round `round_`, from 0: a plateau, then a linear fall."""
    falling = settings.decay_fraction * settings.rounds
    return min(1.0, (settings.rounds - round_) / falling) if falling else 1.0


def _init(settings: FederatedSettings, model: Transducer) -> ServerState:
    weights, statistics = trainable(model), running_statistics(model)
    fixed = {name: tensor for name, tensor in model.state_dict().items() if name not in weights | statistics}
    return server_init(settings.server, weights, fixed, statistics)


def _report(round_: int, accepted: Sequence[Participant], refused: Sequence[str], down: int, up: int) -> RoundReport:
    for line in refused:
        logger.warning("round %d refuses client %s", round_, line)
    if not accepted:
        logger.warning("round %d is skipped, the model stays as it is: no client answered with an update", round_)
    names, utterances = tuple(client.name for client in accepted), sum(client.utterances for client in accepted)
    return RoundReport(names, tuple(refused), utterances, down, up)


def client_mask(
    settings: FederatedSettings, plan: DropoutPlan, model: TransducerSettings, round_: int, client: Participant
) -> Mask:
    """Returns the units that `client` keeps in round `round_`: its own, or those of all in the round."""
    name = client.name if settings.masks == "client" else ""
    return draw_mask(plan, model, torch.Generator().manual_seed(client_seed(settings, round_, name)))


def _owed(before: Weights, lost: Weights, mask: Mask, full: Weights) -> dict[str, Tensor]:
    """Returns what a client adds to its next updates: of the coordinates that it has just sent, what was `lost`.

    It has the shapes of the `full` model's weights; `before` has them too, or is empty at first.
    """
    held = dict(before) or {name: torch.zeros_like(tensor) for name, tensor in full.items()}
    sent, now = coverage(mask, full), scatter(lost, mask, full)
    return held | {name: torch.where(sent[name] > 0, tensor, held[name]) for name, tensor in now.items()}


def _ask_here(
    settings: FederatedSettings,
    model_settings: TransducerSettings,
    tokenizer: Tokenizer,
    trained: tuple[int, ...] | None,
    workers: int,
    engine: Engine,
    full: Weights,
    asked: Sequence[Asked],
) -> Iterator[dict[str, Tensor] | str]:
    """Trains the clients here, or each machine of a cluster some of them; it cuts their sub-models itself."""
    jobs = (
        (mask, settings, model_settings, client if engine.is_here else alone(client), tokenizer, round_, trained)
        for client, mask, round_ in asked
    )
    return run_in_order(_cut_and_answer, full, jobs, workers, engine)


def _cut_and_answer(
    full: Weights, mask: Mask, settings: FederatedSettings, model_settings: TransducerSettings, *others: Any
) -> dict[str, Tensor] | str:
    return answer(settings, model_settings, extract(full, mask), mask, *others)
