"""One process at a time makes a thing, and the others wait and say for whom."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import filelock

from paper_lib.files import kept_in, make_directory

logger = logging.getLogger("paper_lib")


@contextmanager
def locked(place: Path, what: str) -> Iterator[None]:
    """Holds the lock in the file `place` while `what` is made, once whoever holds it has let go of it or has ended.

    Who waits says so, in one line of the log that names the process it waits for: not of a worker of its own, nor of
    the process whose worker it is. Raises StorageError.
    """
    make_directory(place.parent)
    lock, holder = filelock.FileLock(place), place.with_name(f"{place.name}.holder")
    with kept_in(place):
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            if told := _told(holder):
                logger.warning("%s: waiting for %s", what, told)
            lock.acquire()
    try:
        with kept_in(holder):
            here = {
                "process": os.getpid(),
                "parent": os.getppid(),
                "node": platform.node(),
                "since": f"{datetime.now():%Y-%m-%d %H:%M}",
                "command": " ".join(" ".join(sys.orig_argv[1:]).split())[:200],
            }
            holder.write_text(json.dumps(here), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _told(holder: Path) -> str:
    """Returns who holds a lock; nothing where it is a worker of this process, or the one that this is a worker of."""
    try:
        there = json.loads(holder.read_text(encoding="utf-8"))
        if there["node"] == platform.node() and (there["parent"] == os.getpid() or there["process"] == os.getppid()):
            return ""
        return "process {process} on {node}, which holds it since {since} ({command})".format(**there)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):  # it holds the lock and has not said so yet
        return "another process"
