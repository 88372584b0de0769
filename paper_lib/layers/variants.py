"""The names of resets: of which layer or module, of which kind. Without torch: records are read with these alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["re-initialisation", "re-randomisation", "skip"]
ALL_KINDS: tuple[Kind, ...] = get_args(Kind)
# The paper's two, which its claims and the sweeps of the book's own models are about.
KINDS: tuple[Kind, ...] = ("re-initialisation", "re-randomisation")

Module = Literal["ffn1", "attention", "convolution", "ffn2"]
# In the order in which a frame passes them. The layer's last LayerNorm belongs to none.
MODULES: tuple[Module, ...] = get_args(Module)


@dataclass(frozen=True)
class Variant:
    """One reset, of `layer`, from 1, or one `module` of it; `draw` counts the re-randomisations of that layer from 0.

    Layers count from 1 everywhere but in the names of weights; see `name_of`. A module of the book's own layers is one
    of MODULES; other models have their own names.
    """

    layer: int
    kind: Kind
    draw: int = 0
    module: str | None = None


def name_of(layer: int) -> str:
    """Returns what the weights of `layer`, from 1, are called in the encoder: "layers.0" of layer 1, by PyTorch."""
    return f"layers.{layer - 1}"


def layer_of(weight: str) -> int | None:
    """Returns the layer, from 1, of a transducer's `weight` called "encoder.layers.0.norm.bias"; none: no layer's."""
    found = re.match(r"encoder\.layers\.(\d+)\.", weight)
    return int(found[1]) + 1 if found else None
