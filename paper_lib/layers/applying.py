"""One reset, applied to any model for a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from paper_lib.layers.places import ResetError
from paper_lib.layers.planning import Reset, Specification, read_reset
from paper_lib.layers.redrawing import redraw
from paper_lib.layers.restoring import as_it_was

Weights = Mapping[str, Tensor]
# Names that are told of those that an earlier state lacks.
MOST_TOLD = 6


@contextmanager
def applied(specification: Specification, model: nn.Module, initial: Weights | None = None) -> Iterator[nn.Module]:
    """Within it one layer of `model` is reset; after it, also after an exception or Ctrl-C, all is as it was.

    `specification` is a `Reset` or its dictionary, {"layer": "encoder.layers.3", "kind": "re-randomisation", "seed": 7}
    for example; see `Reset` for what the kinds do, and `redraw` for what draws weights. `initial` is the state
    dictionary of `model` at an earlier time, from which a re-initialisation takes the layer: W(0), or where a
    fine-tuning began. Buffers that are saved with a model, the running statistics of norms for example, go with their
    layer.

    The layer gets tensors of its own for a while. A tensor that it shares with modules outside it (a tied one) is so
    reset in the layer alone, and outside it stays the trained one; one that is shared within the layer stays shared. A
    module that stands in several places is reset in all of them. A skipped layer puts out its input: the first tensor
    of its output becomes the first floating-point tensor of its arguments, and what else it puts out stays.

    Whatever else is done to the model within is undone too: see `as_it_was`.

    Raises:
        ResetError: the model has no such layer; a re-initialisation has no `initial`, or one that lacks the layer; a
            parameter that nothing draws; a layer to be skipped whose input and output have different shapes, or that
            was never called.
        pydantic.ValidationError: the dictionary is no reset.
    """
    reset = read_reset(specification)
    check_resets([reset], model, initial)
    with as_it_was(model), ExitStack() as ending:
        if reset.kind == "skip":
            ending.enter_context(_Skipping(model, reset.layer))
        else:
            _put(model, reset, initial)
        yield model


def check_resets(resets: Iterable[Reset], model: nn.Module, initial: Weights | None) -> None:
    """Raises ResetError unless `model` has the layers of `resets`, and `initial` what re-initialisations need."""
    lacking: list[str] = []
    for reset in resets:
        try:
            layer = model.get_submodule(reset.layer)
        except AttributeError:
            raise ResetError(f"layer is {reset.layer!r}, and the model has no such module") from None
        if reset.kind == "re-initialisation":
            if initial is None:
                raise ResetError(
                    "a re-initialisation needs initial, a state dictionary of the model at an earlier time; "
                    "it was not given"
                )
            lacking += _lacking(reset.layer, layer, initial)
    if lacking:
        more = f" and {len(lacking) - MOST_TOLD} more" if len(lacking) > MOST_TOLD else ""
        assert initial is not None
        raise ResetError(
            f"initial does not fit the model: {'; '.join(lacking[:MOST_TOLD])}{more}. It has {len(initial)} tensors, "
            f"{', '.join(list(initial)[:2])} for example"
        )


def check_redrawing(resets: Iterable[Reset], model: nn.Module) -> None:
    """Raises ResetError unless the layers that `resets` re-randomise can be; one draw of each is made and dropped."""
    with as_it_was(model):
        for reset in {one.layer: one for one in resets if one.kind == "re-randomisation"}.values():
            _put(model, reset, None)


@contextmanager
def watched(names: Iterable[str], model: nn.Module) -> Iterator[nn.Module]:
    """Within it `model` is intact; after it all is as it was.

    Raises:
        ResetError: as soon as a layer of `names` proves to be none that can be skipped, see `applied`.
    """
    with as_it_was(model), ExitStack() as ending:
        for name in names:
            ending.enter_context(_Skipping(model, name, replacing=False))
        yield model


class _Skipping:
    """While it lasts a layer puts out its input, or without `replacing` is only looked at."""

    def __init__(self, model: nn.Module, name: str, replacing: bool = True) -> None:
        self.name, self.replacing, self.layer = name, replacing, model.get_submodule(name)
        self.called = False

    def __enter__(self) -> None:
        self.handle: RemovableHandle = self.layer.register_forward_hook(self._replace, with_kwargs=True)

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self.handle.remove()
        if error is None and not self.called:
            raise ResetError(f"{self.name} ({type(self.layer).__name__}) cannot be skipped: it was never called")

    def _replace(self, layer: nn.Module, arguments: Any, named: Mapping[str, Any], output: Any) -> Any:
        self.called = True
        entering, leaving = _first((*arguments, *named.values())), _first(output)
        if entering is None or leaving is None or entering.shape != leaving.shape:
            shapes = ["nothing" if one is None else str(list(one.shape)) for one in (entering, leaving)]
            raise ResetError(
                f"{self.name} ({type(layer).__name__}) cannot be skipped: it maps {shapes[0]} to {shapes[1]}, "
                "and both must be alike for an identity"
            )
        return _with_first(output, entering) if self.replacing else None


def _first(value: Any) -> Tensor | None:
    """Returns the first floating-point tensor in nested tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        return value if value.is_floating_point() else None
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple | list) else ()
    return next((found for found in map(_first, parts) if found is not None), None)


