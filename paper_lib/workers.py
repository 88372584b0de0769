"""Worker processes, which end with the one that they work for.

Ctrl-C reaches every process of a terminal. Workers pass it over: the one that they work for ends them. Where that one
is killed, which leaves it no time, they notice within a second.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from typing import Any, Self

from joblib.externals.loky import ProcessPoolExecutor
from tqdm import tqdm

from paper_lib.ending import end_with
from paper_lib.files import scratch_directory


class Workers:
    """Worker processes for a `with`, which leaves none of them behind, nor their temporary files."""

    def __init__(self, count: int, environment: dict[str, str] | None = None) -> None:
        self._count, self._environment = count, environment or {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        temporary = self._stack.enter_context(scratch_directory("paper-lib"))
        self._executor = ProcessPoolExecutor(
            self._count,
            initializer=_begin,
            initargs=(os.getpid(),),
            env={**self._environment, "TMPDIR": str(temporary)},
        )
        self._stack.callback(self._end)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Returns what will be the result of `function`, called in one of the processes, which start now."""
        # They begin with the signals of this thread: an interrupt that comes while they start is not lost on them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self._executor.submit(function, *arguments)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _end(self) -> None:
        # loky's thread would look for jobs that it has already given up, and fail aloud.
        with suppress(queue.Empty):
            while True:
                self._executor._work_ids.get(block=False)
        self._executor.shutdown(kill_workers=True)


def _begin(parent: int) -> None:
    # Not ignored: what a job runs may handle interrupts, and put another handler back.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    end_with(parent)
    # By itself tqdm makes a lock that processes could share, and for that a process, which complains of their end.
    tqdm.set_lock(threading.RLock())
