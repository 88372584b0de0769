"""What a client saves: parameters, bytes, floating-point operations and memory, exactly.

It may leave out units (a plan of Federated Dropout), receive and send few bits a weight, and train some layers alone.
A multiplication with its addition counts as two operations. Which units a client does without makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from paper_lib.conformer.attention import BLOCK
from paper_lib.conformer.loss import transducer_loss
from paper_lib.conformer.sizes import count_parameters
from paper_lib.conformer.skeleton import skeleton
from paper_lib.conformer.transducer import BLANK, Transducer
from paper_lib.federated.clients import running_statistics, trainable
from paper_lib.federated.dropout import FEED_FORWARD, draw_mask, is_trained, shapes_of, sub_model
from paper_lib.federated.plans import check_layers, check_plan
from paper_lib.federated.quantisation import FLOAT_BYTES, transfer_bytes
from paper_lib.settings import MEL_BINS, BitsPlan, DropoutPlan, TransducerSettings

# A backward pass multiplies by every weight twice: for the gradient of the input and of the weight.
PASSES = 3
# A short utterance: its seconds, and its characters.
SHORT = (1.5, 25)


@dataclass(frozen=True)
class PlanAccount:
    """What one client holds, receives, computes and sends."""

    plan: DropoutPlan
    parameters: int  # of the full model, trainable
    dropped: int  # of these, not on the client
    flops: int  # of one training step on one utterance
    memory: int  # bytes that the step needs at most: weights, gradients and what is kept for the backward pass
    down: int  # bytes to the client in one round
    up: int  # bytes that it sends back

    @property
    def dropped_share(self) -> float:
        """Parameters dropped, share of the full model's."""
        return self.dropped / self.parameters


def account(
    plan: DropoutPlan,
    settings: TransducerSettings,
    seconds: float,
    labels: int,
    bits: BitsPlan | None = None,
    trained: tuple[int, ...] | None = None,
) -> PlanAccount:
    """Returns the account of `plan` for a training step on an utterance of `seconds` and `labels`.

    `bits` and `trained` as in `federated_dropout`. Raises PlanError.
    """
    check_plan(plan, settings.encoder.layers)
    check_layers("bits", bits.bits if bits else (), settings.encoder.layers)
    check_layers("trained", trained or (), settings.encoder.layers)
    frames = round(100 * seconds)
    down, up = transfer(plan, settings, bits, trained)
    return PlanAccount(
        plan=plan,
        parameters=count_parameters(settings).total,
        dropped=dropped_parameters(plan, settings),
        flops=step_flops(plan, settings, frames, labels, trained),
        memory=step_memory(plan, settings, frames, labels, trained),
        down=down,
        up=up,
    )


def transfer(
    plan: DropoutPlan,
    settings: TransducerSettings,
    bits: BitsPlan | None = None,
    trained: tuple[int, ...] | None = None,
) -> tuple[int, int]:
    """Returns the bytes to a client in one round, and those that it sends back."""
    shapes = shapes_of(_travelling(settings), draw_mask(plan, settings, torch.Generator()))
    sent = {name: shape for name, shape in shapes.items() if is_trained(name, trained)}
    return transfer_bytes(shapes, bits), transfer_bytes(sent, bits)


@cache
def _travelling(settings: TransducerSettings) -> dict[str, Tensor]:
    """Returns by name, without their values, all tensors of a whole model that its clients receive."""
    with skeleton():
        model = Transducer(settings)
    return trainable(model) | running_statistics(model)


def dropped_units(plan: DropoutPlan, settings: TransducerSettings) -> list[int]:
    """Returns by layer how many hidden units each of its feed-forward modules does without."""
    hidden = 4 * settings.encoder.dim
    return [round(plan.rate(layer) * hidden) for layer in range(1, settings.encoder.layers + 1)]


def dropped_parameters(plan: DropoutPlan, settings: TransducerSettings) -> int:
    """Returns how many of the full model's parameters a client does without."""
    return sum(dropped_units(plan, settings)) * _unit_parameters(settings)


def _unit_parameters(settings: TransducerSettings) -> int:
    """Returns the parameters of a hidden unit in each feed-forward module of a layer."""
    return len(FEED_FORWARD) * (2 * settings.encoder.dim + 1)


class _LayerFlops(NamedTuple):
    """Multiplications with their additions in the forward pass of a layer."""

    weights: int  # by matrices and kernels, of frames
    sinusoids: int  # by a matrix, of what no weight comes before
    content: int  # of queries and keys, scores and values
    places: int  # of queries and projected sinusoids


class _Flops(NamedTuple):
    """The same in the forward pass of a transducer."""

    subsampling: int
    layers: tuple[_LayerFlops, ...]
    prediction: int  # up to the joint network's sum
    joint: int  # of the encoder's output, and of the sum


def forward_flops(plan: DropoutPlan, settings: TransducerSettings, frames: int, labels: int) -> int:
    """Returns the operations of one forward pass over `frames` of 10 ms and `labels`: products of matrices, kernels.

    Depthwise kernels count as the products that define them, however they are computed.
    """
    parts = _forward(plan, settings, frames, labels)
    return 2 * (parts.subsampling + sum(map(sum, parts.layers)) + parts.prediction + parts.joint)


