"""Disks that are full, places that cannot be written, files that are damaged: one line, and nothing false."""

from __future__ import annotations

import json
import os
import random
import resource
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
import pytest
from click.testing import CliRunner
from faults import Command, last_line
from tiny_book import write_chapter, write_configuration
from tiny_profile import tiny_profile
from tiny_runs import TINY_CORPUS, in_process, tiny_run, train

import paper_lib.results
from paper_lib import profiles
from paper_lib.chapters.book import place_of_book
from paper_lib.chapters.provenance import page_provenance
from paper_lib.chapters.status import status_page
from paper_lib.cli import main
from paper_lib.corpus import Corpus
from paper_lib.files import StorageError, atomic_write, scratch_directory
from paper_lib.results import DamagedRecordError, Store
from paper_lib.settings import ResetSettings
from paper_lib.studies import measurements
from paper_lib.training import fit

QUESTION = ResetSettings(draws=1)
NOBODY = 65_534


def keep(directory: Path, *, published: bool = False, result: dict[str, Any] | None = None) -> Path:
    store = Store(directory, published=published)
    answer = result or {"wer": 0.5, "spoken": {"references": ["call me"]}}
    store.get_or_compute("toy", QUESTION, lambda: answer, corpus="c0ffee1", seeds=(3,))
    (path,) = (directory / "toy").iterdir()
    return path


def never() -> dict[str, Any]:
    raise AssertionError("it is computed again")


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    place = random.Random(0).randrange(len(content))
    content[place] ^= 1
    path.write_bytes(content)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def too_deep(path: Path) -> None:
    path.write_text("[" * 200_000)


DAMAGE = [flip_a_bit, cut_off, empty, too_deep]


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("which", ["record", "test"])
def test_a_damaged_published_record_is_refused_with_the_command_that_brings_it_back(
    damage: Callable[[Path], None], which: str, tmp_path: Path
) -> None:
    repository = tmp_path / "a checkout"
    path = keep(repository / "records", published=True)
    if which == "test":
        (path,) = (repository / "records" / "tests").iterdir()
    git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "records"]):
        subprocess.run([*git, *command], check=True)
    whole = path.read_bytes()
    damage(path)
    store = Store(repository / "records", published=True)
    with pytest.raises(DamagedRecordError) as caught:
        store.get_or_compute("toy", QUESTION, never, corpus="c0ffee1")
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    command = shlex.split(message.split("`")[1])
    subprocess.run(command, cwd=repository, check=True)
    assert path.read_bytes() == whole
    assert store.get_or_compute("toy", QUESTION, never, corpus="c0ffee1").result["wer"] == 0.5


