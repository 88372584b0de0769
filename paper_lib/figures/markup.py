"""HTML that a notebook shows and that a page keeps."""

from __future__ import annotations

import html
from dataclasses import dataclass


@dataclass(frozen=True)
class Markup:
    """A piece of HTML: a notebook renders it, `text` stands for it where nothing can."""

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def paragraph(*sentences: str, name: str = "") -> Markup:
    """Returns sentences that were computed as a paragraph of the page, whose address with #`name` leads to it."""
    text = " ".join(sentences)
    anchor = f' id="{name}"' if name else ""
    return Markup(f"<p{anchor}>{html.escape(text)}</p>", text=text)


def escaped(value: object) -> str:
    """Returns the HTML of a table's cell or a caption: markup as it is, whole numbers with commas, text escaped."""
    if isinstance(value, Markup):
        return value.html
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return html.escape(str(value))
