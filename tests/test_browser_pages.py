"""Every page of the built book in a real browser without a network: at both widths, in both themes."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from matplotlib.image import imread
from playwright.sync_api import Browser, Page
from tiny_book import CHECKOUT

from paper_lib.chapters.declarations import CHAPTERS
from paper_lib.chapters.printing import pages_in_order

pytestmark = pytest.mark.book

PAGES = [Path(page).name for page in pages_in_order(CHECKOUT)]
DESKTOP, PHONE = {"width": 1300, "height": 900}, {"width": 390, "height": 844}
PATIENCE = 90_000  # ms; machines are slow when they are shared
# axe fetches style sheets again to see its rules of orientation, which a page opened from a file may not.
AXE_OPTIONS = {"resultTypes": ["violations"], "preload": False}
MEGABYTE = 1e6
# Of drawings: pixels beyond their place, size as a share of that which they were drawn at, colours that are seen.
DRAWINGS = """drawings => drawings.map((drawing) => {
  const svg = drawing.querySelector("svg");
  const width = svg.getBoundingClientRect().width;
  const seen = [...svg.querySelectorAll("path, use")].filter((shape) => !shape.closest("defs"));
  return {
    name: svg.getAttribute("aria-label"),
    shown: drawing.className,
    beyond: width - drawing.parentElement.clientWidth,
    scale: width / (svg.viewBox.baseVal.width * 96 / 72),
    colours: [...new Set(seen.flatMap((shape) => [getComputedStyle(shape).fill, getComputedStyle(shape).stroke]))],
  };
})"""


@pytest.fixture(params=PAGES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def complaints() -> list[str]:
    """What the browser says of a page: errors on its console, and addresses outside the book that it asked for."""
    return []


@pytest.fixture
def page(browser: Browser, built_book: Path, name: str, complaints: list[str]) -> Iterator[Page]:
    context = browser.new_context(offline=True, color_scheme="light", viewport=DESKTOP)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: None if local(request.url) else complaints.append(request.url))
    page.goto((built_book / "_build" / "html" / "book" / f"{name}.html").as_uri())
    page.add_style_tag(content="* { transition: none !important }")  # colours would fade into those of another theme
    yield page
    context.close()


def local(address: str) -> bool:
    return address.startswith(("file:", "data:", "blob:"))


def set_theme(page: Page, theme: str) -> None:
    """Sets what the reader's system prefers; the page follows."""
    page.emulate_media(color_scheme=theme)
    page.wait_for_function("theme => document.documentElement.dataset.theme === theme", arg=theme)


def test_a_page_works_without_a_network_and_without_a_fault(page: Page, complaints: list[str]) -> None:
    page.wait_for_timeout(300)  # ms, for what comes late
    assert page.locator("article h1").count() == 1
    assert complaints == []


def test_a_page_has_no_serious_fault_of_accessibility(page: Page) -> None:
    """Contrast depends on the theme alone, everything else on the width alone."""
    contrast = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
    structure = {"rules": {"color-contrast": {"enabled": False}}}
    for theme, viewport, rules in (("light", DESKTOP, {}), ("dark", DESKTOP, contrast), ("light", PHONE, structure)):
        page.set_viewport_size(viewport)
        # Some time after a change of width the theme lets the keyboard reach what now has to be scrolled.
        page.wait_for_function(
            "[...document.querySelectorAll('pre')].every((e) => e.scrollWidth <= e.clientWidth || e.tabIndex >= 0)"
        )
        set_theme(page, theme)
        found = Axe().run(page, options=AXE_OPTIONS | rules)
        faults = [fault for fault in found.response["violations"] if fault["impact"] in ("serious", "critical")]
        assert faults == [], f"{theme}, {viewport['width']} pixels wide: {found.generate_report()}"


