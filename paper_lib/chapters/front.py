"""What a printed book has and pages on a screen have not: a cover, contents with page numbers, running feet."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

_STYLE = """
@page { size: A4; margin: 0 }
body { font-family: "DejaVu Sans", Arial, sans-serif; margin: 0; width: 210mm }
section { box-sizing: border-box; height: 297mm; padding: 25mm 25mm 0; break-after: page; position: relative }
.cover { padding-top: 90mm }
.cover h1 { font-size: 30pt; line-height: 1.2; margin: 0 0 12mm }
.cover p { font-size: 12pt; margin: 0 0 3mm }
h2 { font-size: 13pt; margin: 7mm 0 2mm }
.contents a { color: inherit; display: flex; font-size: 11pt; margin: 1.2mm 0; text-decoration: none }
.contents a span:nth-child(2) { border-bottom: 1px dotted #888; flex: 1; margin: 0 2mm 1mm }
.foot { padding: 0 15mm; bottom: 9mm; color: #444; display: flex; font-size: 8pt; justify-content: space-between;
  left: 0; position: absolute; right: 0 }
"""


@dataclass(frozen=True)
class Printed:
    """A page of the book on paper: its title, the part that it belongs to (the first has none), its sheets."""

    title: str
    part: str
    sheets: int


def first_sheets(pages: Sequence[Printed], before: int) -> list[int]:
    """Returns on which sheet, from 1, each page begins where `before` sheets stand before the first."""
    return [1 + before + sum(page.sheets for page in pages[:place]) for place in range(len(pages))]


def front_matter(title: str, lines: Sequence[str], pages: Sequence[Printed], before: int) -> str:
    """Returns the cover, which says `lines` below the book's `title`, and the contents, as HTML.

    An entry links to `#PLACE`, the place of its page, for whoever prints it.
    """
    entries = []
    part = ""
    for place, (page, sheet) in enumerate(zip(pages, first_sheets(pages, before), strict=True)):
        if page.part != part:
            part = page.part
            entries.append(f"<h2>{html.escape(part)}</h2>")
        cells = "".join(f"<span>{html.escape(cell)}</span>" for cell in (page.title, "", str(sheet)))
        entries.append(f'<a href="#{place}">{cells}</a>')
    told = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    return _document(
        f'<section class="cover"><h1>{html.escape(title)}</h1>{told}</section>'
        f'<section class="contents"><h1>Contents</h1>{"".join(entries)}</section>'
    )


def running_feet(pages: Sequence[Printed], before: int) -> str:
    """Returns a sheet of HTML for every sheet of `pages`, with nothing but the page's title and the sheet's number."""
    titles = [page.title for page in pages for _ in range(page.sheets)]
    return _document(
        "".join(
            f'<section><div class="foot"><span>{html.escape(title)}</span><span>{sheet}</span></div></section>'
            for sheet, title in enumerate(titles, 1 + before)
        )
    )


def _document(body: str) -> str:
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><style>{_STYLE}</style>{body}</html>'
