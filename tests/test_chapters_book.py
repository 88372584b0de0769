"""Pages: the provenance at their top, the status page, the strict HTML build."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from tiny_book import write_chapter, write_configuration

from paper_lib import results
from paper_lib.chapters.book import BuildError, build_book, render
from paper_lib.chapters.provenance import how_computed, page_provenance
from paper_lib.chapters.reading import minutes_to_read
from paper_lib.chapters.runner import execute
from paper_lib.chapters.status import status_page
from paper_lib.durations import duration
from paper_lib.settings import ResetSettings

# Two records of the real store, the second of another corpus; worker processes compute them.
BODY = """\
from pathlib import Path

from joblib import Parallel, delayed

from paper_lib.results import Store
from paper_lib.settings import ResetSettings

store = Store(Path("records"))


def measure(draws, seed):
    corpus = f"c0ffee{draws}"
    store.get_or_compute("toy", ResetSettings(draws=draws), lambda: {"wer": 0.5}, corpus=corpus, seeds=[seed])


Parallel(n_jobs=2)([delayed(measure)(1, 0), delayed(measure)(2, 7)])
for draws in (1, 2):
    store.get("toy", ResetSettings(draws=draws), f"c0ffee{draws}")
chapter.note(corpus="decaf", seeds=[3])
"""


@dataclass(frozen=True)
class Book:
    """A book of one chapter, run twice: at profile smoke, and at quick when its records were stored."""

    root: Path
    computed: Path
    stored: Path


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    root = tmp_path_factory.mktemp("book")
    write_chapter(root, "intro", BODY)
    write_configuration(root, "intro")
    computed = Path(shutil.copy(execute("intro", {"profile": "smoke"}, root), root / "computed.ipynb"))
    return Book(root, computed, execute("intro", {"profile": "quick"}, root))


def sources(notebook: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(notebook, as_version=4).cells]


def test_the_header_stands_right_under_the_title(book: Book) -> None:
    title, warning, header, text, *_ = sources(book.computed)
    assert title == "# All about intro"
    assert "Numbers of profile smoke mean nothing" in warning
    assert header.startswith(
        '<details class="made">\n<summary>Profile <strong>smoke</strong> · 1 min to read · 2 results · '
    )
    assert '<dl class="provenance">' in header
    assert text == "What this chapter says."


def test_what_was_found_in_short_stands_under_the_title_and_below_the_warning(tmp_path: Path) -> None:
    cells = [
        "from paper_lib.figures.markup import in_short, paragraph\n\nsays = 'It is 5 % of all.'\nparagraph('First.')",
        "in_short([says])",
        "paragraph('Last.')",
    ]
    source = write_chapter(tmp_path, "intro", "\n\n# %%\n".join(cells))
    tagged = source.read_text().replace("# %%\nin_short(", '# %% tags=["remove-input", "in-short"]\nin_short(')
    source.write_text(tagged.replace("What this chapter says.", "What it says: 7 % of `a %`."))
    page = nbformat.read(execute("intro", {"profile": "smoke"}, tmp_path), as_version=4)
    title, warning, box, header, text, *rest = page.cells
    assert title.source == "# All about intro"
    assert "mean nothing" in warning.source
    assert '<div class="in-short" id="in-short">' in box.outputs[0].data["text/html"]
    assert "It is 5\u00a0% of all." in box.outputs[0].data["text/html"]
    assert header.source.startswith('<details class="made">')
    assert text.source == "What it says: 7\u00a0% of `a %`."
    assert [cell for cell in rest if "in_short([" in cell.source] == []
    said = [output.data["text/plain"] for cell in rest for output in cell.get("outputs", ())]
    assert said == ["First.", "Last."]


def test_the_time_to_read_follows_from_the_words_that_are_read() -> None:
    def page(*cells: NotebookNode) -> NotebookNode:
        return new_notebook(cells=list(cells))

    prose = new_markdown_cell("word " * 900)
    caption = "<table><caption>" + "word " * 540 + "</caption><tr><td>" + "cell " * 5000 + "</td></tr></table>"
    shown = new_code_cell("code " * 5000, outputs=[new_output("display_data", data={"text/html": caption})])
    folded = new_markdown_cell("<details><summary>more</summary>" + "word " * 5000 + "</details>")
    fenced = new_markdown_cell("```\n" + "word " * 5000 + "\n```")
    assert minutes_to_read(page(prose)) == 5
    assert minutes_to_read(page(prose, shown, folded, fenced)) == 8
    assert minutes_to_read(page()) == 1


def test_the_header_tells_what_produced_the_page(book: Book) -> None:
    header = sources(book.computed)[2]
    for fact in ("<dd>smoke</dd>", "<dd>0, 3, 7</dd>", "<dd>decaf, c0ffee1, c0ffee2</dd>", " cores, ", "torch 2.11"):
        assert fact in header
    assert f"<dt>Run</dt><dd>{datetime.now(UTC):%Y}-" in header


def test_only_smoke_is_warned_of(book: Book) -> None:
    assert not any("mean nothing" in source for source in sources(book.stored))


def test_records_computed_now_and_read_from_the_store_are_told_apart(book: Book) -> None:
    computed, stored = (page_provenance(nbformat.read(path, as_version=4)) for path in (book.computed, book.stored))
    assert (computed.computed, computed.stored) == (2, 0)
    assert (stored.computed, stored.stored) == (0, 2)
    assert "2 results: 2 computed with this page" in how_computed(computed)
    assert f"2 results: 2 read from the store ({computed.started:%Y-%m-%d}" in how_computed(stored)


def test_a_record_that_was_there_is_read_whatever_the_date_that_it_bears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Tomorrow:
            return cls(2099, 1, 1, tzinfo=tz)

    monkeypatch.setattr(results, "datetime", Tomorrow)
    store = results.Store(tmp_path / "records")
    store.get_or_compute("toy", ResetSettings(draws=1), lambda: {"wer": 0.5}, corpus="c0ffee1")
    write_chapter(tmp_path, "intro", BODY)
    page = page_provenance(nbformat.read(execute("intro", {"profile": "quick"}, tmp_path), as_version=4))
    assert "2 results: 1 computed with this page, 1 read from the store (2099-01-01 or later)" in how_computed(page)


def test_no_plumbing_and_no_machine_path_is_left(book: Book) -> None:
    assert not any("report_provenance" in source for source in sources(book.computed))
    assert str(book.root) not in book.computed.read_text()


def test_the_status_page_tells_the_facts_of_every_chapter(book: Book) -> None:
    page = page_provenance(nbformat.read(book.computed, as_version=4))
    other = replace(page, chapter="other", title="Another", seeds=(5,), mixed=("toy/1.json rests on another <b>",))
    status = status_page([page, other])
    for fact in ("<dd>smoke</dd>", " cores, ", "torch 2.11", "Another: toy/1.json rests on another &lt;b&gt;"):
        assert status.count(fact) == 1  # what pages share is said once
    assert "<dt>Seeds</dt>" not in status
    _, first, second = status.split('<th scope="row">')
    assert first.startswith('<a class="reference internal" href="intro.html">All about intro</a>')
    assert second.startswith('<a class="reference internal" href="other.html">Another</a>')
    assert ">0, 3, 7</td>" in first
    assert ">5</td>" in second


def test_the_strict_build_passes(book: Book) -> None:
    index = render([book.stored], book.root)
    assert index == book.root / "_build" / "html" / "index.html"
    assert "book/intro.html" in index.read_text()
    html = index.with_name("book")
    assert '<dl class="provenance">' in (html / "intro.html").read_text()
    assert '<a class="reference internal" href="intro.html">' in (html / "status.html").read_text()


def test_a_warning_fails_the_build_and_leaves_the_book_that_was_there(book: Book, tmp_path: Path) -> None:
    notebook = nbformat.read(book.stored, as_version=4)
    notebook.cells.append(nbformat.v4.new_markdown_cell("See {doc}`nowhere`."))
    faulty = tmp_path / "intro.ipynb"
    nbformat.write(notebook, faulty)
    html = book.root / "_build" / "html"
    html.mkdir(parents=True, exist_ok=True)
    (html / "mark").touch()
    with pytest.raises(BuildError, match="nowhere"):
        render([faulty], book.root)
    assert (html / "mark").exists()
    assert sorted(path.name for path in html.parent.iterdir()) == [".lock", "chapters", "html"]


@pytest.fixture
def html(tmp_path: Path) -> Path:
    """Where a book goes that has not been built: `tmp_path/_build/html`."""
    write_chapter(tmp_path, "intro", BODY)
    write_configuration(tmp_path, "intro")
    (tmp_path / "_build").mkdir()
    return tmp_path / "_build" / "html"


def put_an_old_book(directory: Path) -> None:
    for name in (".git", "old"):
        (directory / name).mkdir(parents=True)
    for name in (".buildinfo", "old.html"):
        (directory / name).touch()


def holds_the_new_book_alone(directory: Path) -> bool:
    """Whether `directory` holds the new book, nothing of the old one, and still what is none of a book's."""
    there = [name for name in ("book/intro.html", ".git", "old", "old.html") if (directory / name).exists()]
    return there == ["book/intro.html", ".git"]


