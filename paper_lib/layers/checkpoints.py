"""Numerical signatures of any model, from its checkpoints: how far each matrix has moved, layer against layer."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from paper_lib.inference import Floats
from paper_lib.layers.matrices import SignatureError
from paper_lib.layers.places import find_places
from paper_lib.layers.signature import over_the_farthest

Weights = Mapping[str, Tensor]
Checkpoint = Weights | str | Path

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
# What a directory that is one checkpoint of transformers has its weights in.
WEIGHTS_FILES = ("model.safetensors", "pytorch_model.bin")
# What a trainer's file may hold its weights under.
NESTED = ("state_dict", "model_state_dict", "model")


@dataclass(frozen=True)
class Signatures:
    """Signatures of every weight matrix of a layer, at one or several times; 1 is the layer that has moved most."""

    checkpoints: tuple[str, ...]  # names of files, or places from 1
    matrices: tuple[str, ...]  # names within a layer, "self_attn.linear_q.weight"
    layers: tuple[str, ...]  # names of layers, the first one first
    distances: Floats  # ‖W(t) − W(0)‖_F, [checkpoints, matrices, layers]
    values: Floats  # the same over the maximum across layers, [checkpoints, matrices, layers]
    left_out: tuple[str, ...]  # matrices that not all layers have

    @property
    def last(self) -> Floats:
        """The signatures at the last checkpoint, [matrices, layers]."""
        return self.values[-1]


def signatures(
    before: Checkpoint | Sequence[Checkpoint],
    after: Checkpoint | Sequence[Checkpoint] | None = None,
    *,
    layers: str | Sequence[str],
) -> Signatures:
    """Returns how far the weight matrices of each layer have moved from `before` to `after`, over the farthest layer.

    Args:
        before: W(0), a state dictionary or a file of safetensors or torch that holds one. Or, without `after`, a
            sequence of these in the order of training, or a directory of files: the first is W(0), and there is a
            signature for each of the others. In a directory the numbers in the names tell the order; a directory in it
            that holds model.safetensors or pytorch_model.bin counts as that file.
        after: W(t): one, a sequence of them, or a directory.
        layers: a pattern or names as in `sweep`, of layers or of one part of them.

    A weight matrix is a tensor of two dimensions or more, kernels too, with "weight" in its name. A matrix that not all
    layers have cannot be compared across layers: it is left out, with a warning that names it.

    Raises:
        SignatureError: there are too few checkpoints, or a file holds none, or a later one lacks a matrix or has it in
            another shape.
        ResetError: `layers` names nothing that is there.
    """
    first, *others = _listed(before)
    if after is None and not others:
        raise SignatureError("before is one checkpoint and after is not given; a signature takes two at least")
    if after is not None and others:
        raise SignatureError(f"before has {1 + len(others)} checkpoints and after is given; W(0) is one checkpoint")
    later = others if after is None else _listed(after)
    initial = _read(first)
    names = _layers_of(initial, layers)
    matrices, left_out = _shared_matrices(initial, names)
    if left_out:
        warnings.warn(f"not all of {len(names)} layers have {', '.join(left_out)}: left out", stacklevel=2)
    distances = np.array([_distances(initial, one, names, matrices) for one in later])
    told = tuple(map(_name_of, later, range(1, len(later) + 1)))
    return Signatures(told, matrices, names, distances, over_the_farthest(distances), left_out)


def _layers_of(weights: Weights, layers: str | Sequence[str]) -> tuple[str, ...]:
    modules: dict[str, None] = {}
    for key in weights:
        parts = key.split(".")
        modules.update(dict.fromkeys(".".join(parts[:end]) for end in range(1, len(parts))))
    places = find_places(modules, layers)
    if len(parts_named := {place.module for place in places}) > 1:
        raise SignatureError(f"layers names the parts {', '.join(map(str, parts_named))}; a signature is of one part")
    return tuple(place.name for place in places)


def _shared_matrices(weights: Weights, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the weight matrices that all layers have, in the order of the first one's, and those that some have."""
    of_layers = [
        [
            rest
            for key, tensor in weights.items()
            if (rest := key.removeprefix(f"{name}.")) != key and "weight" in rest and tensor.dim() > 1
        ]
        for name in names
    ]
    shared = set.intersection(*map(set, of_layers))
    if not shared:
        raise SignatureError(f"no weight matrix is in each of {', '.join(names)}")
    some = dict.fromkeys(matrix for of_layer in of_layers for matrix in of_layer if matrix not in shared)
    return tuple(matrix for matrix in of_layers[0] if matrix in shared), tuple(some)


def _distances(initial: Weights, later: Checkpoint, names: Sequence[str], matrices: Sequence[str]) -> list[list[float]]:
    """Returns ‖W(t) − W(0)‖_F, [matrices, layers]."""
    weights = _read(later)

    def moved(key: str) -> float:
        start, end = initial[key], weights.get(key)
        if end is None or end.shape != start.shape:
            found = "is missing" if end is None else f"has shape {list(end.shape)} instead of {list(start.shape)}"
            raise SignatureError(f"{key} {found} in {_name_of(later)}")
        return float(torch.linalg.vector_norm(end.detach().double().cpu() - start.detach().double().cpu()))

    return [[moved(f"{name}.{matrix}") for name in names] for matrix in matrices]


def _listed(checkpoints: Checkpoint | Sequence[Checkpoint]) -> list[Checkpoint]:
    """Returns the checkpoints one by one; the files of a directory by the numbers in their names."""
    if isinstance(checkpoints, Mapping):
        return [checkpoints]
    if not isinstance(checkpoints, str | Path):
        return [one for checkpoint in checkpoints for one in _listed(checkpoint)]
    path = Path(checkpoints)
    if not path.is_dir():
        return [path]
    entries = sorted(path.iterdir(), key=lambda entry: [int(n) for n in re.findall(r"\d+", entry.name)])
    within = [[entry / name for name in WEIGHTS_FILES] if entry.is_dir() else [entry] for entry in entries]
    found = [file for files in within for file in files if file.suffix in SUFFIXES and file.is_file()]
    if not found:
        raise SignatureError(f"{path} has no checkpoints; they are files that end in {', '.join(SUFFIXES)}")
    return list(found)


def _name_of(checkpoint: Checkpoint, place: int | None = None) -> str:
    if isinstance(checkpoint, Mapping):
        return "the later state dictionary" if place is None else str(place)
    path = Path(checkpoint)
    return path.parent.name if path.name in WEIGHTS_FILES else path.name


def _read(checkpoint: Checkpoint) -> Weights:
    if isinstance(checkpoint, Mapping):
        return checkpoint
    path = Path(checkpoint)
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, safetensors.SafetensorError) as error:
        raise SignatureError(f"{path} cannot be read as a checkpoint: {error}") from error
    inner = next((loaded[key] for key in NESTED if isinstance(loaded, dict) and key in loaded), loaded)
    if not isinstance(inner, Mapping) or not any(isinstance(value, Tensor) for value in inner.values()):
        raise SignatureError(f"{path} holds no state dictionary, also not under {', '.join(NESTED)}")
    return {name: value for name, value in inner.items() if isinstance(value, Tensor)}
