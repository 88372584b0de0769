"""Federated averaging: a mean over clients that needs no list of them, and what the server does with it.

    state = algorithm.init(weights)
    for clients in sampled:
        state, report = algorithm.apply(state, clients)

Sub-models of Federated Dropout return updates of the coordinates that they had. The mean is per coordinate, over the
clients that trained it; a coordinate that nobody trained in a round stays as it is, whatever momentum or weight decay
would have done to it.
"""

from __future__ import annotations

from collections.abc import Mapping
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
        mean = {
            name: torch.where(touched[name], total / self.weight[name].clamp(min=1e-12), 0)
            for name, total in self.total.items()
        }
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
    weights = dict(state.weights)
    moments = {moment: dict(tensors) for moment, tensors in state.moments.items()}
    for name, update in updates.items():
        step = _direction(settings, moments, name, update, touched[name])
        if settings.weight_decay:
            step = step - settings.weight_decay * weights[name]
        weights[name] = torch.where(touched[name], weights[name] + scale * settings.learning_rate * step, weights[name])
    return ServerState(weights, moments, state.fixed, state.rounds + 1)


def _direction(
    settings: ServerOptimizerSettings,
    moments: dict[str, dict[str, Tensor]],
    name: str,
    update: Tensor,
    touched: Tensor,
) -> Tensor:
    """Returns the optimizer's direction for one parameter and moves its moments, where they are `touched`."""

    def moved(moment: str, value: Tensor) -> Tensor:
        moments[moment][name] = torch.where(touched, value, moments[moment][name])
        return moments[moment][name]

    if settings.kind == "sgd":
        if not settings.momentum:
            return update
        return moved("momentum", settings.momentum * moments["momentum"][name] + update)
    first, second = settings.betas
    mean = moved("first", first * moments["first"][name] + (1 - first) * update)
    square = moved("second", second * moments["second"][name] + (1 - second) * update * update)
    return mean / (square.sqrt() + settings.epsilon)
