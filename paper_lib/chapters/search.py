"""The words around what a search finds, for a book that is opened from a file: there no page may fetch another."""

from __future__ import annotations

import html
import json
from pathlib import Path

from bs4 import BeautifulSoup

# Loaded by `book/_static/search.js`, on the page of the search alone.
TEXTS = "_static/page-texts.js"
_UNREAD = "script, style, .headerlink, details.made, .cell_input"


def publish_texts(built: Path) -> None:
    """Puts the texts of the pages of the book that is built in `built` into a script, as the search reads a page."""
    texts = {}
    for page in sorted((built / "book").glob("*.html")):
        main = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").select_one("article")
        assert main is not None, f"{page.name} has no article"
        for unread in main.select(_UNREAD):
            unread.decompose()
        text = html.escape(" ".join(main.get_text(" ").split()), quote=False)
        texts[page.relative_to(built).as_posix()] = f'<div role="main">{text}</div>'
    content = json.dumps(texts, ensure_ascii=False).replace("</", "<\\/")
    (built / TEXTS).write_text(f"globalThis.pageTexts = {content};\n", encoding="utf-8")
