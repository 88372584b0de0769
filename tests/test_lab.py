"""The live notebook in a running JupyterLab, operated in a real browser."""

from __future__ import annotations

import io
import os
import re
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import jupytext
import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Locator, Page, expect
from tiny_book import CHECKOUT

from paper_lib.corpus.speakers import all_speakers, speak

pytestmark = pytest.mark.book

SENTENCE = "dear chris i've sent you the contract talk later"
SENTENCES, PEOPLE = "HearingPanel(shipped)", "HearingPanel(load_shipped(PEOPLE_PLACE)"  # in the cells of the two panels
PATIENCE = 90_000  # ms; machines are slow when they are shared


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the live notebook in a JupyterLab that knows nothing of the user's settings."""
    root = tmp_path_factory.mktemp("lab")
    (root / "notebooks").mkdir()
    jupytext.write(jupytext.read(CHECKOUT / "book" / "live.py"), root / "notebooks" / "live.ipynb")
    token = secrets.token_hex(16)
    places = {f"JUPYTER_{kind}_DIR": str(root / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    places["JUPYTER_CONFIG_PATH"] = str(CHECKOUT / ".jupyter")  # as `make lab` sets it
    environment = os.environ | places | {"PAPER_LIB_CACHE": str(root / "cache")}
    options = ["--no-browser", "--allow-root", "--port=0", f"--IdentityProvider.token={token}"]
    command = [sys.executable, "-m", "jupyterlab", str(root / "notebooks"), *options]
    with (root / "log").open("w") as log, subprocess.Popen(command, env=environment, stderr=log, stdout=log) as server:
        try:
            yield f"{_address(root / 'log', server, token)}lab/tree/live.ipynb?token={token}"
        finally:
            server.terminate()


def _address(log: Path, server: subprocess.Popen[bytes], token: str) -> str:
    """Returns where the server says that it is, once it answers there."""
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline and server.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:\d+/", log.read_text()):
            with suppress(OSError), urllib.request.urlopen(f"{found[0]}api?token={token}"):
                return found[0]
        time.sleep(0.2)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab: str) -> Iterator[Page]:
    """The notebook after "Run All Cells"."""
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    page.goto(lab)
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    for code in (SENTENCES, PEOPLE):
        expect(cell(page, code).get_by_text("recognised 7 times")).to_be_visible()
    yield page
    page.close()


def cell(notebook: Page, code: str) -> Locator:
    """Returns the cell that has `code` in it, with its output."""
    return notebook.locator(".jp-CodeCell", has_text=code)


@pytest.fixture
def hearing(notebook: Page) -> Locator:
    """The panel of the model of synthetic speech."""
    return cell(notebook, SENTENCES)


def row(panel: Locator, name: str) -> Locator:
    """Returns the transcript of one model."""
    return panel.locator("tr", has=panel.page.get_by_role("rowheader", name=name, exact=True)).locator("td").first


def sound(seconds: float) -> bytes:
    """Returns the sentence as 44.1 kHz stereo, repeated to the length asked for."""
    spoken = speak(SENTENCE, all_speakers()[0])
    wide = np.interp(np.arange(0, len(spoken), 16000 / 44100), np.arange(len(spoken)), spoken)
    repeated = np.resize(wide, round(seconds * 44100)) if seconds else wide
    file = io.BytesIO()
    soundfile.write(file, np.stack([repeated, repeated / 2], axis=1), 44100, format="WAV")
    return file.getvalue()


def upload(panel: Locator, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with panel.page.expect_file_chooser() as chooser:
        panel.get_by_role("button", name="Upload a recording").click()
    chooser.value.set_files(path)


def test_a_sentence_that_is_typed_is_heard(hearing: Locator) -> None:
    hearing.get_by_label("Sentence").fill(SENTENCE.capitalize() + ".")
    hearing.get_by_role("button", name="Speak", exact=True).click()
    expect(hearing.get_by_text(f"“{SENTENCE}”, spoken by")).to_be_visible()
    expect(row(hearing, "intact")).to_have_text(SENTENCE)
    assert row(hearing, "layer 6 reset").inner_text() != SENTENCE


def test_another_reset_is_chosen_by_keyboard(hearing: Locator) -> None:
    before = row(hearing, "layer 6 reset").inner_text()
    hearing.get_by_label("Reset", exact=True).focus()
    hearing.page.keyboard.press("ArrowDown")
    expect(hearing.get_by_text("re-randomisation of one whole layer at a time")).to_be_visible()
    expect(row(hearing, "layer 6 reset")).not_to_have_text(before)


def test_an_empty_sentence_is_refused(hearing: Locator) -> None:
    hearing.get_by_label("Sentence").fill("")
    hearing.page.keyboard.press("Enter")
    expect(hearing.get_by_role("alert").filter(has_text="There is nothing to say")).to_be_visible()


def test_a_stereo_recording_is_recognised(hearing: Locator, tmp_path: Path) -> None:
    upload(hearing, tmp_path / "mine.wav", sound(0))
    expect(hearing.get_by_text("mine.wav, 2.2 s: ")).to_be_visible()
    expect(row(hearing, "intact")).to_have_text(SENTENCE)


def test_what_is_no_recording_is_refused(hearing: Locator, tmp_path: Path) -> None:
    upload(hearing, tmp_path / "notes.wav", b"These are notes.")
    expect(hearing.get_by_role("alert").filter(has_text="notes.wav is no sound file")).to_be_visible()


def test_a_recording_of_ten_minutes_is_refused(hearing: Locator, tmp_path: Path) -> None:
    upload(hearing, tmp_path / "lecture.wav", sound(600))
    expect(hearing.get_by_role("alert").filter(has_text="lecture.wav lasts 10 min 0 s")).to_be_visible()


def test_the_model_of_people_says_its_words_and_takes_no_others(notebook: Page) -> None:
    people = cell(notebook, PEOPLE)
    expect(people.get_by_text("It knows 9 words: down, eight,")).to_be_visible()
    people.get_by_label("Sentence").fill("go home")
    people.get_by_role("button", name="Speak", exact=True).click()
    expect(people.get_by_role("alert").filter(has_text="not home")).to_be_visible()


def test_layers_are_measured(notebook: Page) -> None:
    notebook.get_by_role("button", name="Measure").click()
    expect(notebook.get_by_text("12 resets, 40 sentences")).to_be_visible()
    expect(notebook.get_by_text("on 40 new sentences")).to_be_visible()


def test_the_signature_moves_with_the_slider(notebook: Page) -> None:
    image = notebook.get_by_role("img", name="Heat map of the signature")
    before = image.inner_html()
    notebook.locator(".widget-inline-hbox", has_text="Step").get_by_role("slider").focus()
    notebook.keyboard.press("Home")
    expect(image).not_to_have_js_property("innerHTML", before)
    expect(image).to_be_visible()


def test_a_federated_run_is_stopped(notebook: Page) -> None:
    notebook.get_by_role("button", name="half of every layer").click()
    expect(notebook.get_by_text("A client does without")).to_contain_text("parameters (26.")
    notebook.get_by_role("button", name="Start", exact=True).click()
    expect(notebook.get_by_text(re.compile("Round [1-9] of 12"))).to_be_visible()
    notebook.get_by_role("button", name="Stop", exact=True).click()
    expect(notebook.get_by_text(re.compile("Stopped after [1-9]"))).to_be_visible()
    expect(notebook.get_by_role("rowheader", name="1: 50/50/50/50/50/50")).to_be_visible()
