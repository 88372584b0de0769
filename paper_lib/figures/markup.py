"""HTML that a notebook shows and that a page keeps."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from paper_lib.typography import minus_signs


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
    return Markup(f"<p{anchor}>{escaped(text)}</p>", text=text)


def in_short(sentences: Sequence[str], published: str = "") -> Markup:
    """Returns what a page has found, in a box: `sentences`, and what is `published` where that is another profile's."""
    paragraphs = [" ".join(sentences), *([published] if published else [])]
    told = "\n".join(f"<p>{escaped(text)}</p>" for text in paragraphs)
    return Markup(
        f'<div class="in-short" id="in-short">\n<p class="heading">In short</p>\n{told}\n</div>',
        text="\n".join(["In short", *paragraphs]),
    )


def folded_answers(questions: Sequence[tuple[str, str]]) -> Markup:
    """Returns questions to the reader, each with an answer that opens."""
    return Markup(
        "\n".join(
            f'<details class="answer">\n<summary>{escaped(asked)}</summary>\n<p>{escaped(answer)}</p>\n</details>'
            for asked, answer in questions
        ),
        text="\n".join(f"{asked} {answer}" for asked, answer in questions),
    )


def escaped(value: object) -> str:
    """Returns the HTML of a table's cell, a caption or a sentence: markup as it is, whole numbers with commas.

    Text is escaped; its negative numbers get minus signs.
    """
    if isinstance(value, Markup):
        return value.html
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return html.escape(with_units(minus_signs(str(value))))


def with_units(text: str) -> str:
    """Returns text in which no line ends between a number and its per cent sign."""
    return re.sub(r"(?<=[\d\]]) %", "\u00a0%", text)
