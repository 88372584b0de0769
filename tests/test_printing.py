"""The PDF of the built book, printed by a real browser."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import pytest
from pypdf import PdfReader
from tiny_book import write_configuration

from paper_lib.chapters.printing import PrintError, pages_in_order, print_book


@pytest.fixture(scope="module")
def pdf(chromium: str, built_book: Path) -> PdfReader:
    return PdfReader(print_book(built_book))


@pytest.fixture(scope="module")
def texts(pdf: PdfReader) -> list[str]:
    """What stands on each sheet, in one line."""
    return [" ".join(page.extract_text().split()) for page in pdf.pages]


@pytest.mark.book
def test_the_bookmarks_are_the_pages_in_the_order_of_the_contents(
    built_book: Path, pdf: PdfReader, texts: list[str]
) -> None:
    titles = [entry.title for entry in pdf.outline]
    assert len(titles) == len(pages_in_order(built_book))
    assert titles[0] == "Which layers of a speech recogniser matter?"
    assert titles[-3:] == ["API reference", "Glossary", "Bibliography"]
    places = [pdf.get_destination_page_number(entry) for entry in pdf.outline]
    assert places == sorted(set(places))
    assert places[0] == 2  # after the cover and the contents
    for title, place in zip(titles, places, strict=True):
        assert title in texts[place]


@pytest.mark.book
def test_the_cover_the_contents_and_the_foot_of_every_sheet(pdf: PdfReader, texts: list[str]) -> None:
    cover, contents, *sheets = (unicodedata.normalize("NFKC", text) for text in texts)  # ligatures apart
    assert "Layers of a speech recogniser" in cover
    assert "profile smoke" in cover
    assert "Findings" in contents
    ends = [pdf.get_destination_page_number(entry) for entry in pdf.outline]
    for entry, place in zip(pdf.outline, ends, strict=True):
        assert f"{' '.join(entry.title.split())} {place + 1}" in contents
    for number, text in enumerate(sheets, 3):
        title = next(entry.title for entry, place in zip(pdf.outline[::-1], ends[::-1], strict=True) if place < number)
        assert text.endswith(f"{title} {number}")
    links = [link.get_object() for link in pdf.pages[1]["/Annots"]]
    assert [pdf.get_page_number(link["/Dest"][0].get_object()) for link in links] == ends
    heights = [float(link["/Rect"][1]) for link in links]
    assert heights == sorted(heights, reverse=True)
    assert all(50 < height < 800 for height in heights)


@pytest.mark.book
def test_what_only_a_screen_can_use_is_not_printed(texts: list[str]) -> None:
    text = " ".join(texts)
    assert "python -m paper_lib chapter" in text
    assert "Show code cell source" not in text


def test_a_book_that_was_not_built_is_named(tmp_path: Path) -> None:
    write_configuration(tmp_path, "intro")
    with pytest.raises(PrintError, match=r"intro\.html is not there: build the book first"):
        print_book(tmp_path)


def test_without_a_browser_the_user_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_configuration(tmp_path, "intro")
    pages = tmp_path / "_build" / "html" / "book"
    pages.mkdir(parents=True)
    for name in ("intro", "status"):
        (pages / f"{name}.html").touch()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(PrintError, match="chromium is not installed"):
        print_book(tmp_path)
