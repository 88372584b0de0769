"""Builds the book: computes its records, runs every chapter, and lets Jupyter Book render what the chapters left.

Nothing is executed twice: chapters find their records in the store, a page that would come out the same stays, and
Jupyter Book executes nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import as_completed
from contextlib import AbstractContextManager
from pathlib import Path

import joblib
import nbformat

from paper_lib.chapters.crate import publish_metadata
from paper_lib.chapters.declarations import CHAPTERS
from paper_lib.chapters.provenance import page_provenance
from paper_lib.chapters.runner import fresh
from paper_lib.chapters.search import publish_texts
from paper_lib.chapters.sources import source_of
from paper_lib.chapters.status import status_page
from paper_lib.files import scratch_directory
from paper_lib.locks import locked
from paper_lib.paths import cache_root, published_records
from paper_lib.profiles import PUBLISHED, profile_of, resolve
from paper_lib.studies import STUDIES
from paper_lib.studies.measurements import compute_missing, is_published, store_of
from paper_lib.workers import Workers

RECOGNISING = "speak"  # the chapter with a recogniser in its page

COLAB_CELL = """\
import os
import sys

if "google.colab" in sys.modules:
    # The published records come with the repository, not with the library.
    !git clone --quiet --depth 1 https://github.com/{repository} repository
    %pip install --quiet --editable "./repository[book]"
    sys.path.insert(0, os.path.abspath("repository"))
"""


class BuildError(RuntimeError):
    """Jupyter Book refused the pages, or warned of them, which counts as much; or there is no place for the book."""


def build_book(profile: str, root: Path) -> Path:
    """Makes all chapters at `profile`, a name or a file, and returns the book's first page: `_build/html/index.html`.

    Raises:
        ProfileError: there is no such profile; nothing has run.
        ChapterError: a cell of a chapter raised an exception.
        BuildError: see there; where no book can be put, before anything is computed.
    """
    profile = resolve(profile)  # chapters run in another directory
    settings = profile_of(profile)
    with _building(root):
        place_of_book(root)
        if not is_published(settings):
            # The trainings of all chapters come first and share the cores; then the chapters, with little left to do.
            with contextlib.chdir(root):
                compute_missing([study(settings) for study in STUDIES.values()], store_of(settings))
        return _render(_pages_of(profile, root), root)


def _building(root: Path) -> AbstractContextManager[None]:
    """Holds the lock on the book of `root`: of two builds at a time, one waits."""
    return locked(root / "_build" / ".lock", f"the book in {root}")


def _pages_of(profile: str, root: Path) -> list[Path]:
    """Returns the executed notebooks of all chapters."""
    count = min(len(CHAPTERS), joblib.cpu_count())
    threads = max(1, joblib.cpu_count() // count)
    with Workers(count, {"OMP_NUM_THREADS": str(threads)}) as workers:
        # From the last: that one trains a model of its own, and takes longest.
        pages = {name: workers.submit(fresh, name, {"profile": profile}, root) for name in reversed(CHAPTERS)}
        for done in as_completed(pages.values()):
            done.result()  # raises at once what one of them has raised
        return [pages[name].result() for name in CHAPTERS]


def render(notebooks: Sequence[Path], root: Path) -> Path:
    """Renders executed notebooks by `root`'s `_config.yml` and `_toc.yml`; returns the first page.

    A book that stands in `root/_build/html` is replaced once the new one is complete.

    Raises:
        BuildError: see there.
    """
    with _building(root):
        return _render(notebooks, root)


def _render(notebooks: Sequence[Path], root: Path) -> Path:
    html = place_of_book(root)
    with scratch_directory(".html", html.parent) as scratch:
        pages, output = scratch / "pages", scratch / "output"
        gather(notebooks, root, pages)
        command = [sys.executable, "-m", "paper_lib.chapters.jupyter_book", str(os.getpid())]
        command += ["build", str(pages), "--path-output", str(output), "-W", "-n", "--keep-going"]
        # It prints where the book is, whatever the locale can spell.
        environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8"}
        build = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", env=environment, check=False
        )
        if build.returncode:
            raise BuildError(f"Jupyter Book did not build the pages without a warning:\n{build.stderr.strip()}")
        built = output / "_build" / "html"
        publish_notebooks(notebooks, root, built / "notebooks")
        made = [page_provenance(nbformat.read(notebook, as_version=4)) for notebook in notebooks]
        publish_metadata(made, [cache_root() / "records", *map(published_records, PUBLISHED)], built)
        if any(path.stem == RECOGNISING for path in notebooks):
            publish_recogniser(built / "recogniser")
        publish_texts(built)
        _replace(html, built)
    return html / "index.html"


def place_of_book(root: Path) -> Path:
    """Returns `root/_build/html`, with the book that a build which was killed has put aside back in its place.

    Raises BuildError where it is a link or a mount point and leads to no book.
    """
    html = root / "_build" / "html"
    aside = _aside(html)
    if os.path.lexists(html):
        shutil.rmtree(aside, ignore_errors=True)
    elif aside.is_dir():
        aside.rename(html)
    if html.is_symlink() or html.is_mount():
        _check_content(html)
    return html


def _aside(html: Path) -> Path:
    """Returns where a book is for the moment in which the new one takes its place."""
    return html.with_name(".html-replaced")


def _check_content(html: Path) -> None:
    """Raises BuildError where something stands at `html` that is neither a book nor an empty directory."""
    # Sphinx leaves .buildinfo in what it builds.
    if html.exists() and not (html / ".buildinfo").exists() and not (html.is_dir() and not _pages(html)):
        raise BuildError(f"{html} leads to {html.resolve()}, which is neither a book nor empty: nothing is built there")


def _pages(html: Path) -> list[Path]:
    """Returns what another book takes the place of; names with a dot first, .git for example, are none of a book's."""
    return [path for path in html.iterdir() if not path.name.startswith(".")]


