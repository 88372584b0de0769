"""One thread for torch: faster where pieces are small, and the same bits on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it torch computes on one thread.

    The order of a sum, and so its last bits, depends on the number of threads. And threads that share a busy core wait
    for each other after every small operation.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