def test_the_command_line_refuses_a_damaged_published_record_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurements, "published_records", lambda name: tmp_path / name)
    profile = profiles.profile_of("laptop")
    run = profile.run("S", 0)
    store = measurements.store_of(profile)
    store.get_or_compute("training", run, lambda: {"seconds": 1.0}, corpus=measurements.corpus_of(run).digest)
    (path,) = (tmp_path / "laptop" / "training").iterdir()
    cut_off(path)
    before = path.read_bytes()
    for command in (["records"], ["records", "--make"], ["run", "--study", "model_size"], ["verify"]):
        result = CliRunner().invoke(main, [*command, "--profile", "laptop"])
        assert result.exit_code == 1
        assert result.output.startswith(f"Error: the published record {path} is damaged (")
        assert result.output.count("\n") == 1
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_in_the_cache_is_noticed_named_and_made_again(
    damage: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = keep(tmp_path)
    damage(path)
    assert (
        Store(tmp_path).get_or_compute("toy", QUESTION, lambda: {"wer": 0.25}, corpus="c0ffee1").result["wer"] == 0.25
    )
    (line,) = caplog.messages
    assert str(path) in line
    assert "\n" not in line


HOSTILE = [
    ("created", "2026-01-01T00:00:00\n\n```{literalinclude} /etc/passwd\n```"),
    ("corpus", "c0ffee\n\n```{literalinclude} /etc/passwd\n```\n"),
    ("seeds", ["0\n\n# injected"]),
    ("page", "\u2028\u2028# injected"),
    ("machine", {"cpu": "x\n\n{doc}`intro`", "cores": 2, "gpu": None, "system": "y"}),
    ("machine", {"cpu": "x", "cores": "2\n\n# injected", "gpu": None, "system": "y"}),
    ("versions", {"torch\n\n# injected": "2"}),
]


@pytest.mark.parametrize(("field", "value"), HOSTILE)
def test_a_record_whose_provenance_is_more_than_lines_is_refused(
    field: str, value: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = keep(tmp_path)
    content = json.loads(path.read_bytes())
    del content["checksum"]
    content["provenance"][field] = value
    # As whoever wants to be believed would write it.
    content["checksum"] = paper_lib.results._checksum(content)
    path.write_text(json.dumps(content))
    assert Store(tmp_path).get("toy", QUESTION, "c0ffee1") is None
    (line,) = caplog.messages
    assert f"its provenance cannot be: {field}" in line
    assert "\n" not in line


def test_markup_in_a_provenance_is_text_on_the_status_page() -> None:
    evil = "x\n\n# injected\n\n```{literalinclude} /etc/passwd\n```\n<script>alert(1)</script>"
    machine = {"cpu": evil, "cores": 2, "gpu": None, "system": "y"}
    record = {
        "kind": "toy",
        "digest": "0",
        "computed": False,
        "provenance": {"created": "2026-01-01T00:00:00+00:00", "seconds": 1, "seeds": [evil], "corpus": evil}
        | {"machine": machine},
    }
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A title")])
    notebook.metadata["papermill"] = {
        "parameters": {"profile": "smoke"},
        "duration": 1.0,
        "start_time": "2026-01-01T00:00:00+00:00",
    }
    notebook.metadata["paper_lib"] = {
        "chapter": "intro",
        "records": [record],
        "corpora": [evil],
        "seeds": [],
        "machine": None,
        "versions": {"torch": evil},
        "mixed": [evil],
    }
    notebook = nbformat.from_dict(json.loads(json.dumps(notebook)))
    page = status_page([page_provenance(notebook)])
    _, _, block = page.partition('<dl class="provenance">\n')
    block = block[: block.index("</dl>")]
    # One line for each fact: the HTML has no empty line, after which Markdown would begin.
    assert all(line.startswith("<div><dt>") and line.endswith("</dd></div>") for line in block.splitlines())
    assert "<script>" not in page
    assert "\n#  injected" not in page
    assert page.count("\n# ") == 0


def write_much(directory: Path) -> None:
    """Writes more than fits: the limit on the size of files stands for a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    try:
        atomic_write(directory / "big.bin", b"x" * 100_000)
    except StorageError as error:
        (directory / "told").write_text(str(error))


def test_a_full_disk_is_told_in_a_line_that_names_the_directory_and_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "big.bin").write_bytes(b"old")
    assert in_process(write_much, tmp_path) == 0
    told = (tmp_path / "told").read_text()
    assert told.startswith(f"{tmp_path} has no room for big.bin (")
    assert "make room" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big.bin", "told"]
    assert (tmp_path / "big.bin").read_bytes() == b"old"


def train_with_little_room(cache: Path, directory: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))  # no checkpoint fits
    try:
        train(tiny_run(), cache, directory)
    except StorageError as error:
        Path(f"{directory}.told").write_text(str(error))


def test_a_training_goes_on_when_there_is_room_again(tiny_corpus: Corpus, tiny_cache: Path, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    assert in_process(train_with_little_room, tiny_cache, directory) == 0
    assert "has no room for " in Path(f"{directory}.told").read_text()
    assert not (directory / "checkpoint.safetensors").exists()
    assert in_process(train, tiny_run(), tiny_cache, directory) == 0
    assert not [path.name for path in directory.iterdir() if path.name.startswith(".") and path.name != ".lock"]


def as_somebody_else(function: Callable[[], None], told: Path) -> None:
    """Calls `function` as a user to whom the files of this test are closed; root may write everywhere."""
    if os.getuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    try:
        function()
    except StorageError as error:
        told.write_text(str(error))


def keep_a_record(directory: Path, told: Path) -> None:
    as_somebody_else(lambda: Store(directory).get_or_compute("toy", QUESTION, dict, corpus="c") and None, told)  # type: ignore[func-returns-value]


def read_a_record(directory: Path, told: Path) -> None:
    as_somebody_else(lambda: Store(directory).get("toy", QUESTION, "c0ffee1") and None, told)  # type: ignore[func-returns-value]


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory to which everyone may come; those of pytest are closed."""
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


def test_a_place_that_cannot_be_written_and_records_of_somebody_else_are_named(open_to_all: Path) -> None:
    told = open_to_all / "told"
    closed = open_to_all / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    assert in_process(keep_a_record, closed, told) == 0
    assert told.read_text() == f"{closed} must be readable and writable, and is not (Permission denied): change that"
    path = keep(open_to_all / "records")
    path.chmod(0o000)
    assert in_process(read_a_record, open_to_all / "records", told) == 0
    assert told.read_text() == f"{path} must be readable and writable, and is not (Permission denied): change that"


def test_something_else_in_the_place_of_the_cache_or_of_a_record_is_named_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("PAPER_LIB_CACHE", str(cache))
    monkeypatch.setattr(profiles, "profile_of", lambda name: tiny_profile())
    for put in (lambda: cache.write_text("mine"), lambda: cache.symlink_to(tmp_path / "nowhere")):
        put()
        result = CliRunner().invoke(main, ["records", "--profile", "smoke", "--make"])
        assert result.exit_code == 1
        last = result.output.strip().splitlines()[-1]
        assert f"{cache} is not a directory, and one is needed there: move it away" in last
        assert "PAPER_LIB_CACHE" in last
        assert "Traceback" not in result.output
        assert os.path.lexists(cache)
        cache.unlink()
    path = keep(cache)
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError, match="is a directory, and a file is needed there"):
        Store(cache).get_or_compute("toy", QUESTION, never, corpus="c0ffee1")
    path.rmdir()
    path.symlink_to(tmp_path / "nowhere")
    assert Store(cache).get_or_compute("toy", QUESTION, dict, corpus="c0ffee1").result == {}


def test_a_directory_in_the_place_of_a_checkpoint_is_named(tiny_corpus: Corpus, tmp_path: Path) -> None:
    from tiny_runs import CPU

    (tmp_path / "checkpoint.safetensors").mkdir()
    with pytest.raises(StorageError, match=r"checkpoint\.safetensors is a directory, and a file is needed there"):
        fit(tiny_run(), tiny_corpus, tmp_path, CPU)


def leave_things(directory: Path) -> None:
    """Is killed while it writes a file, and while it has a directory for temporary things."""
    with scratch_directory("scratch", directory):
        os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        atomic_write(directory / "a[b].json", b"content")


def test_what_a_killed_process_left_is_removed_by_the_next_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    assert in_process(leave_things, tmp_path) == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    with scratch_directory("scratch", tmp_path) as mine, scratch_directory("scratch", tmp_path) as second:
        atomic_write(tmp_path / "a[b].json", b"content")
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a[b].json", mine.name, second.name])
    assert [path.name for path in tmp_path.iterdir()] == ["a[b].json"]


@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o664), (0o022, 0o644), (0o077, 0o600)])
def test_who_may_read_a_checkpoint_and_a_shard_is_said_by_the_umask(umask: int, mode: int, tmp_path: Path) -> None:
    from tiny_runs import CPU

    before = os.umask(umask)
    try:
        corpus = Corpus(TINY_CORPUS, tmp_path)
        fit(tiny_run(steps=1), corpus, tmp_path / "run", CPU)
    finally:
        os.umask(before)
    written = [
        path for path in tmp_path.rglob("*") if path.is_file() and path.suffix in (".safetensors", ".json", ".npy")
    ]
    assert len(written) > 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {mode}


