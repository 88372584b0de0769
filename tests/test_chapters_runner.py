"""Chapters run by papermill: success, failure, interruption, and papermill without our runner."""

from __future__ import annotations

import codecs
import json
import pickle
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from tiny_book import write_chapter

from paper_lib.chapters.freshness import inputs_digest, is_fresh
from paper_lib.chapters.parameters import ParameterError
from paper_lib.chapters.runner import ChapterError, execute, fresh, page_of
from paper_lib.chapters.sources import title_of
from paper_lib.files import atomic_write


def outputs(notebook: Path) -> str:
    cells = nbformat.read(notebook, as_version=4).cells
    return "\n".join(str(output) for cell in cells for output in cell.get("outputs", []))


def plain_papermill(source: Path, parameters: str) -> subprocess.CompletedProcess[str]:
    """The README's command: jupytext piped into papermill."""
    command = (
        f"set -o pipefail; {sys.executable} -m jupytext --to ipynb --output - {shlex.quote(str(source))}"
        f" | {sys.executable} -m papermill - out.ipynb {parameters}"
    )
    return subprocess.run(["bash", "-c", command], cwd=source.parent, capture_output=True, text=True, check=False)


def test_a_chapter_runs_with_its_parameters_in_the_books_root(tmp_path: Path) -> None:
    body = "from pathlib import Path\n\nprint(chapter.parameters.seeds, chapter.parameters.sizes, Path.cwd())"
    write_chapter(tmp_path, "model_size", body, 'profile = "quick"\nseeds = None\nsizes = ["S", "M", "L"]')
    executed = execute("model_size", {"seeds": 2, "sizes": ("S", "L")}, tmp_path)
    assert executed == tmp_path / "_build" / "chapters" / "model_size.ipynb"
    assert f"2 ('S', 'L') {tmp_path}" in outputs(executed)
    assert [path.name for path in executed.parent.iterdir()] == ["model_size.ipynb"]


def test_a_chapter_runs_in_the_interpreter_that_asked_for_it_and_may_begin_with_a_byte_order_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_chapter(tmp_path, "intro", "import sys\n\nprint('interpreter', sys.executable)")
    source.write_bytes(codecs.BOM_UTF8 + source.read_bytes())
    kernel = {"argv": ["false", "{connection_file}"], "display_name": "Python 3", "language": "python"}
    atomic_write(tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json", json.dumps(kernel).encode())
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    notebook = execute("intro", {}, tmp_path)
    assert f"interpreter {sys.executable}" in outputs(notebook)
    assert nbformat.read(notebook, as_version=4).cells[0].source == f"# {title_of('intro', tmp_path)}"


def test_what_a_user_lets_ipython_do_at_its_start_is_no_part_of_a_chapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_chapter(tmp_path, "intro", "print('mine', {'profile_ran', 'startup_ran'} & set(globals()))")
    atomic_write(tmp_path / "ipython" / "profile_default" / "startup" / "0.py", b"profile_ran = True")
    atomic_write(tmp_path / "startup.py", b"startup_ran = True")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "startup.py"))
    monkeypatch.chdir(tmp_path)
    assert "mine set()" in outputs(execute("intro", {}, Path()))


def test_nothing_runs_when_a_parameter_is_refused(tmp_path: Path) -> None:
    write_chapter(tmp_path, "intro", "print('ran')")
    with pytest.raises(ParameterError, match="no parameter 'seeds'"):
        execute("intro", {"seeds": 2}, tmp_path)
    assert not (tmp_path / "_build").exists()


def test_a_failing_chapter_leaves_the_notebook_with_its_error(tmp_path: Path) -> None:
    write_chapter(tmp_path, "intro", "print('so far so good')\n1 / 0\n\n# %%\nprint('never reached')")
    with pytest.raises(
        ChapterError, match=r"chapter intro failed in cell .* with ZeroDivisionError: division by zero"
    ) as error:
        execute("intro", {}, tmp_path)
    # Chapters of a book run in other processes, whose errors arrive pickled.
    arrived = pickle.loads(pickle.dumps(error.value))
    assert (str(arrived), arrived.notebook) == (str(error.value), error.value.notebook)
    notebook = error.value.notebook
    assert notebook == tmp_path / "_build" / "chapters" / "intro.ipynb"
    text = outputs(notebook)
    assert "so far so good" in text
    assert "ZeroDivisionError" in text
    assert "never reached" not in text
    assert [path.name for path in notebook.parent.iterdir()] == ["intro.ipynb"]


