"""The links of a built book: inside it they lead to a file and an anchor, outside to something that answers."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import unquote, urldefrag, urlsplit
from urllib.request import Request, urlopen

# What some publishers answer to every program: the address is right, and a browser opens it.
REFUSALS = (401, 403, 429)


class Page(HTMLParser):
    """What a page links to, and the anchors that lead to its parts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.links.add(value)
            elif value and name == "id":
                self.anchors.add(value)


def read_pages(html: Path) -> dict[Path, Page]:
    """Returns the pages of the book that is built in `html`, by their paths; the theme's templates are none."""
    return {path: Page(path) for path in sorted(html.rglob("*.html")) if html / "_static" not in path.parents}


def broken_links(html: Path) -> list[str]:
    """Returns "PAGE: LINK" for every link inside the book that leads to no file of it, or to no anchor of a page."""
    html = html.resolve()
    pages = read_pages(html)
    return [
        f"{path.relative_to(html)}: {link}"
        for path, page in pages.items()
        for link in sorted(page.links)
        if not _leads_somewhere(link, path, pages, html)
    ]


def _leads_somewhere(link: str, path: Path, pages: Mapping[Path, Page], html: Path) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:  # not inside the book
        return True
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not (target.is_file() and target.is_relative_to(html)):
        return False
    return not parts.fragment or target not in pages or unquote(parts.fragment) in pages[target].anchors


def silent_addresses(html: Path, timeout: float = 20) -> list[str]:
    """Returns "PAGES: ADDRESS (REASON)" for every address outside the book that does not answer.

    Each is asked once, whatever number of pages it stands on, and has `timeout` seconds.
    """
    pages_of: dict[str, list[str]] = {}
    for path, page in read_pages(html).items():
        for address in sorted({urldefrag(link).url for link in page.links if urlsplit(link).scheme.startswith("http")}):
            pages_of.setdefault(address, []).append(str(path.relative_to(html)))
    with ThreadPoolExecutor(max_workers=16) as threads:
        reasons = list(threads.map(lambda address: _silence(address, timeout), pages_of))
    return [
        f"{', '.join(pages)}: {address} ({reason})"
        for (address, pages), reason in zip(pages_of.items(), reasons, strict=True)
        if reason
    ]


def _silence(address: str, timeout: float) -> str:
    """Returns why an address does not answer; nothing if it does."""
    # Some sites turn away what does not look like a browser.
    request = Request(address, headers={"User-Agent": "Mozilla/5.0"})
    try:
        with urlopen(request, timeout=timeout):
            return ""
    except HTTPError as error:
        return "" if error.code in REFUSALS else str(error)
    except (OSError, HTTPException, ValueError) as error:
        return str(error)