def _with_first(value: Any, tensor: Tensor) -> Any:
    """Returns `value` with `tensor` in the place of what `_first` finds in it."""
    if isinstance(value, Tensor):
        return tensor
    if isinstance(value, Mapping):
        key = next(key for key, part in value.items() if _first(part) is not None)
        changed = type(value)(value)  # type: ignore[call-arg]
        changed[key] = _with_first(value[key], tensor)  # type: ignore[index]
        return changed
    parts = list(value)
    place = next(place for place, part in enumerate(parts) if _first(part) is not None)
    parts[place] = _with_first(parts[place], tensor)
    return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)


class _Slot(NamedTuple):
    """Where in a layer a tensor is: attribute `key` of `module`, in a saved layer called `name` if it is `saved`."""

    module: nn.Module
    key: str
    name: str
    tensor: Tensor
    saved: bool


def _slots(layer: nn.Module) -> list[_Slot]:
    """Returns where the parameters and buffers of a layer are; a tensor in several slots is tied."""
    return [
        _Slot(module, key, f"{inner}.{key}" if inner else key, tensor, key not in module._non_persistent_buffers_set)
        for inner, module in layer.named_modules()
        for key, tensor in (*module._parameters.items(), *module._buffers.items())
        if tensor is not None
    ]


def _lacking(name: str, layer: nn.Module, initial: Weights) -> list[str]:
    """Returns, in words, what `initial` lacks of the saved tensors of a layer."""
    told = []
    for slot in _slots(layer):
        earlier = initial.get(key := f"{name}.{slot.name}")
        if slot.saved and earlier is None:
            told.append(f"{key} is missing")
        elif slot.saved and earlier is not None and earlier.shape != slot.tensor.shape:
            told.append(f"{key} has shape {list(earlier.shape)} instead of {list(slot.tensor.shape)}")
    return told


def _put(model: nn.Module, reset: Reset, initial: Weights | None) -> None:
    """Gives the layer of a re-initialisation or re-randomisation tensors of its own, with their new values."""
    slots = _slots(model.get_submodule(reset.layer))
    fresh: dict[int, Tensor] = {}
    for slot in slots:
        if id(slot.tensor) not in fresh:
            fresh[id(slot.tensor)] = _copy(slot.tensor)
        setattr(slot.module, slot.key, fresh[id(slot.tensor)])
    if reset.kind == "re-randomisation":
        assert reset.seed is not None
        redraw(model, reset.layer, reset.seed)
    else:
        assert initial is not None
        for slot in slots:
            if slot.saved:
                getattr(slot.module, slot.key).data.copy_(initial[f"{reset.layer}.{slot.name}"])
    placed: dict[int, Tensor] = {}
    for slot in slots:
        now = getattr(slot.module, slot.key)
        if id(now) not in placed:
            value = now.data.to(slot.tensor.device, slot.tensor.dtype)
            parameter = isinstance(slot.tensor, nn.Parameter)
            placed[id(now)] = nn.Parameter(value, slot.tensor.requires_grad) if parameter else value
        setattr(slot.module, slot.key, placed[id(now)])


def _copy(tensor: Tensor) -> Tensor:
    """Returns a copy on the CPU, where random numbers are the same on every machine, of float32 at least."""
    value = tensor.detach().to("cpu", copy=True)
    if value.is_floating_point():
        value = value.to(torch.promote_types(value.dtype, torch.float32))
    return nn.Parameter(value, requires_grad=False) if isinstance(tensor, nn.Parameter) else value
