"""FedAvg with Federated Dropout, in the manner of FedJAX: an algorithm is `init` and `apply`.

    algorithm = federated_dropout(settings, plan, model_settings, tokenizer)
    state = algorithm.init(model)
    for round_ in range(settings.rounds):
        state, report = algorithm.apply(state, [clients[k] for k in sample(settings, len(clients), round_)])

With a plan that drops nothing it is FedAvg. Everything random is a function of (seed, round, client's name): the bits
are the same for any number of workers, and plans with one seed meet the same clients, batches and masks.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import joblib
import numpy as np
import torch
from torch import Tensor

from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus.tokens import Tokenizer
from paper_lib.federated.averaging import CoordinateMean, ServerState, server_init, server_step
from paper_lib.federated.clients import Client, client_update, local_batches, trainable
from paper_lib.federated.dropout import Mask, coverage, draw_mask, extract, scatter
from paper_lib.settings import DropoutPlan, FederatedSettings, TransducerSettings

FLOAT_BYTES = 4


@dataclass(frozen=True)
class RoundReport:
    """What a round moved: clients that answered, their utterances, and bytes to and from all of them."""

    clients: tuple[str, ...]
    utterances: int
    bytes_down: int
    bytes_up: int


class FederatedAlgorithm(NamedTuple):
    """`init` makes the server's state from a model; `apply` is one round with the clients that answer."""

    init: Callable[[Transducer], ServerState]
    apply: Callable[[ServerState, Sequence[Client]], tuple[ServerState, RoundReport]]


def federated_dropout(
    settings: FederatedSettings,
    plan: DropoutPlan,
    model_settings: TransducerSettings,
    tokenizer: Tokenizer,
    workers: int = 1,
) -> FederatedAlgorithm:
    """Returns FedAvg in which each client trains the sub-model that `plan` leaves it.

    The server's weight of a client is its number of utterances. `workers` processes train clients side by side; updates
    are added in the order of the clients as they come, and no list of them is kept.
    """
    fixed: dict[str, Tensor] = {}  # buffers and what is not trained; the server never changes them

    def init(model: Transducer) -> ServerState:
        weights = trainable(model)
        fixed.update({name: t.detach().clone() for name, t in model.state_dict().items() if name not in weights})
        return server_init(settings.server, weights)

    def apply(state: ServerState, clients: Sequence[Client]) -> tuple[ServerState, RoundReport]:
        full = state.weights | fixed
        masks = [_mask(settings, plan, model_settings, state.rounds, client) for client in clients]
        jobs = (
            joblib.delayed(_train_client)(
                settings, model_settings, extract(full, mask), mask, client, tokenizer, state.rounds
            )
            for client, mask in zip(clients, masks, strict=True)
        )
        mean = CoordinateMean()
        down = up = 0
        parallel = joblib.Parallel(n_jobs=workers, return_as="generator", batch_size=1, pre_dispatch=workers)
        for client, mask, update in zip(clients, masks, parallel(jobs), strict=True):
            mean.add(scatter(update, mask, state.weights), coverage(mask, state.weights), len(client.items))
            sent = FLOAT_BYTES * sum(tensor.numel() for tensor in update.values())
            down, up = down + sent, up + sent
        report = RoundReport(
            tuple(client.name for client in clients), sum(len(client.items) for client in clients), down, up
        )
        return server_step(settings.server, state, mean), report

    return FederatedAlgorithm(init, apply)


def _mask(
    settings: FederatedSettings, plan: DropoutPlan, model: TransducerSettings, round_: int, client: Client
) -> Mask:
    name = client.name if settings.masks == "client" else ""
    return draw_mask(plan, model, torch.Generator().manual_seed(_seed(settings, round_, name)))


def _train_client(
    settings: FederatedSettings,
    model_settings: TransducerSettings,
    received: dict[str, Tensor],
    mask: Mask,
    client: Client,
    tokenizer: Tokenizer,
    round_: int,
) -> dict[str, Tensor]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the order of a sum, and so its last bits, depends on their number
    try:
        seed = _seed(settings, round_, client.name)
        batches = local_batches(settings, client, (seed,))
        return client_update(settings, model_settings, received, mask, batches, tokenizer, seed)
    finally:
        torch.set_num_threads(threads)


def _seed(settings: FederatedSettings, round_: int, name: str) -> int:
    place = (settings.seed, round_, zlib.crc32(name.encode()))
    return int(np.random.SeedSequence(place).generate_state(1)[0])
