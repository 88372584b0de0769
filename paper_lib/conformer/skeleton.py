"""Modules without weights: to count them, or to give them weights that exist already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


@contextmanager
def skeleton() -> Iterator[None]:
    """Within it modules have shapes and no weights, on the meta device: `load_state_dict(..., assign=True)` gives them.

    No weights are drawn. On the meta device drawing them would take seconds, as torch imports its compiler for it.
    """
    with torch.device("meta"), _Undrawn():
        yield


class _Undrawn(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
