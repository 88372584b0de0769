"""Links of a built book: what leads nowhere is named with its page, what leads somewhere is not."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from paper_lib.chapters.links import broken_links, silent_addresses
from paper_lib.cli import main

ANSWERS = {"/there": 200, "/for-browsers-only": 403, "/gone": 404}


@pytest.fixture
def html(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of a built book with one page, which links to nothing."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    html = tmp_path / "_build" / "html"
    html.mkdir(parents=True)
    (html / "index.html").touch()
    return html


class Site(ThreadingHTTPServer):
    """A site that answers as `ANSWERS` says, and counts how often it was asked what."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[str] = Counter()
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked[self.path] += 1
        self.send_response(ANSWERS[self.path])
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Leaves the log of requests out."""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.01,))
        thread.start()
        yield site
        site.shutdown()
        thread.join()


@pytest.fixture
def refusing() -> str:
    """An address at which nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/"


def test_a_link_to_no_file_and_one_to_no_anchor_are_broken(html: Path) -> None:
    (html / "book").mkdir()
    (html / "a sound.flac").touch()
    (html / "index.html").write_text(
        '<h1 id="top">Book</h1> <a href="#top">here</a> <a href="#bottom">nowhere</a> <a href="book/one.html#part">one'
        '</a> <a href="book/one.html#other">no part of one</a> <a href="book/two.html">two</a>'
        '<audio src="a%20sound.flac"></audio> <img src="picture.png"> <img src="data:image/png;base64,AA=="/>'
        '<a href="mailto:someone@example.org">someone</a> <a href="https://example.org/#nowhere">elsewhere</a>'
    )
    (html / "book" / "one.html").write_text(
        '<p id="part"></p> <a href="../index.html?q=1#top">up</a> <a href="../../out">out of the book</a>'
    )
    (html.parent / "out").touch()
    assert broken_links(html) == [
        "book/one.html: ../../out",
        "index.html: #bottom",
        "index.html: book/one.html#other",
        "index.html: book/two.html",
        "index.html: picture.png",
    ]


def test_an_address_is_asked_once_and_named_with_its_pages_if_it_does_not_answer(
    html: Path, site: Site, refusing: str
) -> None:
    links = "".join(f'<a href="{site.address}{path}">{path}</a>' for path in ANSWERS)
    (html / "index.html").write_text(f'{links} <a href="{site.address}/there#part">a part</a>')
    (html / "more.html").write_text(f'<a href="{site.address}/gone">gone</a> <a href="{refusing}">refused</a>')
    gone, refused = silent_addresses(html)
    assert gone == f"index.html, more.html: {site.address}/gone (HTTP Error 404: Not Found)"
    assert refused.startswith(f"more.html: {refusing} (")
    assert "refused" in refused
    assert site.asked == dict.fromkeys(ANSWERS, 1)


def test_an_address_has_only_so_much_time(html: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"http://127.0.0.1:{mute.getsockname()[1]}/"
        (html / "index.html").write_text(f'<a href="{address}">mute</a>')
        assert silent_addresses(html, timeout=0.1) == [f"index.html: {address} (timed out)"]


def test_the_command_fails_where_a_link_leads_nowhere(html: Path, site: Site) -> None:
    command = ["links", "--root", str(html.parents[1])]
    (html / "index.html").write_text(f'<a href="{site.address}/there">there</a>')
    assert CliRunner().invoke(main, command).exit_code == 0
    (html / "index.html").write_text(f'<a href="{site.address}/gone">gone</a> <a href="nowhere.html">nowhere</a>')
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "index.html: nowhere.html" in result.output
    assert f"index.html: {site.address}/gone" in result.output


def test_the_command_asks_for_a_built_book(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["links", "--root", str(tmp_path)])
    assert result.exit_code == 1
    assert "build the book first (make book)" in result.output
