"""Federated Dropout (Caldas et al. 2018): a client trains a physically smaller model.

Hidden units of the two feed-forward modules of a layer are dropped: rows of W1 and b1, columns of W2. b2, the norms and
everything else stay. The sub-model computes what the full model would with those units at zero.

Optionally it multiplies the units that it keeps by hidden / kept, that is 1 / (1 - rate), as inverted dropout does:
W2 s h + b2, of which the mean over masks is the whole module's output. The scale s belongs to the sub-model's forward
pass and to no weight: weights are sent out and come back as they are, and the update of a weight is that of the same
weight of the full model. By the chain rule the gradient of a kept unit's weights is s times as large.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from paper_lib.conformer.layer import FeedForward
from paper_lib.conformer.skeleton import skeleton
from paper_lib.conformer.transducer import Transducer
from paper_lib.federated.plans import check_plan
from paper_lib.layers.variants import layer_of, name_of
from paper_lib.settings import DropoutPlan, TransducerSettings

FEED_FORWARD = ("ffn1", "ffn2")
# The axis of each parameter of a feed-forward module along which its hidden units lie.
_HIDDEN_AXIS = {"w1.weight": 0, "w1.bias": 0, "w2.weight": 1}


@dataclass(frozen=True)
class Mask:
    """The hidden units that a client keeps: sorted indices by the name of the feed-forward module.

    Names are those of the transducer, "encoder.layers.3.ffn1" for example. A module that is not named is whole.
    """

    kept: Mapping[str, Tensor]

    def indices(self, name: str) -> tuple[int, Tensor] | None:
        """Returns the axis and the kept indices along it of the parameter `name`, or nothing where it is whole."""
        return self._cut.get(name)

    @cached_property
    def _cut(self) -> dict[str, tuple[int, Tensor]]:
        return {
            f"{module}.{parameter}": (axis, kept)
            for module, kept in self.kept.items()
            for parameter, axis in _HIDDEN_AXIS.items()
        }


def draw_mask(plan: DropoutPlan, settings: TransducerSettings, generator: torch.Generator) -> Mask:
    """Returns which hidden units one client keeps, drawn at random; the counts are the plan's, rounded.

    Raises PlanError.
    """
    encoder = settings.encoder
    check_plan(plan, encoder.layers)
    kept: dict[str, Tensor] = {}
    for layer in range(1, encoder.layers + 1):
        if rate := plan.rate(layer):
            hidden = 4 * encoder.dim
            for module in FEED_FORWARD:
                order = torch.randperm(hidden, generator=generator)
                kept[f"encoder.{name_of(layer)}.{module}"] = order[: hidden - round(rate * hidden)].sort().values
    return Mask(kept)


def extract(weights: Mapping[str, Tensor], mask: Mask) -> dict[str, Tensor]:
    """Returns the weights that a client receives: those of the full model, without the dropped units."""
    return {
        name: tensor if (cut := mask.indices(name)) is None else tensor.index_select(cut[0], cut[1].to(tensor.device))
        for name, tensor in weights.items()
    }


def shapes_of(weights: Mapping[str, Tensor], mask: Mask) -> dict[str, torch.Size]:
    """Returns the shapes of what `extract` would."""
    shapes = {name: list(tensor.shape) for name, tensor in weights.items()}
    for name, shape in shapes.items():
        if (cut := mask.indices(name)) is not None:
            shape[cut[0]] = len(cut[1])
    return {name: torch.Size(shape) for name, shape in shapes.items()}


def scatter(smaller: Mapping[str, Tensor], mask: Mask, full: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the client's tensors in the places of the full model's, which `full` has the shapes of; 0 elsewhere."""
    whole: dict[str, Tensor] = {}
    for name, tensor in smaller.items():
        cut = mask.indices(name)
        whole[name] = (
            tensor if cut is None else torch.zeros_like(full[name]).index_copy(cut[0], cut[1].to(tensor.device), tensor)
        )
    return whole


def coverage(mask: Mask, full: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns, by name, 1 where a client trains a coordinate of the full model and 0 where not, in broadcast shape.

    A parameter of which all is trained is a single 1.
    """
    covered = dict.fromkeys(full, next(iter(full.values())).new_ones(()))
    for name, tensor in full.items():
        if (cut := mask.indices(name)) is not None:
            axis, kept = cut
            shape = [1] * tensor.dim()
            shape[axis] = tensor.shape[axis]
            covered[name] = tensor.new_zeros(tensor.shape[axis]).index_fill(0, kept.to(tensor.device), 1).view(shape)
    return covered


def sub_model(
    settings: TransducerSettings, mask: Mask, scaled: bool = False, trained: tuple[int, ...] | None = None
) -> Transducer:
    """Returns a transducer with the smaller feed-forward modules of `mask`; its weights are not initialised.

    Where it is `scaled`, it multiplies the units that it keeps by hidden / kept. Of the layers that are `trained`, from
    1, weights take gradients, and nothing else does (partial variable training, Yang et al. 2022); none: all do.
    """
    return _smaller(settings, _widths(mask), scaled, trained)


def reused_sub_model(
    settings: TransducerSettings, mask: Mask, scaled: bool = False, trained: tuple[int, ...] | None = None
) -> Transducer:
    """Returns what `sub_model` does, and the same object for every mask of these widths.

    To build one takes an eighth of the time that a client of a mini model trains. Whoever asks loads the weights.
    """
    return _kept(settings, _widths(mask), scaled, trained)


def is_trained(name: str, trained: tuple[int, ...] | None) -> bool:
    """Returns whether the tensor `name` of a transducer is of the layers that are `trained`; none: all of it is."""
    return trained is None or layer_of(name) in trained


def _widths(mask: Mask) -> tuple[tuple[str, int], ...]:
    return tuple((name, len(kept)) for name, kept in mask.kept.items())


def _smaller(
    settings: TransducerSettings, widths: tuple[tuple[str, int], ...], scaled: bool, trained: tuple[int, ...] | None
) -> Transducer:
    dim, dropout = settings.encoder.dim, settings.encoder.dropout
    with skeleton():
        model = Transducer(settings)
        for name, kept in widths:
            parent, _, module = name.rpartition(".")
            smaller = FeedForward(dim, dropout, hidden=kept, scale=4 * dim / kept if scaled and kept else 1.0)
            setattr(model.get_submodule(parent), module, smaller)
    for name, parameter in model.named_parameters():
        if not is_trained(name, trained):
            parameter.requires_grad_(False)
    return model


_kept = lru_cache(maxsize=4)(_smaller)
