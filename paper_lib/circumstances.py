"""The circumstances in which a record was made: the machine, the versions of libraries, when and how long."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict

VERSIONED = ("torch", "numpy", "scipy", "sentencepiece", "jiwer", "espeakng-loader")


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"{text[:40]!r} is not one line of printable text")
    return text


OneLine = Annotated[str, AfterValidator(_one_line)]


class Machine(BaseModel):
    """The machine of a record."""

    model_config = ConfigDict(strict=True)

    cpu: OneLine
    instructions: OneLine | None = None  # unknown where a record is older than this field
    cores: int | None
    gpu: OneLine | None
    system: OneLine


class Provenance(BaseModel):
    """How a record came to be. Pages show it, and a record may come from anyone: texts are lines, and nothing else."""

    created: AwareDatetime
    seconds: float
    seeds: list[int]
    corpus: OneLine
    machine: Machine
    versions: dict[OneLine, OneLine]
    page: OneLine | None


@cache
def machine() -> dict[str, Any]:
    """Returns what a reader must know of this machine to judge a time, or the last bits: processor, GPU, system."""
    import torch

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": cpu,
        # Names of processors stand for several kinds, which multiply in another order.
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "gpu": gpu,
        "system": f"{platform.system()} {platform.machine()}",
    }


@cache
def versions() -> dict[str, str]:
    """Returns the versions of Python and of every library that a number depends on."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in VERSIONED}