def _replace(html: Path, built: Path) -> None:
    """Puts the book `built` in place of the one at `html`; a link or a mount point stays and gets a new content."""
    if not html.is_symlink():
        aside = _aside(html)
        try:
            if html.exists():
                os.rename(html, aside)
            os.rename(built, html)
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            _check_content(html)
        finally:
            # Whatever has come between, there is a book: the new one or the old one.
            if aside.is_dir() and not html.exists():
                os.rename(aside, html)
            shutil.rmtree(aside, ignore_errors=True)
    html.resolve().mkdir(parents=True, exist_ok=True)
    for path in _pages(html):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.copytree(built, html, dirs_exist_ok=True)


def publish_notebooks(notebooks: Sequence[Path], root: Path, directory: Path) -> None:
    """Puts the executed notebooks and their sources into `directory`, for download and for Colab.

    On Colab a notebook first fetches this library with the published records; elsewhere that cell does nothing.
    """
    directory.mkdir()
    repository = os.environ.get("GITHUB_REPOSITORY")
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        if repository:
            notebook.cells.insert(0, nbformat.v4.new_code_cell(COLAB_CELL.format(repository=repository)))
        nbformat.write(notebook, directory / path.name)
        shutil.copy(source_of(path.stem, root), directory)


def publish_recogniser(directory: Path) -> None:
    """Puts the recogniser and the synthesiser of the page into `directory`, with the licences of what they run."""
    # Takes torch, and onnx, which whoever renders other pages does without.
    from paper_lib.browser.export import recogniser_script, runtime
    from paper_lib.browser.synthesis import licensed, synthesiser_script

    directory.mkdir()
    (directory / "recogniser.js").write_text(recogniser_script(), encoding="utf-8")
    (directory / "LICENSE").write_bytes(runtime("LICENSE"))
    (directory / "synthesiser.js").write_text(synthesiser_script(), encoding="utf-8")
    for name in ("COPYING", "README.md"):
        (directory / f"synthesiser-{name}").write_bytes(licensed(name))


def gather(notebooks: Sequence[Path], root: Path, pages: Path) -> None:
    """Puts into `pages` what Jupyter Book reads: configuration, notebooks, prose, status page, static files.

    The licence and the citation go with them, because the first page links to them.
    """
    chapters = pages / "book"
    chapters.mkdir(parents=True)
    for name in ("_config.yml", "_toc.yml", "LICENSE", "CITATION.cff"):
        shutil.copy(root / name, pages)
    if (static := root / "book" / "_static").is_dir():
        shutil.copytree(static, pages / "_static")
    for page in (*notebooks, *(root / "book").glob("*.md"), *(root / "book").glob("*.bib")):
        shutil.copy(page, chapters)
    status = status_page(page_provenance(nbformat.read(notebook, as_version=4)) for notebook in notebooks)
    (chapters / "status.md").write_text(status, encoding="utf-8")
