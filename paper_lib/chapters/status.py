"""The status page: what produced every chapter of the book."""

from __future__ import annotations

import html
from collections.abc import Iterable

from paper_lib.chapters.provenance import PageProvenance, page_facts, provenance_list
from paper_lib.durations import duration
from paper_lib.figures.markup import Markup
from paper_lib.figures.tables import table

HEADING = """\
# Status of this book

How every page was made: when it was run, how long that took, and what computing its results took, whenever that was.
Parameters, corpora, records and the command that makes a page again are under its title.
"""

# What all pages share is said once; where they differ, it is a column.
SHARED = ("Profile", "Machine", "Versions", "Seeds")


def status_page(pages: Iterable[PageProvenance]) -> str:
    """Returns the page in MyST Markdown: the facts that all of `pages` share, and a table with a row for each."""
    pages = list(pages)
    facts = [page_facts(page) for page in pages]
    differing = [name for name in SHARED if len({fact[name] for fact in facts}) > 1]
    shared = {name: facts[0][name] for name in SHARED if name not in differing}
    link = '<a class="reference internal" href="{}.html">{}</a>'
    rows = [
        (
            Markup(link.format(page.chapter, html.escape(page.title)), page.title),
            Markup(f"<time>{page.started:%Y-%m-%d %H:%M}</time>", f"{page.started:%Y-%m-%d %H:%M}"),
            duration(page.page_seconds),
            page.computed,
            page.stored,
            duration(page.record_seconds) if page.records else "none",
            *(fact[name] for name in differing),
        )
        for page, fact in zip(pages, facts, strict=True)
    ]
    columns = ["Page", "Run (UTC)", "Took", "Computed", "Read", "Computing"]
    whole = table(
        rows,
        [*columns, *differing],
        "One row for each page that is run: results that were computed with it and read, and what computing them took.",
    )
    mixed = "".join(
        f'<p class="mixed">{html.escape(page.title)}: {html.escape(" ".join(line.split()))}</p>\n'
        for page in pages
        for line in page.mixed
    )
    return f'{HEADING}\n{provenance_list(shared)}\n{mixed}\n<div class="cell_output">{whole.html}</div>\n'
