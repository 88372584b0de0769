"""The status page: what produced every chapter of the book."""

from __future__ import annotations

from collections.abc import Iterable

from paper_lib.chapters.provenance import PageProvenance, provenance_list

HEADING = """\
# Status of this book

How every page was made: with which profile and parameters, on what, and how long it took. *Run* is when the page was
run and how long that took; *Results* says what was computed with it and what was read from the store.
"""


def status_page(pages: Iterable[PageProvenance]) -> str:
    """Returns the page in MyST Markdown, with a section for each of `pages` that links to its chapter."""
    sections = (f"## {{doc}}`{page.title} <{page.chapter}>`\n\n{provenance_list(page)}\n" for page in pages)
    return "\n".join([HEADING, *sections])
