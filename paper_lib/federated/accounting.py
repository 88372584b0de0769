"""What a client saves by a plan of Federated Dropout: parameters, bytes, floating-point operations and memory, exactly.

A multiplication with its addition counts as two operations. All numbers follow from the plan's rates: which units a
client does without makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from paper_lib.conformer.attention import BLOCK
from paper_lib.conformer.loss import transducer_loss
from paper_lib.conformer.sizes import count_parameters
from paper_lib.conformer.transducer import BLANK
from paper_lib.federated.dropout import FEED_FORWARD, draw_mask, sub_model
from paper_lib.federated.plans import check_plan
from paper_lib.settings import MEL_BINS, DropoutPlan, TransducerSettings

FLOAT_BYTES = 4
# A backward pass multiplies by every weight twice: for the gradient of the input and of the weight.
PASSES = 3


@dataclass(frozen=True)
class PlanAccount:
    """What one client holds, receives and computes under a plan."""

    plan: DropoutPlan
    parameters: int  # of the full model, trainable
    dropped: int  # of these, not on the client
    flops: int  # of one training step on one utterance
    memory: int  # bytes that the step needs at most: weights, gradients and what is kept for the backward pass

    @property
    def dropped_share(self) -> float:
        """Parameters dropped, share of the full model's."""
        return self.dropped / self.parameters

    @property
    def transfer(self) -> int:
        """Bytes to a client in one round; as many come back."""
        return FLOAT_BYTES * (self.parameters - self.dropped)


def account(plan: DropoutPlan, settings: TransducerSettings, seconds: float, labels: int) -> PlanAccount:
    """Returns the account of `plan` for a training step on an utterance of `seconds` and `labels`.

    Raises PlanError.
    """
    check_plan(plan, settings.encoder.layers)
    frames = round(100 * seconds)
    return PlanAccount(
        plan=plan,
        parameters=count_parameters(settings).total,
        dropped=dropped_parameters(plan, settings),
        flops=PASSES * forward_flops(plan, settings, frames, labels),
        memory=step_memory(plan, settings, frames, labels),
    )


def dropped_units(plan: DropoutPlan, settings: TransducerSettings) -> list[int]:
    """Returns by layer how many hidden units each of its feed-forward modules does without."""
    hidden = 4 * settings.encoder.dim
    return [round(plan.rate(layer) * hidden) for layer in range(1, settings.encoder.layers + 1)]


def dropped_parameters(plan: DropoutPlan, settings: TransducerSettings) -> int:
    """Returns how many of the full model's parameters a client does without."""
    return sum(len(FEED_FORWARD) * units * (2 * settings.encoder.dim + 1) for units in dropped_units(plan, settings))


def forward_flops(plan: DropoutPlan, settings: TransducerSettings, frames: int, labels: int) -> int:
    """Returns the operations of one forward pass over `frames` of 10 ms and `labels`: products of matrices, kernels.

    Depthwise kernels count as the products that define them, however they are computed.
    """
    encoder, d = settings.encoder, settings.encoder.dim
    channels = encoder.channels or d
    halved, t, u = -(-frames // 2), -(-frames // 4), labels + 1
    subsampling = 9 * channels * 40 * halved + 9 * channels**2 * 20 * t + 20 * channels * d * t
    distances = 2 * t - 1
    blocks, rest = divmod(t, BLOCK)  # of queries whose positions are scored together
    positions = blocks * BLOCK * (t + BLOCK - 1) + rest * (t + rest - 1)
    attention = 4 * d * d * t + d * d * distances + d * (2 * t * t + positions)
    convolution = 3 * d * d * t + encoder.kernel * d * t
    feed_forward = sum(len(FEED_FORWARD) * 2 * d * (4 * d - units) * t for units in dropped_units(plan, settings))
    layers = encoder.layers * (attention + convolution) + feed_forward
    cells = [(settings.embedding if layer == 0 else settings.prediction) for layer in range(settings.lstm_layers or 1)]
    units = settings.lstm_units or settings.prediction
    projection = settings.prediction * units if settings.lstm_units else 0
    prediction = u * sum(4 * units * (inputs + settings.prediction) + projection for inputs in cells)
    joint = settings.joint * (t * d + u * settings.prediction + t * u * settings.vocabulary)
    return 2 * (subsampling + layers + prediction + joint)


def step_memory(plan: DropoutPlan, settings: TransducerSettings, frames: int, labels: int) -> int:
    """Returns the bytes of weights, gradients and all that the forward pass keeps for the backward pass.

    Counted on a model without memory, from what torch would keep; an upper bound of what a client holds at a time, for
    what was kept is given up while the gradients come.
    """
    model = sub_model(settings, draw_mask(plan, settings, torch.Generator())).train()
    weights = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
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
    return 2 * FLOAT_BYTES * weights + sum(kept.values())
