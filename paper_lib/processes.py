"""One training in several processes, one a device, that torchrun begins: who has which utterances, sums over them all.

Each process trains on its rows of every batch, and gradients are averaged (`DistributedDataParallel`), by NCCL between
GPUs and by gloo between CPUs. What is the same as in one process that has the whole batch, up to the order of sums:

- the loss and its gradient, of which the mean is over the utterances of the whole batch, however they are shared out
- the norm by which the gradient is clipped: it is clipped after it was averaged
- BatchNorm's statistics, those of the batch and the running ones: of all valid frames of the whole batch
- the masks of SpecAugment, the learning rate, and the dev WER, whose batches are shared out too

What differs are the masks of dropout: each process draws its own. A training with dropout is another one of the same
distribution for every number of processes; it is the same to the bit where it is repeated, or goes on after a crash,
with as many.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed
import torch.distributed.nn
from torch import Tensor

# So long others wait while the first makes speech, or waits for a training of the same model elsewhere to end.
PATIENCE = timedelta(hours=6)


class ProcessesError(RuntimeError):
    """Processes cannot train together; the message says why."""


@dataclass(frozen=True)
class Share:
    """The rows of a batch that one process has.

    Of a batch with fewer utterances than processes, some have its last one, which then counts nothing: its weight is 0.
    """

    rows: list[int]
    frames: Tensor  # [whole batch], valid frames of all rows
    weight: float  # of an utterance's loss, so that the mean over processes is that over the batch's utterances

    def total(self, tensor: Tensor) -> Tensor:
        """Returns the sum of the processes' tensors, differentiable; in float32 at least, then as `tensor`."""
        exact = tensor.to(torch.promote_types(tensor.dtype, torch.float32)) * (self.weight > 0)
        summed: Tensor = torch.distributed.nn.functional.all_reduce(exact)
        return summed.to(tensor.dtype)


@dataclass(frozen=True)
class Processes:
    """This process among those of a training; by default it is alone."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0

    def share(self, frames: Sequence[int]) -> Share | None:
        """Returns the rows that this process has of a batch whose utterances have so many `frames`; None: all."""
        if self.count == 1:
            return None
        rows = list(range(self.rank, len(frames), self.count))
        return Share(rows or [len(frames) - 1], torch.tensor(frames), self.count / len(frames) if rows else 0.0)

    def gather(self, value: Any) -> list[Any]:
        """Returns the values of all processes, in the order of their ranks; it waits for them."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(values, value)
        return values

    def agree(self, what: str, value: Any) -> None:
        """Raises ProcessesError where processes have other values; it waits for them."""
        values = self.gather(value)
        if any(other != value for other in values):
            raise ProcessesError(
                f"{what} is {', '.join(map(str, values))} in the processes: PAPER_LIB_CACHE must be a directory that "
                "all machines share"
            )


ALONE = Processes()


@contextmanager
def joined() -> Iterator[Processes]:
    """Within it this process and the others that torchrun began with it can send each other tensors.

    Without torchrun this process is alone. Raises ProcessesError where a machine has more processes than GPUs.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    if torch.cuda.is_available():
        of_machine, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if of_machine > gpus:
            raise ProcessesError(f"--nproc-per-node is {of_machine}; it must be at most {gpus}, the number of GPUs")
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, rank, count = next(torch.distributed.rendezvous("env://"))  # type: ignore[attr-defined]
    # After a restart torchrun has the same store again, in which the addresses of processes that died would be found.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    of_attempt = torch.distributed.PrefixStore(f"attempt {attempt}", store)  # type: ignore[attr-defined]
    torch.distributed.init_process_group(store=of_attempt, rank=rank, world_size=count, timeout=PATIENCE)
    try:
        yield Processes(torch.distributed.get_rank(), count)
    finally:
        torch.distributed.destroy_process_group()
