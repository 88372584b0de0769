"""How long a page takes to read, by its words."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from nbformat import NotebookNode

# Words a minute of one who reads a foreign language; native readers take some 240 (Brysbaert 2019).
PACE = 180
# Looked at, operated or opened, but not read from end to end.
_NOT_READ = ("table", "details", "script", "style", "svg", "select", "math")


def minutes_to_read(notebook: NotebookNode) -> int:
    """Returns how many minutes the prose and the captions of an executed notebook take, 1 at least."""
    words = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            words += _words(re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL))
        for output in cell.get("outputs", ()):
            words += _words(output.get("data", {}).get("text/html", ""))
    return max(1, round(words / PACE))


def _words(source: str) -> int:
    text = _Text()
    text.feed(source)
    text.close()
    return len(re.findall(r"\w+", " ".join(text.read)))


class _Text(HTMLParser):
    """Collects the text of HTML that one reads; captions of tables are part of it."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in (*_NOT_READ, "caption"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open and tag == self._open[-1]:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if not self._open or (self._open[-1] == "caption" and "details" not in self._open):
            self.read.append(data)