def test_a_link_stays_and_leads_to_the_new_book(book: Book, html: Path, tmp_path: Path) -> None:
    served = tmp_path / "served"
    put_an_old_book(served)
    html.symlink_to(served)
    render([book.stored], tmp_path)
    assert html.is_symlink()
    assert holds_the_new_book_alone(served)


def test_a_mount_point_stays_and_holds_the_new_book(book: Book, html: Path, tmp_path: Path) -> None:
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*namespace, "true"], check=False).returncode:
        pytest.skip("this machine lets no user mount")
    served = tmp_path / "served"
    put_an_old_book(served)
    html.mkdir()
    program = (
        f"from pathlib import Path; from paper_lib.chapters.book import render; render([Path({str(book.stored)!r})]"
    )
    command = ["sh", "-c", 'mount --bind "$1" "$2" && exec "$3" -c "$4"', "sh", served, html, sys.executable]
    command.append(f"{program}, Path({str(tmp_path)!r}))")
    subprocess.run([*namespace, *command], check=True)
    assert holds_the_new_book_alone(served)
    assert list(html.iterdir()) == []


def test_a_link_to_something_else_than_a_book_is_refused_before_anything_is_computed(
    html: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path / "cache"))
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "dear.txt").touch()
    html.symlink_to(letters)
    with pytest.raises(BuildError, match="letters, which is neither a book nor empty"):
        build_book("smoke", tmp_path)
    assert (letters / "dear.txt").exists()
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (59.4, "59 s"), (59.7, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations_in_two_units_at_most(seconds: float, words: str) -> None:
    assert duration(seconds) == words
