"""The built book as one PDF, printed by Chromium, page after page in the order of the table of contents."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml
from playwright.sync_api import sync_playwright
from pypdf import PdfWriter

from paper_lib.files import scratch_directory

# What a reader of paper cannot use, and what the theme leaves open or shut.
_PRINT_STYLE = """
div.rerun, details.made > summary, details.hide > summary, .toggle-details__container { display: none !important }
.bd-header-article, .prev-next-footer, .controls { display: none !important }
.scroll { overflow: visible !important }
div.cell_input, figure, tr { break-inside: avoid }
h2, h3 { break-after: avoid }
"""

_OPENED = "details.made, details.folded, details.answer"


class PrintError(RuntimeError):
    """The book cannot be printed; the message says what is missing."""


def pages_in_order(root: Path) -> list[str]:
    """Returns the pages of `_toc.yml`, "book/intro" for example."""
    contents = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    parts = contents.get("parts", [contents])
    return [contents["root"], *(entry["file"] for part in parts for entry in part["chapters"])]


def find_chromium() -> str | None:
    """Returns the path of the first Chromium on this machine."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def print_book(root: Path) -> Path:
    """Prints `root/_build/html` to `root/_build/book.pdf`, with a bookmark for each page, and returns it.

    Raises PrintError without a built book or without Chromium.
    """
    html = root / "_build" / "html"
    pages = [html / f"{page}.html" for page in pages_in_order(root)]
    if missing := [page for page in pages if not page.is_file()]:
        raise PrintError(f"{missing[0]} is not there: build the book first (make book)")
    chromium = find_chromium()
    if chromium is None:
        raise PrintError("chromium is not installed (Debian: apt install chromium)")
    target = html.parent / "book.pdf"
    with scratch_directory(".pdf", html.parent) as scratch:
        printed = _print(pages, scratch, chromium)
        whole = PdfWriter()
        for path, title in printed:
            whole.append(path, outline_item=title)
        whole.write(scratch / target.name)
        (scratch / target.name).replace(target)
    return target


def _print(pages: Sequence[Path], directory: Path, chromium: str) -> list[tuple[Path, str]]:
    """Returns the PDFs of `pages`, with their titles."""
    printed = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_context(offline=True, color_scheme="light").new_page()
        for place, page in enumerate(pages):
            tab.goto(page.as_uri())
            tab.add_style_tag(content=_PRINT_STYLE)
            tab.evaluate(f"document.querySelectorAll('{_OPENED}').forEach(folded => {{ folded.open = true }})")
            path = directory / f"{place}.pdf"
            tab.pdf(
                path=path,
                format="A4",
                scale=0.8,  # wide tables and lines of code fit
                margin={"top": "15mm", "bottom": "18mm", "left": "15mm", "right": "15mm"},
                print_background=True,
                display_header_footer=True,
                header_template="<span></span>",
                footer_template='<div style="font-size:8px;width:100%;text-align:center">'
                '<span class="title"></span> – <span class="pageNumber"></span></div>',
            )
            printed.append((path, tab.locator("h1").first.inner_text().strip("# \n")))
        browser.close()
    return printed
