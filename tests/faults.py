"""Processes that tests start, watch, interrupt and kill: what they leave behind is found by a mark that they inherit.

Tests wait for events; the time that they wait at most is there for a machine that hangs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

MARK = "PAPER_LIB_TEST_MARK"
HANGS = 600  # seconds after which a test gives up


def await_(condition: Callable[[], bool]) -> None:
    """Waits until `condition` holds."""
    deadline = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


class Command:
    """`python -m paper_lib …`, or another program, in a process group of its own."""

    def __init__(self, *arguments: str | Path, cwd: Path, program: str = "-mpaper_lib", **environment: str) -> None:
        self.mark = uuid4().hex
        self.told = cwd / f"told-{self.mark}.txt"
        with self.told.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, *program.split(" ", 1), *arguments],
                cwd=cwd,
                env={**os.environ, **environment, MARK: self.mark},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def await_(self, condition: Callable[[], bool]) -> None:
        """Waits until `condition` holds, and fails where the command ends before."""
        await_(lambda: condition() or self.has_ended)
        assert condition(), self.output()

    def end_by(self, number: signal.Signals) -> int:
        """Returns the exit code after Ctrl-C, which reaches the whole group, or another signal, which does not."""
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        return self.process.wait(HANGS)

    def output(self) -> str:
        return self.told.read_text()

    def processes(self) -> list[int]:
        """Returns what runs of the command and of what it has started."""
        return [pid for pid, environment in environments() if f"{MARK}={self.mark}" in environment]

    def has_left_nothing(self) -> bool:
        return not self.processes()


def environments() -> list[tuple[int, Mapping[str, None]]]:
    """Returns the processes of this machine that are not zombies, with the lines of their environments."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            lines = (directory / "environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has ended, or is another user's
            continue
        found.append((int(directory.name), dict.fromkeys(lines)))
    return found


def last_line(text: str) -> str:
    return text.rstrip().rpartition("\n")[2]
