"""The names of resets: of which layer or module, of which kind. Without torch: records are read with these alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["re-initialisation", "re-randomisation"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Module = Literal["ffn1", "attention", "convolution", "ffn2"]
# In the order in which a frame passes them. The layer's last LayerNorm belongs to none.
MODULES: tuple[Module, ...] = get_args(Module)


@dataclass(frozen=True)
class Variant:
    """One reset: `layer` counts from 0, `draw` the re-randomisations of that layer; without `module`, all of it."""

    layer: int
    kind: Kind
    draw: int = 0
    module: Module | None = None
