"""Commands that are interrupted, told to end, and killed: a line, an exit code, and nothing that goes on running."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import joblib
import pytest
from faults import Command, await_, last_line
from tiny_book import write_chapter, write_configuration

from paper_lib.locks import locked

pytestmark = [
    pytest.mark.book,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]

TOLD = {
    signal.SIGINT: (130, "interrupted: what is finished is kept, and the same command goes on from there"),
    signal.SIGTERM: (143, "ended by SIGTERM: what is finished is kept, and the same command goes on from there"),
}

TRAINING = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from tiny_profile import tiny_profile
from paper_lib import profiles
profiles.profile_of = lambda name: tiny_profile(steps=100_000, checkpoint_every=100_000, distance_every=100_000)
from paper_lib.cli import main
main()
"""

SPEECH = """
import sys
from paper_lib import profiles
from paper_lib.settings import SyntheticSettings
smoke = profiles.profile_of("smoke")
speech = SyntheticSettings(
    domains={"prose": 1.0}, utterances={"train": 100_000}, speakers={"train": 8}, shard_utterances=20
)
profiles.profile_of = lambda name: smoke.model_copy(update={"corpus": speech})
from paper_lib.cli import main
main()
"""

BOOK = """
from paper_lib.chapters import book, parameters
book.CHAPTERS = {name: parameters.CHAPTERS[name] for name in ("intro", "corpus")}
book.STUDIES = {}
from paper_lib.cli import main
main()
"""


def ends_in_a_line(command: Command, number: signal.Signals) -> None:
    """Ends the command and checks what it says, its exit code, and that nothing which it has started goes on."""
    assert len(command.processes()) > 1
    code = command.end_by(number)
    await_(command.has_left_nothing)
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL
        return
    assert (code, last_line(command.output())) == TOLD[number]
    assert "Traceback" not in command.output()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_chapter_ends_with_its_kernel(number: signal.Signals, tmp_path: Path) -> None:
    started = tmp_path / "started"
    write_chapter(
        tmp_path, "intro", f"import pathlib, time\n\npathlib.Path({str(started)!r}).touch()\ntime.sleep(1000)"
    )
    command = Command("chapter", "intro", "--root", tmp_path, cwd=tmp_path)
    command.await_(started.exists)
    ends_in_a_line(command, number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_trainings_in_several_processes_end(number: signal.Signals, tmp_path: Path) -> None:
    arguments = [str(Path(__file__).parent), "records", "--profile", "smoke", "--make", "--workers", "2"]
    command = Command(TRAINING, *arguments, cwd=tmp_path, program="-c", PAPER_LIB_CACHE=str(tmp_path / "cache"))
    command.await_(lambda: len(list(tmp_path.glob("cache/runs/*/initial.safetensors"))) == 2)
    ends_in_a_line(command, number)


@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_processes_that_make_speech_end_and_leave_whole_shards_and_no_temporary_files(
    number: signal.Signals, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    places = {"PAPER_LIB_CACHE": str(tmp_path / "cache"), "TMPDIR": str(temporary)}
    command = Command(SPEECH, "records", "--profile", "smoke", "--make", cwd=tmp_path, program="-c", **places)
    command.await_(lambda: any(tmp_path.glob("cache/corpora/*/train-*[0-9]/manifest.json")))
    ends_in_a_line(command, number)
    assert [path.name for path in temporary.iterdir() if path.name.startswith(("paper-lib", "espeak"))] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_book_ends_with_its_kernels(number: signal.Signals, tmp_path: Path) -> None:
    started = tmp_path / "started"
    started.mkdir()
    wait = "import os, pathlib, time\n\npathlib.Path({!r}, str(os.getpid())).touch()\ntime.sleep(1000)"
    for name in ("intro", "corpus"):
        write_chapter(tmp_path, name, wait.format(str(started)))
    write_configuration(tmp_path, "intro", "corpus")
    command = Command(BOOK, "book", "--profile", "smoke", "--root", str(tmp_path), cwd=tmp_path, program="-c")
    # A chapter on each core.
    command.await_(lambda: len(list(started.iterdir())) == min(2, joblib.cpu_count()))
    ends_in_a_line(command, number)


def test_who_waits_for_a_lock_says_for_whom_and_takes_over_when_that_one_is_killed(tmp_path: Path) -> None:
    holder = Command(HOLD, str(tmp_path), "one", cwd=tmp_path, program="-c")
    holder.await_((tmp_path / "one").exists)
    waiters = [Command(HOLD, str(tmp_path), name, cwd=tmp_path, program="-c") for name in ("two", "three", "four")]
    for waiter in waiters:
        waiter.await_(lambda waiter=waiter: "waiting for" in waiter.output())  # type: ignore[misc]
        assert f"the shard: waiting for process {holder.process.pid} on " in waiter.output()
    assert not any((tmp_path / name).exists() for name in ("two", "three", "four"))
    holder.end_by(signal.SIGKILL)
    left = list(waiters)
    for _ in waiters:
        # One after another: nobody comes in before the one that holds it has ended.
        await_(lambda: any(is_in(waiter, tmp_path) for waiter in left))
        (inside,) = [waiter for waiter in left if is_in(waiter, tmp_path)]
        inside.end_by(signal.SIGKILL)
        left.remove(inside)


def test_nobody_is_told_of_a_wait_for_a_worker_of_ones_own(tmp_path: Path) -> None:
    command = Command(WITH_WORKER, str(tmp_path), cwd=tmp_path, program="-c")
    assert command.process.wait(60) == 0
    assert "both were in" in command.output()
    assert "waiting for" not in command.output()


def is_in(waiter: Command, directory: Path) -> bool:
    told = [directory / name for name in ("two", "three", "four")]
    return str(waiter.process.pid) in [path.read_text() for path in told if path.exists()]


# The worker waits for the command, then the command for the worker.
WITH_WORKER = """
import subprocess, sys, time
from pathlib import Path
from paper_lib.locks import locked
directory = Path(sys.argv[1])
WORKER = '''
import sys, time
from pathlib import Path
from paper_lib.locks import locked
directory = Path(sys.argv[1])
(directory / "began").touch()
with locked(directory / "lock", "the shard"):
    (directory / "worker").touch()
    time.sleep(1)
'''
def await_(name):
    while not (directory / name).exists():
        time.sleep(0.02)
with locked(directory / "lock", "the shard"):
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(directory)])
    await_("began")
    time.sleep(1)
await_("worker")
with locked(directory / "lock", "the shard"):
    print("both were in")
worker.wait()
"""

HOLD = """
import os, sys, time
from pathlib import Path
from paper_lib.locks import locked
directory = Path(sys.argv[1])
with locked(directory / "lock", "the shard"):
    (directory / sys.argv[2]).write_text(str(os.getpid()))
    time.sleep(1000)
"""


def test_a_lock_that_was_let_go_of_leaves_no_trace_of_its_holder(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "lock", "the shard"):
            assert (tmp_path / "lock.holder").exists()
        assert not (tmp_path / "lock.holder").exists()