def test_a_page_fits_its_window_and_follows_the_theme(page: Page, name: str, tmp_path: Path) -> None:
    """Screenshots go to the directory that the environment names SCREENSHOTS, if it does."""
    pictures = Path(os.environ.get("SCREENSHOTS", tmp_path))
    pictures.mkdir(parents=True, exist_ok=True)
    for width, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
        page.set_viewport_size(viewport)
        for theme in ("light", "dark"):
            set_theme(page, theme)
            beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert beyond == 0, f"{beyond} pixels beyond the window at {width}"
            picture = page.screenshot(path=pictures / f"{name}-{width}-{theme}.png", full_page=True)
            pixels = imread(io.BytesIO(picture))[..., :3]
            assert pixels.shape[1] == viewport["width"]
            assert (np.median(pixels) > 0.9) if theme == "light" else (np.median(pixels) < 0.2)


def test_a_figure_has_room_and_the_colours_of_the_theme(page: Page) -> None:
    set_theme(page, "dark")
    for viewport, shown in ((DESKTOP, "wide"), (PHONE, "narrow")):
        page.set_viewport_size(viewport)
        for drawing in page.locator("figure.drawing > :is(.wide, .narrow):visible").evaluate_all(DRAWINGS):
            assert drawing["shown"] == shown, drawing
            assert drawing["beyond"] <= 1, drawing
            assert drawing["scale"] > 0.9, drawing
            assert not {"rgb(0, 0, 0)", "rgb(255, 255, 255)"} & set(drawing["colours"]), drawing


@pytest.mark.parametrize("name", CHAPTERS, indirect=True)
def test_every_picture_is_drawn_and_every_sound_can_be_played(page: Page) -> None:
    sizes = page.locator("article img").evaluate_all("images => images.map((image) => image.naturalWidth)")
    assert all(sizes)
    page.wait_for_function(
        "[...document.querySelectorAll('audio[src]')].every((sound) => sound.readyState || sound.error)"
    )
    sounds = page.locator("audio[src]").evaluate_all("sounds => sounds.map((sound) => sound.duration)")
    assert all(0.2 < seconds < 60 for seconds in sounds)


@pytest.mark.parametrize("name", CHAPTERS, indirect=True)
def test_a_page_is_light_but_for_its_sounds(built_book: Path, name: str) -> None:
    """Holds at profile smoke; `benchmarks/measure.py pages` measures those of any built book."""
    text = (built_book / "_build" / "html" / "book" / f"{name}.html").read_text()
    assert len(re.sub(r'src="data:audio/[^"]*"', "", text).encode()) < 1.5 * MEGABYTE


@pytest.mark.parametrize("name", ["intro"], indirect=True)
def test_the_search_finds_a_term_and_shows_the_words_around_it(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.keyboard.type("ambient")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")
    found = page.locator("#search-results li a").evaluate_all("links => links.map((link) => link.textContent)")
    assert "Glossary" in found
    shown = page.locator("#search-results li", has=page.get_by_role("link", name="Glossary", exact=True)).last
    shown.locator(".context").wait_for()
    assert "ambient" in shown.locator(".context").inner_text().lower()


@pytest.mark.parametrize("name", ["claims"], indirect=True)
def test_a_claim_opens_to_its_rule_and_its_numbers(page: Page) -> None:
    claim = page.locator("details.claim").first
    rule = claim.get_by_text("We call it reproduced if")
    assert not rule.is_visible()
    claim.locator("summary").click()
    assert rule.is_visible()
    assert claim.get_by_text("Measured at laptop").is_visible()
    claim.locator("summary").press("Enter")
    assert not rule.is_visible()


@pytest.mark.parametrize("name", ["intro"], indirect=True)
def test_a_layer_is_reset_on_the_first_page(page: Page, complaints: list[str]) -> None:
    """It opens where a sentence breaks, needs no sound, and another layer leaves the sentence whole."""
    heard = page.locator("#read-a-reset [data-fact=reset]")
    assert heard.locator("del").count() > 0
    layer = page.locator("#read-a-reset").get_by_label("Layer")
    costly = layer.evaluate("menu => menu.selectedOptions[0].text")
    layer.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    assert layer.evaluate("menu => menu.selectedOptions[0].text") == "2" != costly
    assert heard.locator("del").count() == 0
    assert "layer=2" in page.evaluate("location.hash")
    assert complaints == []