def test_a_failing_chapter_exits_non_zero_without_our_traceback(tmp_path: Path) -> None:
    write_chapter(tmp_path, "intro", "raise RuntimeError('out of luck')")
    command = [sys.executable, "-m", "paper_lib", "chapter", "intro", "--root", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "chapter intro failed in cell" in result.stderr
    assert "RuntimeError: out of luck" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_interrupted_chapter_leaves_what_was_there_before(tmp_path: Path) -> None:
    started = tmp_path / "started"
    write_chapter(
        tmp_path,
        "intro",
        f"import os, pathlib, time\n\npathlib.Path({str(started)!r}).write_text(str(os.getpid()))\ntime.sleep(100)",
    )
    before = tmp_path / "_build" / "chapters" / "intro.ipynb"
    before.parent.mkdir(parents=True)
    before.write_text("as it was")
    command = [sys.executable, "-m", "paper_lib", "chapter", "intro", "--root", tmp_path]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    await_(lambda: started.exists() and started.read_text() != "")
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert before.read_text() == "as it was"
    assert [path.name for path in before.parent.iterdir()] == ["intro.ipynb"]
    kernel = int(started.read_text())
    await_(lambda: not is_running(kernel))


@pytest.mark.parametrize("option", ["-p", "-r"])
def test_plain_papermill_runs_a_chapter(tmp_path: Path, option: str) -> None:
    source = write_chapter(tmp_path, "corpus", "print('seed', chapter.parameters.seed)", 'profile = "quick"\nseed = 0')
    result = plain_papermill(source, f"{option} profile smoke {option} seed 3")
    assert result.returncode == 0, result.stderr
    assert "seed 3" in outputs(source.parent / "out.ipynb")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("-p seeed 3", "no parameter 'seeed' (did you mean 'seed'?)"),
        ("-p seed 2x", "seed is '2x'; it must be an integer"),
        ("-p seed -1", "seed is -1; it must be an integer"),
        ("-r seed 007", "seed is '007'; it must be an integer"),
        ("-r seed 2_0", "seed is '2_0'; it must be an integer"),
    ],
)
def test_plain_papermill_refuses_before_the_chapter_begins(tmp_path: Path, parameters: str, message: str) -> None:
    source = write_chapter(tmp_path, "corpus", "print('the chapter ran')", 'profile = "quick"\nseed = 0')
    result = plain_papermill(source, parameters)
    assert result.returncode != 0
    assert message in result.stderr
    assert "the chapter ran" not in outputs(source.parent / "out.ipynb")


def await_(condition, seconds: float = 600) -> None:
    """Waits until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.05)


def is_running(process: int) -> bool:
    """Whether a process is there and no zombie."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
    ).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_a_page_is_made_again_only_when_something_that_it_follows_from_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path / "cache"))
    write_chapter(tmp_path, "intro", "1 + 1")
    digests = [inputs_digest("intro", {"profile": "quick"}, tmp_path)]
    first = fresh("intro", {"profile": "quick"}, tmp_path).stat().st_mtime_ns
    assert fresh("intro", {"profile": "quick"}, tmp_path).stat().st_mtime_ns == first
    digests.append(inputs_digest("intro", {"profile": "smoke"}, tmp_path))
    atomic_write(tmp_path / "cache" / "records" / "training" / "c0ffee.json", b"{}")
    digests.append(inputs_digest("intro", {"profile": "quick"}, tmp_path))
    write_chapter(tmp_path, "intro", "1 + 2")
    digests.append(inputs_digest("intro", {"profile": "quick"}, tmp_path))
    assert [is_fresh(page_of("intro", tmp_path), digest) for digest in digests] == [True, False, False, False]
    assert len(set(digests)) == 4
    assert fresh("intro", {"profile": "quick"}, tmp_path).stat().st_mtime_ns > first
    page_of("intro", tmp_path).write_text("{")
    assert not is_fresh(page_of("intro", tmp_path), digests[-1])


def test_a_page_follows_from_the_records_that_its_chapter_finds_wherever_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_chapter(root, "intro", "from paper_lib.paths import cache_root\n\nprint('cache', cache_root())")
    for cache in ("", "caches/mine"):
        monkeypatch.setenv("PAPER_LIB_CACHE", cache)
        found = root / (cache or ".cache/paper_lib")
        assert f"cache {found}" in outputs(execute("intro", {"profile": "quick"}, root))
        seen = []
        for place in ("a", "b"):
            atomic_write(found / "records" / "training" / f"{place}.json", b"{}")
            atomic_write(elsewhere / found.relative_to(root) / "records" / "training" / f"{place}.json", b"{}")
            for directory in (root, elsewhere):
                monkeypatch.chdir(directory)
                seen.append(inputs_digest("intro", {"profile": "quick"}, root))
        assert seen[0] == seen[1] != seen[2] == seen[3]


def test_a_page_is_made_again_when_it_is_published_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_chapter(tmp_path, "intro", "1 + 1")
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert "mybinder.org" not in fresh("intro", {"profile": "quick"}, tmp_path).read_text()
    monkeypatch.setenv("GITHUB_REPOSITORY", "somebody/book")
    assert "mybinder.org/v2/gh/somebody/book" in fresh("intro", {"profile": "quick"}, tmp_path).read_text()


def test_a_chapter_that_failed_is_run_again(tmp_path: Path) -> None:
    write_chapter(tmp_path, "intro", "1 / 0")
    for _ in range(2):
        with pytest.raises(ChapterError, match="ZeroDivisionError"):
            fresh("intro", {"profile": "quick"}, tmp_path)


def test_a_page_ends_where_nobody_has_measured_what_it_would_show(tmp_path: Path) -> None:
    cells = [
        "from paper_lib.profiles import profile_of\nfrom paper_lib.studies import group_norm\n\nprint('begun')",
        "group_norm(profile_of(chapter.parameters.profile)).records()",
        "print('never')",
    ]
    write_chapter(tmp_path, "intro", "\n\n# %%\n".join(cells))
    executed = execute("intro", {"profile": "librispeech"}, tmp_path)
    page = nbformat.read(executed, as_version=4)
    assert "begun" in outputs(executed)
    assert "never" not in outputs(executed)
    told = [cell.source for cell in page.cells if "Not measured yet" in cell.source]
    assert len(told) == 1
    assert "`python -m paper_lib records --profile librispeech --make` measures what is missing" in told[0]
    assert not any("group_norm(profile_of" in cell.source for cell in page.cells)