def step_flops(
    plan: DropoutPlan,
    settings: TransducerSettings,
    frames: int,
    labels: int,
    trained: tuple[int, ...] | None = None,
) -> int:
    """Returns the operations of a training step: forward and backward.

    Where only some layers are `trained`, the backward pass ends at the lowest of them, and has no gradients of the
    weights of the others.
    """
    if trained is None:
        return PASSES * forward_flops(plan, settings, frames, labels)
    parts = _forward(plan, settings, frames, labels)
    # Forward, and of what lies on the way back: once more, or twice where both factors have a gradient.
    total = parts.subsampling + parts.prediction + 2 * parts.joint
    for index, layer in enumerate(parts.layers, 1):
        if index in trained:
            total += PASSES * sum(layer)
        elif index > min(trained):
            total += 2 * layer.weights + layer.sinusoids + PASSES * layer.content + 2 * layer.places
        else:
            total += sum(layer)
    return 2 * total


def _forward(plan: DropoutPlan, settings: TransducerSettings, frames: int, labels: int) -> _Flops:
    encoder, d = settings.encoder, settings.encoder.dim
    channels = encoder.channels or d
    halved, t, u = -(-frames // 2), -(-frames // 4), labels + 1
    blocks, rest = divmod(t, BLOCK)  # of queries whose positions are scored together
    positions = blocks * BLOCK * (t + BLOCK - 1) + rest * (t + rest - 1)
    attention_and_convolution = 4 * d * d * t + 3 * d * d * t + encoder.kernel * d * t
    layers = tuple(
        _LayerFlops(
            weights=attention_and_convolution + len(FEED_FORWARD) * 2 * d * (4 * d - units) * t,
            sinusoids=d * d * (2 * t - 1),
            content=2 * d * t * t,
            places=d * positions,
        )
        for units in dropped_units(plan, settings)
    )
    cells = [(settings.embedding if layer == 0 else settings.prediction) for layer in range(settings.lstm_layers or 1)]
    units = settings.lstm_units or settings.prediction
    projection = settings.prediction * units if settings.lstm_units else 0
    prediction = u * sum(4 * units * (inputs + settings.prediction) + projection for inputs in cells)
    return _Flops(
        subsampling=9 * channels * 40 * halved + 9 * channels**2 * 20 * t + 20 * channels * d * t,
        layers=layers,
        prediction=prediction + settings.joint * u * settings.prediction,
        joint=settings.joint * (t * d + t * u * settings.vocabulary),
    )


def step_memory(
    plan: DropoutPlan,
    settings: TransducerSettings,
    frames: int,
    labels: int,
    trained: tuple[int, ...] | None = None,
) -> int:
    """Returns the bytes of weights, gradients and all that the forward pass keeps for the backward pass.

    Counted on a model without memory, from what torch would keep; an upper bound of what a client holds at a time, for
    what was kept is given up while the gradients come. Below the lowest layer that is `trained` nothing is kept.
    """
    count, units = count_parameters(settings), dropped_units(plan, settings)
    weights = gradients = count.total - dropped_parameters(plan, settings)
    if trained is None:
        # Layers are alike, and keep as much for one unit as for another: short models tell of deep ones.
        one, two = (_kept((0,) * layers, settings, frames, labels) for layers in (1, 2))
        quarter = settings.encoder.dim
        of_unit = (one - _kept((quarter,), settings, frames, labels)) // quarter
        kept = one + (len(units) - 1) * (two - one) - sum(units) * of_unit
    else:
        kept = _kept(tuple(units), settings, frames, labels, trained)
        gradients = sum(count.layer - units[layer - 1] * _unit_parameters(settings) for layer in trained)
    return FLOAT_BYTES * (weights + gradients) + kept


@cache
def _kept(
    units: tuple[int, ...],
    settings: TransducerSettings,
    frames: int,
    labels: int,
    trained: tuple[int, ...] | None = None,
) -> int:
    """Returns the bytes that a model keeps for the backward pass: one with a layer for each number of dropped units."""
    encoder = settings.encoder.model_copy(update={"layers": len(units)})
    settings = settings.model_copy(update={"encoder": encoder})
    rates = {layer: dropped / (4 * encoder.dim) for layer, dropped in enumerate(units, 1)}
    mask = draw_mask(DropoutPlan(name="by layer", rates=rates), settings, torch.Generator())
    model = sub_model(settings, mask, trained=trained).train()
    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept: dict[int, int] = {}
    storages: list[Tensor] = []  # alive, so that no address is used twice

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own and storage._cdata not in kept:
            storages.append(tensor)
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.device("meta"), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        lengths = torch.empty(1, dtype=torch.long)
        targets = torch.empty(1, labels, dtype=torch.long)
        encoded, times = model.encode(torch.empty(1, frames, MEL_BINS), lengths)
        transducer_loss(model.logits(encoded, targets), targets, times, lengths, BLANK)
    return sum(kept.values())
