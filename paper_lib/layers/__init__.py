"""What resetting a layer does: re-initialisation, re-randomisation, the sweep over layers, ambient and critical.

Of any model: `from paper_lib.layers import sweep, signatures`. What takes torch is imported when it is asked for:
records are read without.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from paper_lib.layers.places import LAYOUTS, ResetError

if TYPE_CHECKING:
    from paper_lib.layers.applying import applied
    from paper_lib.layers.checkpoints import signatures
    from paper_lib.layers.full_sweep import plan, sweep

__all__ = ["LAYOUTS", "ResetError", "applied", "plan", "signatures", "sweep"]

_LATER = {"applied": "applying", "plan": "full_sweep", "signatures": "checkpoints", "sweep": "full_sweep"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
