"""A model that is left as it was, to the bit, whatever is done to it for a while."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@contextmanager
def as_it_was(model: nn.Module) -> Iterator[None]:
    """Within it anything may be done to `model`; after it, also after an exception or Ctrl-C, nothing has been.

    Put back are the values of parameters and of all buffers, which tensor is where (tied ones stay tied), where it is
    stored and as what type, gradients, requires_grad, train and eval mode, hooks, modules and all other attributes of
    modules, and the global random numbers of torch, NumPy and Python. It keeps one copy of all tensors meanwhile, of
    gradients too where there are any.
    """
    attributes = [(module, dict(vars(module)), _contents(module)) for module in model.modules()]
    tensors = [_Kept(tensor) for tensor in {id(t): t for t in (*model.parameters(), *model.buffers())}.values()]
    numbers = random.getstate(), np.random.get_state(), torch.get_rng_state()
    on_gpu = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        for module, before, contents in attributes:
            # The containers themselves stay: whoever can remove a hook holds the dictionary that it is in.
            for container, content in contents:
                if container:
                    container.clear()
                if content:
                    container.extend(content) if isinstance(container, list) else container.update(content)
            vars(module).clear()
            vars(module).update(before)
        with torch.no_grad():
            for kept in tensors:
                kept.restore()
        random.setstate(numbers[0])
        np.random.set_state(numbers[1])
        torch.set_rng_state(numbers[2])
        if on_gpu:
            torch.cuda.set_rng_state_all(on_gpu)


def _contents(module: nn.Module) -> list[tuple[Any, Any]]:
    """Returns the lists, sets and dictionaries of a module, its parameters and hooks among them, with copies.

    Most are empty, and have no copy.
    """
    kinds = (dict, list, set)
    return [(value, value.copy() if value else None) for value in vars(module).values() if isinstance(value, kinds)]


class _Kept:
    """A tensor of a model and all that may change in it."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.data = tensor.data  # the same memory, on its device and of its type
        self.values = tensor.detach().clone()
        self.requires_grad = tensor.requires_grad
        self.grad = _Kept(tensor.grad) if tensor.is_leaf and tensor.grad is not None else None

    def restore(self) -> None:
        now = self.tensor
        if now.data_ptr() != self.data.data_ptr() or now.dtype != self.data.dtype or now.device != self.data.device:
            now.data = self.data
        if not torch.equal(now, self.values):  # only where it must be: a write would spoil a gradient under way
            now.copy_(self.values)
        if now.requires_grad != self.requires_grad:
            now.requires_grad_(self.requires_grad)
        if self.grad:
            self.grad.restore()
        if now.is_leaf:
            now.grad = self.grad.tensor if self.grad else None
