"""Federated averaging: a mean over clients that needs no list of them, and what the server does with it.

    state = algorithm.init(weights)
    for clients in sampled:
        state, report = algorithm.apply(state, clients)

Sub-models of Federated Dropout return updates of the coordinates that they had. The mean is per coordinate, over the
clients that trained it; a coordinate that nobody trained in a round stays as it is, whatever momentum or weight decay
would have done to it.

BatchNorm's running statistics are no weights: clients send back their own, and the mean of these, weighted alike, takes
the place of the server's. No optimizer has a part in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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
            if name in self.total:
                self.total[name].add_(tensor, alpha=weight)
                self.weight[name] = self.weight[name] + weight * covered[name]
            else:
                self.total[name], self.weight[name] = weight * tensor, weight * covered[name]

    def mean(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Returns the mean update and, by name, which coordinates have one (boolean, in broadcast shape)."""
        touched = {name: weight > 0 for name, weight in self.weight.items()}
        mean = {
            # Where nobody has trained, total is 0 too.
            name: total / self.weight[name].clamp(min=1e-12)
            for name, total in self.total.items()
        }
        return mean, touched


@dataclass(frozen=True)
class ServerState:
    """The full model and the server optimizer's moments, after some rounds."""

    weights: dict[str, Tensor]  # what clients train
    moments: dict[str, dict[str, Tensor]]
    fixed: dict[str, Tensor] = field(default_factory=dict)  # other buffers, and what nobody trains
    rounds: int = 0
    statistics: dict[str, Tensor] = field(default_factory=dict)  # BatchNorm's running ones
    # By client, what rounding took from its updates. It is the client's, and here for the simulation alone.
    owed: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    @property
    def learnt(self) -> dict[str, Tensor]:
        """What clients send back and rounds change."""
        return self.weights | self.statistics

    @property
    def model(self) -> dict[str, Tensor]:
        """The state of the full model."""
        return self.learnt | self.fixed


def server_init(
    settings: ServerOptimizerSettings,
    weights: Weights,
    fixed: Weights | None = None,
    statistics: Weights | None = None,
) -> ServerState:
    """Returns the state before the first round, with copies of `weights`, of what stays `fixed` and of `statistics`."""
    names = {"sgd": ("momentum",) if settings.momentum else (), "adam": ("first", "second")}[settings.kind]
    moments = {moment: {name: torch.zeros_like(tensor) for name, tensor in weights.items()} for moment in names}
    return ServerState(
        {name: tensor.clone() for name, tensor in weights.items()},
        moments,
        {name: tensor.detach().clone() for name, tensor in (fixed or {}).items()},
        statistics={name: tensor.detach().clone() for name, tensor in (statistics or {}).items()},
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
        old = {moment: tensors[name] for moment, tensors in state.moments.items()}
        step, new = _direction(settings, old, update)
        if settings.weight_decay:
            step = step - settings.weight_decay * weights[name]
        moved = weights[name].add(step, alpha=scale * settings.learning_rate)
        if not bool(touched[name].all()):  # seldom: to select costs as much as to compute
            moved = torch.where(touched[name], moved, weights[name])
            new = {moment: torch.where(touched[name], new[moment], old[moment]) for moment in new}
        weights[name] = moved
        for moment, tensor in new.items():
            moments[moment][name] = tensor
    return replace(state, weights=weights, moments=moments, rounds=state.rounds + 1)


def _direction(
    settings: ServerOptimizerSettings, moments: Mapping[str, Tensor], update: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Returns the optimizer's direction for one parameter, and its moments after the step."""
    if settings.kind == "sgd":
        if not settings.momentum:
            return update, {}
        momentum = update.add(moments["momentum"], alpha=settings.momentum)
        return momentum, {"momentum": momentum}
    first = torch.lerp(moments["first"], update, 1 - settings.betas[0])
    second = torch.lerp(moments["second"], update.square(), 1 - settings.betas[1])
    return first / second.sqrt().add_(settings.epsilon), {"first": first, "second": second}
