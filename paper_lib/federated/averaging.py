"""Federated averaging: a mean over clients that needs no list of them, and what the server does with it.

    state = algorithm.init(weights)
    for clients in sampled:
        state, report = algorithm.apply(state, clients)

Sub-models of Federated Dropout return updates of the coordinates that they had. The mean is per coordinate, over the
clients that trained it; a coordinate that nobody trained in a round stays as it is, whatever momentum or weight decay
would have done to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from paper_lib.settings import ServerOptimizerSettings

Weights = Mapping[str, Tensor]


@dataclass
class CoordinateMean:
    """A running mean of updates, weighted per coordinate; as large as two models, however many clients there are."""

    total: dict[str, Tensor] = field(default_factory=dict)
    weight: dict[str, Tensor] = field(default_factory=dict)

    def add(self, update: Weights, covered: Weights, weight: float) -> None:
        """Adds one client's `update`, zero where it has not trained, with its `covered` coordinates (0 or 1)."""
        for name, tensor in update.items():
            share = weight * covered[name]
            if name in self.total:
                self.total[name] = self.total[name] + weight * tensor
                self.weight[name] = self.weight[name] + share
            else:
                self.total[name], self.weight[name] = weight * tensor, share

    def mean(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Returns the mean update and, by name, which coordinates have one (boolean, in broadcast shape)."""
        touched = {name: weight > 0 for name, weight in self.weight.items()}
        mean: dict[str, Tensor] = {}
        for name, total in self.total.items():
            weight = self.weight[name]
            if weight.dim() == 0:  # all of it was trained by every client, as most parameters are
                mean[name] = total / float(weight) if weight > 0 else torch.zeros_like(total)
            else:
                mean[name] = torch.where(touched[name], total / weight.clamp(min=1e-12), 0)
        return mean, touched


@dataclass(frozen=True)
class ServerState:
    """The full model and the server optimizer's moments, after some rounds."""

    weights: dict[str, Tensor]  # what clients train
    moments: dict[str, dict[str, Tensor]]
    fixed: dict[str, Tensor] = field(default_factory=dict)  # buffers, and what nobody trains
    rounds: int = 0


def server_init(settings: ServerOptimizerSettings, weights: Weights, fixed: Weights | None = None) -> ServerState:
    """Returns the state before the first round, with copies of `weights` and of what stays `fixed`."""
    names = {"sgd": ("momentum",) if settings.momentum else (), "adam": ("first", "second")}[settings.kind]
    moments = {moment: {name: torch.zeros_like(tensor) for name, tensor in weights.items()} for moment in names}
    return ServerState(
        {name: tensor.clone() for name, tensor in weights.items()},
        moments,
        {name: tensor.detach().clone() for name, tensor in (fixed or {}).items()},
    )


def server_step(
    settings: ServerOptimizerSettings, state: ServerState, mean: CoordinateMean, scale: float = 1.0
) -> ServerState:
    """Returns the state after a step along the clients' mean update; without any client, `state` but for the count.

    `scale` is the share of the learning rate that this round has.
    SGD adds the update, times the learning rate; Adam normalises it (Reddi et al. 2021, algorithm 2, without bias
    correction).
    """
    updates, touched = mean.mean()
    names = list(updates)
    if not names:
        return ServerState(state.weights, state.moments, state.fixed, state.rounds + 1)
    # All parameters as one vector: hundreds of small operations would take as long as a client trains.
    update = _flat(updates, names)
    there = torch.cat([touched[name].expand(updates[name].shape).flatten() for name in names])
    weights = _flat(state.weights, names)
    moments = {moment: _flat(tensors, names) for moment, tensors in state.moments.items()}
    step, moved_moments = _direction(settings, moments, update)
    if settings.weight_decay:
        step = step - settings.weight_decay * weights
    moved = torch.where(there, weights + scale * settings.learning_rate * step, weights)
    return ServerState(
        state.weights | _pieces(moved, updates),
        {
            moment: state.moments[moment] | _pieces(torch.where(there, value, moments[moment]), updates)
            for moment, value in moved_moments.items()
        },
        state.fixed,
        state.rounds + 1,
    )


def _flat(tensors: Weights, names: Sequence[str]) -> Tensor:
    return torch.cat([tensors[name].flatten() for name in names])


def _pieces(flat: Tensor, like: Weights) -> dict[str, Tensor]:
    pieces = flat.split([tensor.numel() for tensor in like.values()])
    return {name: piece.view(tensor.shape) for (name, tensor), piece in zip(like.items(), pieces, strict=True)}


def _direction(
    settings: ServerOptimizerSettings, moments: Mapping[str, Tensor], update: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Returns the optimizer's direction along `update` and its moments after it."""
    if settings.kind == "sgd":
        if not settings.momentum:
            return update, {}
        momentum = settings.momentum * moments["momentum"] + update
        return momentum, {"momentum": momentum}
    first, second = settings.betas
    mean = first * moments["first"] + (1 - first) * update
    square = second * moments["second"] + (1 - second) * update * update
    return mean / (square.sqrt() + settings.epsilon), {"first": mean, "second": square}
