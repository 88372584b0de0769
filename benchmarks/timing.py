"""How a row of the benchmark is measured: by turns, so that what else runs on the machine meets all of them alike."""

from __future__ import annotations

import gc
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

T = TypeVar("T")
OURS = "ours"
# Instructions that decide how fast a matrix product is on an x86 or an Arm core.
FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "asimd", "sve")
PACKAGES = ("torch", "torchaudio", "numpy", "transformers", "pfl", "flwr", "ray", "nemo_toolkit")


class UnequalError(AssertionError):
    """What is to be compared does not compute the same thing; the message says by how much."""


@dataclass(frozen=True)
class Timed:
    """What one contestant took: seconds a call, by turns with the others."""

    name: str
    seconds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def record(self) -> dict[str, Any]:
        """Returns the median with the quartiles around it, seconds."""
        low, high = np.quantile(self.seconds, (0.25, 0.75))
        return {
            "name": self.name,
            "median": float(f"{self.median:.4g}"),
            "quartiles": [float(f"{low:.4g}"), float(f"{high:.4g}")],
            "calls": len(self.seconds),
        }


@dataclass
class Row:
    """One line of a table: what was compared, on how many threads, what each took, and what was checked before."""

    group: str
    what: str
    threads: int
    timed: list[Timed]
    equal: str = ""  # what was found to be the same, to which tolerance
    more: dict[str, Any] = field(default_factory=dict)

    def ratios(self, name: str) -> tuple[float, float, float]:
        """Returns how many times as long `name` takes as ours in a turn: the lower quartile, median and upper one."""
        by_name = {timed.name: timed.seconds for timed in self.timed}
        pairs = zip(by_name[name], by_name[OURS], strict=False)
        low, middle, high = np.quantile([theirs / ours for theirs, ours in pairs], (0.25, 0.5, 0.75)).tolist()
        return low, middle, high

    def record(self) -> dict[str, Any]:
        """Returns what the record keeps, `seconds` by contestant with the ratio to ours."""
        lines = []
        for timed in self.timed:
            line = timed.record()
            if timed.name != OURS and self._has_ours():
                low, middle, high = (round(ratio, 3) for ratio in self.ratios(timed.name))
                line |= {"ratio": middle, "ratio_quartiles": [low, high]}
            lines.append(line)
        shown = {name: value for name, value in asdict(self).items() if name not in ("timed", "more")}
        return shown | self.more | {"seconds": lines}

    def text(self) -> str:
        """Returns the line that the terminal shows."""
        parts = []
        for timed in self.timed:
            ratio = f" ({self.ratios(timed.name)[1]:.2f} x)" if timed.name != OURS and self._has_ours() else ""
            parts.append(f"{timed.name} {clock(timed.median)}{ratio}")
        more = "; ".join(f"{name} {value}" for name, value in self.more.items() if not isinstance(value, dict | list))
        return f"{self.group} | {self.what} | {self.threads} thr | {' | '.join(parts)} | {more} | {self.equal}"

    def _has_ours(self) -> bool:
        return any(timed.name == OURS for timed in self.timed)


def clock(seconds: float) -> str:
    """Returns seconds as a reader wants them: "3.1 ms", "2.05 s"."""
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def seconds_of(call: Callable[[], object]) -> float:
    """Returns the seconds that `call` takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def by_turns(
    calls: Mapping[str, Callable[[], object]], budget: float = 6.0, least: int = 3, most: int = 100
) -> list[Timed]:
    """Measures every call in turn until about `budget` seconds are over, from `least` to `most` times each.

    A first turn that nobody counts warms caches; the order turns round, so that nobody always goes first. Where a turn
    takes longer than was thought, on a machine that others use, one is enough after three times the budget.
    """
    names = list(calls)
    for name in names:
        calls[name]()
    taken: dict[str, list[float]] = {name: [] for name in names}
    began, turn = time.perf_counter(), 0
    gc.collect()
    gc.disable()
    try:
        while (spent := time.perf_counter() - began) < budget or turn < (least if spent < 3 * budget else 1):
            if turn == most:
                break
            for name in names if turn % 2 == 0 else reversed(names):
                taken[name].append(seconds_of(calls[name]))
            turn += 1
    finally:
        gc.enable()
    return [Timed(name, taken[name]) for name in names]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Within it torch computes on `count` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def matmul_rate(size: int = 1024) -> float:
    """Returns the operations a second of a float32 matrix product `size` x `size` on this many threads: the limit."""
    left, right = torch.randn(size, size), torch.randn(size, size)
    (timed,) = by_turns({"matmul": lambda: left @ right}, budget=0.5, least=5)
    # The best of them: what the cores can do when nobody disturbs.
    return 2 * size**3 / min(timed.seconds)


def check_close(what: str, ours: torch.Tensor, theirs: torch.Tensor, tolerance: float) -> float:
    """Returns the largest difference relative to the largest value; raises UnequalError above `tolerance`."""
    scale = float(ours.detach().abs().max()) or 1.0
    apart = float((ours.detach() - theirs.detach()).abs().max()) / scale
    if not apart <= tolerance:
        raise UnequalError(f"{what}: differs by {apart:.1e} of the largest value, more than {tolerance:.0e}")
    return apart


def in_process(function: Callable[..., T], *arguments: object) -> T:
    """Returns what `function` does in a process of its own, whose memory begins empty."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def resident_memory() -> int:
    """Returns the memory that this process holds now, bytes; where the system does not tell, its most so far."""
    status = Path("/proc/self/status")
    if not status.exists():
        return peak_memory()
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def peak_memory() -> int:
    """Returns the most memory that this process has held at a time, bytes, files that it maps included."""
    status = Path("/proc/self/status")
    if status.exists():
        # Of this program alone: what getrusage tells may be of the process that started it.
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def machine() -> dict[str, Any]:
    """Returns what the record says about where and with what it was measured; no name of a machine."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return {
        "processor": fields.get("model name") or platform.processor() or platform.machine(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": torch.multiprocessing.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "waiting threads": os.environ.get("OMP_WAIT_POLICY", "as the system has it"),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := installed(name))},
        "date": datetime.now(UTC).date().isoformat(),
    }


def installed(package: str) -> str | None:
    """Returns the version of `package`, or nothing where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