def a_book(html: Path, text: str) -> None:
    html.mkdir(parents=True)
    (html / ".buildinfo").touch()
    (html / "index.html").write_text(text)


def replace_and_die(root: Path, moment: int) -> None:
    """Puts a new book in the place of the old one, and is killed after `moment` renames."""
    from paper_lib.chapters import book

    rename, done = os.rename, []

    def counted(*arguments: Any) -> None:
        if len(done) == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(1)
        rename(*arguments)

    os.rename = counted  # type: ignore[assignment]
    book._replace(root / "_build" / "html", root / "built")


@pytest.mark.parametrize("moment", [0, 1])
def test_a_build_that_is_killed_between_two_renames_leaves_a_book(moment: int, tmp_path: Path) -> None:
    a_book(tmp_path / "_build" / "html", "old")
    a_book(tmp_path / "built", "new")
    assert in_process(replace_and_die, tmp_path, moment) == -signal.SIGKILL
    html = place_of_book(tmp_path)
    assert (html / "index.html").read_text() == "old"
    assert [path.name for path in html.parent.iterdir()] == ["html"]


def test_an_interrupt_between_two_renames_leaves_a_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from paper_lib.chapters import book

    a_book(tmp_path / "_build" / "html", "old")
    a_book(tmp_path / "built", "new")
    rename, done = os.rename, []

    def interrupted(*arguments: Any) -> None:
        done.append(1)
        if len(done) == 2:
            raise KeyboardInterrupt
        rename(*arguments)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        book._replace(tmp_path / "_build" / "html", tmp_path / "built")
    assert (tmp_path / "_build" / "html" / "index.html").read_text() == "old"
    assert [path.name for path in (tmp_path / "_build").iterdir()] == ["html"]


# The command of a chapter that goes on to what follows in a book.
RENDER = """
from paper_lib.chapters import book, runner
execute = runner.execute
runner.execute = lambda name, parameters, root: book.render([execute(name, parameters, root)], root)
from paper_lib.cli import main
main()
"""


@pytest.mark.book
@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}])
def test_a_checkout_whose_path_is_not_ascii_is_told_in_any_locale(locale: dict[str, str], tmp_path: Path) -> None:
    root = tmp_path / "Bücher ☃"
    write_chapter(root, "intro", 'print("Größe ☃")')
    write_configuration(root, "intro")
    command = Command(RENDER, "chapter", "intro", "--root", str(root), cwd=tmp_path, program="-c", **locale)
    code = command.process.wait()
    told = command.told.read_text(errors="replace")
    assert (code, last_line(told)) == (0, str(root / "_build" / "html" / "index.html")), told
    assert "Größe ☃" in (root / "_build" / "html" / "book" / "intro.html").read_text(encoding="utf-8")


def test_jupyter_book_is_found_though_the_environment_has_moved(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "paper_lib.chapters.jupyter_book", str(os.getpid()), "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PATH": ""})
    assert "Jupyter Book" in result.stdout
