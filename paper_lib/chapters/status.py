"""The status page: what produced every chapter of the book, in one table."""

from __future__ import annotations

import html
from collections.abc import Iterable

from paper_lib.chapters.provenance import PageProvenance, page_facts

COLUMNS = ("Profile", "Parameters", "Seeds", "Corpus", "Machine", "Run", "Results")

HEADING = """\
# Status of this book

How every page was made: with which profile and parameters, on what, and how long it took. *Run* is when the page was
run and how long that took; *Results* says what was computed with it and what was read from the store.
"""


def status_page(pages: Iterable[PageProvenance]) -> str:
    """Returns the page in MyST Markdown, with a row for each of `pages` that links to its chapter."""
    header = ("Chapter", *COLUMNS)
    lines = [HEADING, _row(header), _row("---" for _ in header)]
    for page in pages:
        facts = page_facts(page)
        lines.append(_row((f"{{doc}}`{page.chapter}`", *(_cell(facts[column]) for column in COLUMNS))))
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Returns a cell that shows `text` as it is, whatever Markdown would make of it."""
    return f"<span>{html.escape(text).replace('|', '&#124;')}</span>"
