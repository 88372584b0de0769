"""How a process ends: by SIGTERM as by Ctrl-C, which cleans up, and with its parent."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# How often a worker looks whether its parent is there, seconds.
PATIENCE = 1.0


class Terminated(KeyboardInterrupt):
    """SIGTERM has come. What lets an interrupt through, or cleans up after it, does so with this."""


@contextmanager
def terminable() -> Iterator[None]:
    """Within it SIGTERM raises Terminated in the main thread, which alone can ask for that."""

    def end(number: int, frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_with(parent: int) -> None:
    """Lets this process end with its parent, which may be killed: nobody would take its result, or tell it to stop."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PATIENCE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
