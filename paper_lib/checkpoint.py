"""Tensors on disk: safetensors files that are written whole or not at all, and noticed when changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from paper_lib.files import atomic_write, kept_in


class DamagedFileError(RuntimeError):
    """A file is cut off, or its content is not what was written."""


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> str:
    """Writes `tensors` and `metadata` with a digest of both, which it returns."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    digest = content_digest(contiguous, metadata or {})
    atomic_write(path, safetensors.torch.save(contiguous, {**(metadata or {}), "digest": digest}))
    return digest


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Returns tensors and metadata (with "digest"); raises FileNotFoundError, DamagedFileError or StorageError."""
    try:
        with kept_in(path), safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
    except safetensors.SafetensorError as error:
        raise DamagedFileError(f"{path}: {error}") from error
    if metadata.get("digest") != content_digest(tensors, metadata):
        raise DamagedFileError(f"{path}: the content does not match its digest")
    return tensors, metadata


def content_digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Returns the SHA-256 of names, dtypes, shapes and bytes of `tensors` and of `metadata` but its "digest"."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())  # NumPy has no bfloat16
    for key in sorted(set(metadata) - {"digest"}):
        digest.update(f"{key}={metadata[key]}\n".encode())
    return digest.hexdigest()
