"""New random weights for any module, by the initialisers that its model brings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from paper_lib.layers.places import ResetError

Draw = Callable[[nn.Module], Any]


def redraw(model: nn.Module, name: str, seed: int) -> None:
    """Draws the weights of the module `name` of `model` anew, in place, by what would draw those of a new model.

    That is the `reset_parameters` (in some modules `_reset_parameters`) of every module in it, the innermost first, as
    constructors run; then, where the module or one around it has an `_init_weights(module)`, as the models of
    transformers do, that method too. A layer whose constructors do nothing else gets the weights that constructing it
    from `seed` would give. Buffers that these methods set, the running statistics of norms for example, start anew with
    the weights. Nothing is drawn from the global random numbers. The tensors are on the CPU and of float32 or more.

    Raises:
        ResetError: no initialiser has drawn a parameter.
    """
    layer = model.get_submodule(name)
    for parameter in layer.parameters():
        if parameter.is_floating_point():
            parameter.data.fill_(torch.nan)
    draw_more = _model_initialiser(model, name)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for module in _innermost_first(layer):
            reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
            if callable(reset):
                reset()
            if draw_more:
                draw_more(module)
    for inner, module in layer.named_modules():
        if undrawn := [key for key, tensor in module.named_parameters(recurse=False) if not _is_drawn(tensor)]:
            whole = ".".join(filter(None, (name, inner)))
            raise ResetError(
                f"{whole} ({type(module).__name__}) cannot be re-randomised: nothing draws its {', '.join(undrawn)}; "
                "give its class a method reset_parameters"
            )


def _is_drawn(parameter: Tensor) -> bool:
    return parameter.is_floating_point() and not bool(parameter.isnan().any())


def _innermost_first(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        yield from _innermost_first(child)
    yield module


def _model_initialiser(model: nn.Module, name: str) -> Draw | None:
    """Returns the `_init_weights(module)` of the module `name`, or of the nearest one around it that has one."""
    while True:
        method = getattr(model.get_submodule(name), "_init_weights", None)
        if callable(method) and len(inspect.signature(method).parameters) == 1:
            return method
        if not name:
            return None
        name = name.rpartition(".")[0]
