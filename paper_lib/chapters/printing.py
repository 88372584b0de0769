"""The built book as one PDF, printed by Chromium, page after page in the order of the table of contents."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import yaml
from playwright.sync_api import Page, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import Link

from paper_lib.chapters.front import Printed, first_sheets, front_matter, running_feet
from paper_lib.files import scratch_directory

# What a reader of paper cannot use, and what the theme leaves open or shut.
_PRINT_STYLE = """
div.rerun, p.records, #jb-print-toc, details.made > summary, details.hide > summary { display: none !important }
.toggle-details__container, .bd-header-article, .prev-next-footer, .controls, button, audio { display: none !important }
.scroll { overflow: visible !important }
div.cell_input, figure, tr { break-inside: avoid }
h2, h3 { break-after: avoid }
"""

_OPENED = "details.made, details.folded, details.answer, details.claim"
_FRONT = 2  # sheets before the first page: the cover and the contents
_POINTS = 0.75  # in a pixel of CSS


class PrintError(RuntimeError):
    """The book cannot be printed; the message says what is missing."""


@dataclass(frozen=True)
class _Contents:
    """What `_toc.yml` and `_config.yml` say: the book's title and author, its pages, each with its part."""

    title: str
    author: str
    pages: list[tuple[str, str]]


def pages_in_order(root: Path) -> list[str]:
    """Returns the pages of `_toc.yml`, "book/intro" for example."""
    return [page for page, _ in _contents(root).pages]


def find_chromium() -> str | None:
    """Returns the path of the first Chromium on this machine."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def print_book(root: Path) -> Path:
    """Prints `root/_build/html` to `root/_build/book.pdf`, and returns it.

    It has a cover, contents, the number of each sheet, and a bookmark for each page. Raises PrintError without a built
    book or without Chromium.
    """
    html = root / "_build" / "html"
    contents = _contents(root)
    files = [html / f"{page}.html" for page, _ in contents.pages]
    if missing := [file for file in files if not file.is_file()]:
        raise PrintError(f"{missing[0]} is not there: build the book first (make book)")
    chromium = find_chromium()
    if chromium is None:
        raise PrintError("chromium is not installed (Debian: apt install chromium)")
    target = html.parent / "book.pdf"
    whole = PdfWriter()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_context(offline=True, color_scheme="light").new_page()
        profile, pages, sheets = _print(tab, files, [part for _, part in contents.pages])
        lines = [contents.author, f"Computed at profile {profile}"]
        links = _add_front(whole, tab, front_matter(contents.title, lines, pages, _FRONT))
        feet = PdfReader(_printed(tab, running_feet(pages, _FRONT)))
        browser.close()
    for page, reader in zip(pages, sheets, strict=True):
        whole.append(reader, outline_item=page.title)
    for sheet, foot in zip(whole.pages[_FRONT:], feet.pages, strict=True):
        sheet.merge_page(foot)
    for rectangle, first in zip(links, first_sheets(pages, _FRONT), strict=True):
        whole.add_annotation(1, Link(rect=rectangle, target_page_index=first - 1))
    whole.compress_identical_objects()
    with scratch_directory(".pdf", html.parent) as scratch:
        whole.write(scratch / target.name)
        (scratch / target.name).replace(target)
    return target


def _contents(root: Path) -> _Contents:
    said = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    parts = said.get("parts", [said])
    pages = [(entry["file"], part.get("caption", "")) for part in parts for entry in part["chapters"]]
    return _Contents(config["title"], config["author"], [(said["root"], ""), *pages])


def _print(tab: Page, files: Sequence[Path], parts: Sequence[str]) -> tuple[str, list[Printed], list[PdfReader]]:
    """Returns the profile that the first of `files` was computed at, and each on paper."""
    profile, printed, sheets = "", [], []
    for file, part in zip(files, parts, strict=True):
        tab.goto(file.as_uri())
        tab.add_style_tag(content=_PRINT_STYLE)
        tab.evaluate(f"document.querySelectorAll('{_OPENED}').forEach(folded => {{ folded.open = true }})")
        profile = profile or tab.locator("details.made summary strong").first.text_content() or ""
        content = tab.pdf(
            format="A4",
            scale=0.8,  # wide tables and lines of code fit
            margin={"top": "15mm", "bottom": "18mm", "left": "15mm", "right": "15mm"},
            print_background=True,
        )
        reader = PdfReader(BytesIO(content))
        title = tab.locator("h1").first.inner_text().strip("# \n")
        printed.append(Printed(title, part, len(reader.pages)))
        sheets.append(reader)
    return profile, printed, sheets


def _printed(tab: Page, document: str) -> BytesIO:
    tab.set_content(document)
    return BytesIO(tab.pdf(prefer_css_page_size=True))


def _add_front(whole: PdfWriter, tab: Page, document: str) -> list[tuple[float, float, float, float]]:
    """Prints cover and contents into `whole`, and returns where on the contents the links of its entries lie."""
    reader = PdfReader(_printed(tab, document))
    assert len(reader.pages) == _FRONT, f"cover and contents take {len(reader.pages)} sheets"
    # Chromium's own links lead to nothing that is printed here.
    for sheet in reader.pages:
        sheet.pop("/Annots", None)
    whole.append(reader)
    height = float(reader.pages[1].mediabox.height)
    tab.emulate_media(media="print")
    boxes = tab.evaluate(
        """() => { const top = document.querySelector(".contents").getBoundingClientRect().top;
           const boxes = [...document.querySelectorAll(".contents a")].map((entry) => entry.getBoundingClientRect());
           return boxes.map((box) => [box.left, box.top - top, box.right, box.bottom - top]); }"""
    )
    tab.emulate_media(media="screen")
    return [
        (_POINTS * left, height - _POINTS * bottom, _POINTS * right, height - _POINTS * top)
        for left, top, right, bottom in boxes
    ]
