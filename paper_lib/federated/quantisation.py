"""Uniform symmetric quantisation: what weights and updates become that are sent in few bits.

Matrices and kernels of the encoder's layers are rounded row by row; a row makes one output channel. With b bits and
n = 2^(b - 1) - 1,

    scale = max |w| / n        level = round(w / scale), one of -n, ..., n        received: scale * level

Weights are rounded to the nearest level, updates up or down at random, so that their mean over clients is right (QSGD,
Alistarh et al. 2017, section 3.1). With error feedback (Seide et al. 2014) a client adds to its next update what
rounding took from the last one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from paper_lib.layers.variants import layer_of
from paper_lib.settings import BitsPlan

FLOAT_BYTES = 4


def quantise(x: Tensor, bits: int, generator: torch.Generator | None = None) -> Tensor:
    """Returns `x` [rows, ...] rounded to `bits` bits: to the nearest level, or with a `generator` to either at random.

    Random numbers are drawn on the CPU: they are the same wherever `x` is. What is not finite stays so, with its row.
    """
    most = 2 ** (bits - 1) - 1
    # A row of zeros stays one, whatever its scale.
    scale = (x.flatten(1).abs().amax(1) / most).clamp(min=torch.finfo(x.dtype).tiny)
    if generator is None:
        zero = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(x, scale, zero, 0, -most, most)
    rows = scale.view(-1, *[1] * (x.dim() - 1))
    drawn = torch.rand(x.shape, generator=generator).to(x.device)
    return (x / rows + drawn).floor().clamp(-most, most) * rows


def bits_of(name: str, shape: torch.Size, plan: BitsPlan | None) -> int | None:
    """Returns how many bits a weight of the transducer's tensor `name` has by `plan`; none: it is float32."""
    layer = layer_of(name)
    return plan.of_layer(layer) if plan and layer and _is_rounded(name, shape) else None


def _is_rounded(name: str, shape: torch.Size) -> bool:
    # The attention's biases have two axes, too.
    return name.endswith(".weight") and len(shape) > 1


def rounded(
    tensors: Mapping[str, Tensor], plan: BitsPlan | None, generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """Returns `tensors`, by their names in the transducer, as they are received; rounded as by `quantise`."""
    return {
        name: quantise(tensor, bits, generator) if (bits := bits_of(name, tensor.shape, plan)) else tensor
        for name, tensor in tensors.items()
    }


def rounded_update(
    update: Mapping[str, Tensor], plan: BitsPlan | None, generator: torch.Generator, owed: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Returns a client's `update` as the server receives it, and what rounding took from the tensors that it rounded.

    What it took before, `owed`, of the same shapes, is added first.
    """
    due = {name: tensor + owed[name] if name in owed else tensor for name, tensor in update.items()}
    sent = rounded(due, plan, generator)
    return sent, {name: due[name] - sent[name] for name in due if bits_of(name, due[name].shape, plan)}


def transfer_bytes(shapes: Mapping[str, torch.Size], plan: BitsPlan | None) -> int:
    """Returns the bytes of tensors of these `shapes`: float32, or by `plan` packed bits and a float32 scale a row.

    Each packed tensor begins with a new byte.
    """
    total = 0
    for name, shape in shapes.items():
        if bits := bits_of(name, shape, plan):
            total += math.ceil(bits * shape.numel() / 8) + FLOAT_BYTES * shape[0]
        else:
            total += FLOAT_BYTES * shape.numel()
    return total


def quantised_layer(layer: nn.Module, bits: int) -> nn.Module:
    """Returns a copy of an encoder layer whose matrices and kernels are rounded to the nearest of `bits` bits."""
    small = copy.deepcopy(layer)
    for name, parameter in small.named_parameters():
        if _is_rounded(name, parameter.shape):
            parameter.data = quantise(parameter.data, bits)
    return small
