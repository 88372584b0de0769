"""One process at a time makes a thing, and the others wait and say for whom."""

from __future__ import annotations

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

    Who waits says so, in one line of the log that names the process it waits for. Raises StorageError.
    """
    make_directory(place.parent)
    lock, holder = filelock.FileLock(place), place.with_name(f"{place.name}.holder")
    with kept_in(place):
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            logger.warning("%s: waiting for %s", what, _told(holder))
            lock.acquire()
    try:
        with kept_in(holder):
            command = " ".join(sys.orig_argv[1:])[:200]
            since = f"{datetime.now():%Y-%m-%d %H:%M}"
            holder.write_text(
                f"process {os.getpid()} on {platform.node()}, which holds it since {since} ({command})",
                encoding="utf-8",
                errors="backslashreplace",
            )
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _told(holder: Path) -> str:
    try:
        return " ".join(holder.read_text(encoding="utf-8", errors="replace").split()) or "another process"
    except OSError:  # it holds the lock and has not said so yet
        return "another process"
