"""The recogniser in the page: in a real browser, from files, without a network; it hears what the library hears."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from panels import file_of
from playwright.sync_api import Browser, Locator, Page

from paper_lib.browser.export import PLACES, runtime
from paper_lib.browser.graphs import layer_graph
from paper_lib.browser.panel import speak_panel
from paper_lib.browser.sentences import Prepared, prepare, sentences_for, spoken
from paper_lib.browser.synthesis import typing_of
from paper_lib.chapters.book import publish_recogniser
from paper_lib.conformer.decoding import greedy_decode
from paper_lib.corpus import open_corpus
from paper_lib.corpus.features import SAMPLE_RATE, log_mel
from paper_lib.layers.reset_sweep import replacements
from paper_lib.layers.side_by_side import encode_variants
from paper_lib.layers.variants import KINDS
from paper_lib.settings import ResetSettings
from paper_lib.widgets.layers import spoken_tests
from paper_lib.widgets.shipped import ShippedModel, load_shipped
from paper_lib.widgets.speech import SpeechError, recorded, typed, voices

PATIENCE = 90_000  # ms; machines are slow when they are shared
Waveform = NDArray[np.float32]

DECODE = """async (base64) =>
  new Float32Array(await (await fetch(`data:application/octet-stream;base64,${base64}`)).arrayBuffer())"""


@pytest.fixture(scope="module")
def models() -> dict[str, ShippedModel]:
    torch.set_num_threads(1)
    return {name: load_shipped(path) for name, path in PLACES.items()}


@pytest.fixture(scope="module")
def prepared(models: dict[str, ShippedModel]) -> dict[str, list[Prepared]]:
    return {name: prepare(shipped, sentences_for(shipped, 2, seed=0)) for name, shipped in models.items()}


@pytest.fixture(scope="module")
def directory(
    models: dict[str, ShippedModel], prepared: dict[str, list[Prepared]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The part of a built book that the recogniser is: a page with the panel, and the script beside it."""
    root = tmp_path_factory.mktemp("book")
    publish_recogniser(root / "recogniser")
    of_recogniser, of_synthesiser = (
        (root / "recogniser" / f"{name}.js").stat().st_size for name in ("recogniser", "synthesiser")
    )
    labels = {"sentences": "sentences", "words": "words"}
    panel = speak_panel(prepared, models, labels, 2, (of_recogniser, of_synthesiser), caption="Try it.")
    (root / "book").mkdir()
    html = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Speak</title>{panel.html}'
    (root / "book" / "speak.html").write_text(html, encoding="utf-8")
    return root


@pytest.fixture
def page(browser: Browser, directory: Path) -> Iterator[Page]:
    """The page as it is opened, from a file, and its faults: errors, and what it asks of a network."""
    context = browser.new_context(offline=True)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
    page.on("request", lambda request: faults.append(request.url) if request.url.startswith("http") else None)
    page.goto((directory / "book" / "speak.html").as_uri())
    yield page
    context.close()
    assert faults == []


@pytest.fixture(scope="module")
def engine(browser: Browser, directory: Path) -> Iterator[Page]:
    """A page with nothing but the script; `recogniser` is loaded."""
    context = browser.new_context(offline=True)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto((directory / "book" / "speak.html").as_uri())
    page.add_script_tag(url=(directory / "recogniser" / "recogniser.js").as_uri())
    page.evaluate("async () => { globalThis.recogniser = await Recogniser.load(); }")
    yield page
    context.close()


def text_of(array: NDArray[Any]) -> str:
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


# Features.


def features_in_browser(engine: Page, waveform: Waveform) -> Waveform:
    values = engine.evaluate(f"async (base64) => Array.from(logMel(await ({DECODE})(base64)))", text_of(waveform))
    return np.array(values, np.float32).reshape(-1, 80)


def test_features_of_real_speech_are_the_librarys(engine: Page, models: dict[str, ShippedModel]) -> None:
    corpus = open_corpus(spoken_tests(models["sentences"]))
    for place in range(10):
        waveform = corpus.waveform(f"test-{place}")
        np.testing.assert_allclose(features_in_browser(engine, waveform), log_mel(waveform), rtol=0, atol=1e-4)


@pytest.mark.parametrize("samples", [1, 399, 400, 559, 560, 561])
def test_features_of_the_shortest_sounds_and_of_silence(engine: Page, samples: int) -> None:
    noise = np.random.default_rng(samples).normal(0, 0.1, samples).astype(np.float32)
    for waveform in (noise, np.zeros(samples, np.float32)):
        np.testing.assert_allclose(features_in_browser(engine, waveform), log_mel(waveform), rtol=0, atol=1e-4)


# Transcripts.


@torch.inference_mode()
def heard_by_library(shipped: ShippedModel, waveforms: Sequence[Waveform]) -> list[list[str]]:
    """Returns by utterance what is heard intact, with every layer re-initialised, and with every one re-randomised."""
    resets = replacements(shipped.model, shipped.initial, ResetSettings(draws=1), shipped.run.seed)
    ordered = [(variant.layer, layer) for kind in KINDS for variant, layer in resets.items() if variant.kind == kind]
    features = [torch.from_numpy(log_mel(waveform)) for waveform in waveforms]
    stack = encode_variants(
        shipped.model,
        [{}, *({place: layer} for place, layer in ordered)],
        torch.nn.utils.rnn.pad_sequence(features, batch_first=True),
        torch.tensor([len(frames) for frames in features]),
    )
    texts = [shipped.tokenizer.decode(ids) for ids in greedy_decode(shipped.model, stack.x, stack.frames)]
    return [texts[place :: len(waveforms)] for place in range(len(waveforms))]


def heard_in_browser(engine: Page, name: str, waveform: Waveform) -> list[str]:
    heard = engine.evaluate(
        f"""async ([base64, name, kinds]) => {{
             const samples = await ({DECODE})(base64);
             const found = [];
             for (const kind of kinds) found.push(await recogniser.recognise(samples, name, kind, [1, 2, 3, 4, 5, 6]));
             return [found[0].intact, ...found.flatMap(({{ resets }}) => resets)];
           }}""",
        [text_of(waveform), name, KINDS],
    )
    return list(heard)


@pytest.mark.book
def test_transcripts_of_200_sentences_with_every_reset_are_the_librarys(
    engine: Page, models: dict[str, ShippedModel]
) -> None:
    shipped = models["sentences"]
    corpus = open_corpus(spoken_tests(shipped))
    waveforms = [corpus.waveform(f"test-{place}") for place in range(200)]
    waveforms.sort(key=len)  # of like lengths together: little padding
    expected = [
        heard for first in range(0, 200, 20) for heard in heard_by_library(shipped, waveforms[first : first + 20])
    ]
    assert len({tuple(heard) for heard in expected}) > 100  # not one answer to everything
    found = [heard_in_browser(engine, "sentences", waveform) for waveform in waveforms]
    assert found == expected


def test_transcripts_of_words_with_every_reset_are_the_librarys(
    engine: Page, models: dict[str, ShippedModel], prepared: dict[str, list[Prepared]]
) -> None:
    waveforms = [p.waveform for p in prepared["words"]]
    assert [heard_in_browser(engine, "words", w) for w in waveforms] == heard_by_library(models["words"], waveforms)


def test_a_sentence_is_answered_within_a_second(engine: Page, prepared: dict[str, list[Prepared]]) -> None:
    """With all six layers reset in turn, which is more than the page does when it opens."""
    times = engine.evaluate(
        f"""async (sounds) => {{
             const times = [];
             for (const base64 of sounds) {{
               const samples = await ({DECODE})(base64);
               const began = performance.now();
               await recogniser.recognise(samples, "sentences", "re-initialisation", [1, 2, 3, 4, 5, 6]);
               times.push((performance.now() - began) / 1000);
             }}
             return times;
           }}""",
        [text_of(p.waveform) for p in prepared["sentences"]],
    )
    assert min(times) < 1


def test_an_encoder_that_looks_ahead_has_no_graph(models: dict[str, ShippedModel]) -> None:
    settings = models["sentences"].model.settings.encoder
    for other in ({"streaming": None}, {"norm": "batch"}):
        with pytest.raises(ValueError, match="only the layers of streaming encoders"):
            layer_graph(settings.model_copy(update=other), {})


# The page.


def load(page: Page) -> None:
    page.get_by_role("button", name="Load the recogniser").click()
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('recognised')")


def menu(page: Page, label: str) -> Locator:
    return page.get_by_role("combobox", name=label, exact=True)


def settle(page: Page) -> dict[str, str]:
    """Returns what is shown once it has been recognised: transcripts by their terms."""
    page.wait_for_function("document.querySelector('.transcripts').childElementCount > 0")
    shown = page.locator(".transcripts > div").evaluate_all(
        "rows => rows.map((row) => [row.children[0].textContent, row.children[1].dataset.heard])"
    )
    return dict(shown)


def expected_of(prepared: Prepared, kind: Any, *layers: int) -> dict[str, str]:
    told = {"Said": prepared.text, "Intact": prepared.intact}
    return told | {f"Layer {layer} reset": prepared.resets[kind][layer - 1] for layer in layers}


def test_nothing_is_loaded_before_the_reader_asks_and_the_size_is_told(page: Page, directory: Path) -> None:
    scripts = "performance.getEntriesByType('resource').map((entry) => entry.name).join()"
    assert ".js" not in page.evaluate(scripts)
    assert page.evaluate("typeof Recogniser") == "undefined"
    size = (directory / "recogniser" / "recogniser.js").stat().st_size
    assert page.get_by_role("button", name=f"Load the recogniser ({size / 1e6:.1f} MB)").is_visible()
    assert "Nothing is recognised" in page.get_by_role("status").inner_text()
    markup = re.sub(r'src="data:audio/[^"]*"', "", (directory / "book" / "speak.html").read_text())
    assert len(markup) < 1e5


def test_the_page_by_mouse(page: Page, prepared: dict[str, list[Prepared]]) -> None:
    load(page)
    for name in ("sentences", "words"):
        menu(page, "Model").select_option(label=name)
        for p in prepared[name]:
            menu(page, "Sentence").select_option(label=p.text)
            menu(page, "Voice").select_option(label=p.voice)
            for kind in KINDS:
                menu(page, "Reset").select_option(label=kind)
                menu(page, "Layer").select_option(label="each in turn")
                assert settle(page) == expected_of(p, kind, 1, 2, 3, 4, 5, 6)
                menu(page, "Layer").select_option(label="3")
                assert settle(page) == expected_of(p, kind, 3)
            label = page.locator(".utterance:visible audio").get_attribute("aria-label")
            assert label == f"“{p.text}”, {p.voice}"


def test_the_page_by_keyboard(page: Page, prepared: dict[str, list[Prepared]]) -> None:
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('recognised')")
    assert page.evaluate("document.activeElement.dataset.key") == "model"
    first = prepared["sentences"][0]
    assert settle(page) == expected_of(first, KINDS[0], 2)
    page.keyboard.press("ArrowDown")
    assert settle(page)["Said"] == prepared["words"][0].text
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    second = prepared["sentences"][2]
    assert settle(page) == expected_of(second, KINDS[0], 2)
    menu(page, "Reset").focus()
    for key in ("ArrowDown", "Tab", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    assert settle(page) == expected_of(second, KINDS[1], 4)


def test_words_that_differ_are_marked(page: Page, prepared: dict[str, list[Prepared]]) -> None:
    load(page)
    menu(page, "Layer").select_option(label="each in turn")
    p = prepared["sentences"][0]
    for term, heard in list(expected_of(p, KINDS[0], 1, 2, 3, 4, 5, 6).items())[1:]:
        told = page.locator(".transcripts > div", has=page.get_by_text(term, exact=True)).locator("dd")
        said_again, heard_again = (
            told.evaluate(
                """(dd, mark) => { const copy = dd.cloneNode(true);
                   copy.querySelectorAll(mark + ", em").forEach((part) => part.remove());
                   return copy.textContent.replace("(all words right)", "").trim().replace(/\\s+/g, " "); }""",
                mark,
            )
            for mark in ("ins", "del")
        )
        assert (said_again, heard_again) == (p.text, " ".join(heard.split()))
        assert told.locator("del, ins").count() <= 2 * max(p.errors(KINDS[0], layer) for layer in range(1, 7))


def test_a_recording_from_a_file(page: Page, prepared: dict[str, list[Prepared]], tmp_path: Path) -> None:
    """In stereo at another rate, with an offset, at another level: the library and the page bring it to the models."""
    p = next(p for p in prepared["words"] if p.errors() == 0)
    rate = 48_000
    louder = np.repeat(p.waveform, rate // SAMPLE_RATE) * 0.3 + 0.05
    content = file_of(np.stack([louder, louder], 1), rate)
    load(page)
    menu(page, "Model").select_option(label="words")
    page.get_by_label("A recording").set_input_files({"name": "mine.wav", "mimeType": "audio/wav", "buffer": content})
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('mine.wav')")
    shown = settle(page)
    assert list(shown) == ["Intact", "Layer 2 reset"]
    assert shown["Intact"] == p.text
    seconds = f"{len(p.waveform) / SAMPLE_RATE:.1f} s of speech"
    assert seconds in page.get_by_role("status").inner_text()
    assert recorded(content, "mine.wav").seconds == pytest.approx(len(p.waveform) / SAMPLE_RATE, abs=0.01)
    menu(page, "Voice").select_option(index=1)
    assert "Said" in settle(page)


# What is typed.

SENTENCES = (
    "turn the kitchen lights to seven",
    "i can't hear you",
    "a",
    "play the long song by the old band again now",
)


def test_the_page_speaks_the_librarys_samples(
    browser: Browser, directory: Path, models: dict[str, ShippedModel]
) -> None:
    """By every voice: the synthesiser's own samples are the same, and those that the model hears to the last bits."""
    context = browser.new_context(offline=True)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto((directory / "book" / "speak.html").as_uri())
    page.add_script_tag(url=(directory / "recogniser" / "synthesiser.js").as_uri())
    page.evaluate("async () => { globalThis.synthesiser = await Synthesiser.load(); }")
    for shipped in models.values():
        typing = typing_of(shipped)
        speakers = voices(shipped)
        assert len(typing["voices"]) == len(speakers) == 16
        for place, (voice, (label, speaker)) in enumerate(zip(typing["voices"], speakers, strict=True)):
            assert voice["label"] == label
            text = " ".join(typing["words"][place % 5 : place % 5 + 2]) if typing["words"] else SENTENCES[place % 4]
            spoken_there = page.evaluate(
                "async ([text, voice, apart]) => Array.from(await synthesiser.speak(text, voice, apart))",
                [text, voice, bool(typing["words"])],
            )
            expected = typed(text, speaker, typing["words"]).waveform
            np.testing.assert_allclose(np.array(spoken_there, np.float32), expected, rtol=0, atol=1e-6)
    context.close()


def say(page: Page, text: str) -> dict[str, str]:
    page.get_by_label("Type a sentence").fill(text)
    page.get_by_label("Type a sentence").press("Enter")
    page.wait_for_function("() => !document.querySelector('form [type=submit]').disabled")
    return settle(page)


def test_a_sentence_that_is_typed(page: Page, models: dict[str, ShippedModel], directory: Path) -> None:
    size = (directory / "recogniser" / "synthesiser.js").stat().st_size
    assert page.get_by_role("button", name=f"Say it (loads {size / 1e6:.1f} MB once)").is_disabled()
    load(page)
    settle(page)
    for name, text, wanted in (
        ("sentences", "Turn the kitchen lights to seven!", "turn the kitchen lights to seven"),
        ("words", "go left", "go left"),
    ):
        menu(page, "Model").select_option(label=name)
        label, speaker = voices(models[name])[1]
        menu(page, "By").select_option(label=label)
        shown = say(page, text)
        heard = heard_by_library(models[name], [typed(text, speaker, typing_of(models[name])["words"]).waveform])
        assert shown == {"Said": wanted, "Intact": heard[0][0], "Layer 2 reset": heard[0][2]}
        sound = page.locator(".utterance:visible audio")
        assert sound.get_attribute("aria-label") == f"“{wanted}”, {label}"
        sound.evaluate("audio => audio.readyState || new Promise((done) => { audio.onloadedmetadata = done; })")
        seconds = len(typed(text, speaker, typing_of(models[name])["words"]).waveform) / SAMPLE_RATE
        assert sound.evaluate("audio => audio.duration") == pytest.approx(seconds, abs=1e-3)
    assert page.get_by_role("button", name="Say it", exact=True).is_enabled()
    page.get_by_label("Type a sentence").fill("stop")
    menu(page, "Sentence").select_option(index=0)
    assert settle(page)["Said"] != "go left"


@pytest.mark.parametrize("text", ["", " ' ", "seven is 7", "señor", "a" * 121])
def test_text_that_cannot_be_spoken_is_refused_as_by_the_library(
    page: Page, models: dict[str, ShippedModel], text: str
) -> None:
    load(page)
    before = settle(page)
    with pytest.raises(SpeechError) as refused:
        typed(text, voices(models["sentences"])[0][1])
    page.get_by_label("Type a sentence").fill(text)
    page.get_by_label("Type a sentence").press("Enter")
    told = "text => document.querySelector('[role=status]').textContent === text"
    page.wait_for_function(told, arg=str(refused.value))
    assert settle(page) == before


def test_a_word_that_the_model_does_not_know_is_refused(page: Page, models: dict[str, ShippedModel]) -> None:
    load(page)
    menu(page, "Model").select_option(label="words")
    settle(page)
    with pytest.raises(SpeechError) as refused:
        typed("go home", voices(models["words"])[0][1], typing_of(models["words"])["words"])
    page.get_by_label("Type a sentence").fill("go home")
    page.get_by_role("button", name="Say it").click()
    told = "text => document.querySelector('[role=status]').textContent === text"
    page.wait_for_function(told, arg=str(refused.value))


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (b"no sound at all", "no sound that this browser reads"),
        (file_of(np.zeros(8000, np.float32), SAMPLE_RATE), "is silent"),
        (file_of(np.sin(np.arange(21 * SAMPLE_RATE, dtype=np.float32)), SAMPLE_RATE), "lasts 21 s; at most 20 s"),
    ],
)
def test_what_cannot_be_recognised_is_refused_in_a_line(page: Page, content: bytes, refusal: str) -> None:
    load(page)
    before = settle(page)
    page.get_by_label("A recording").set_input_files({"name": "mine.wav", "mimeType": "audio/wav", "buffer": content})
    page.wait_for_function("text => document.querySelector('[role=status]').textContent.includes(text)", arg=refusal)
    assert settle(page) == before


def test_a_page_without_its_script_says_so(browser: Browser, directory: Path, tmp_path: Path) -> None:
    (tmp_path / "speak.html").write_bytes((directory / "book" / "speak.html").read_bytes())
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto((tmp_path / "speak.html").as_uri())
    page.get_by_role("button", name="Load the recogniser").click()
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('not beside this page')")
    assert page.get_by_role("button", name="Load the recogniser").is_enabled()
    context.close()


def test_a_microphone_that_is_refused_is_told(page: Page) -> None:
    load(page)
    page.get_by_role("button", name="Speak yourself").click()
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('no microphone')")


@pytest.mark.book
def test_a_sentence_that_is_spoken_into_the_microphone(
    browser: Browser, chromium: str, directory: Path, models: dict[str, ShippedModel], tmp_path: Path
) -> None:
    """Chromium's microphone for tests plays a file again and again."""
    words = "go left"
    said = spoken(words, voices(models["words"])[0][1], models["words"].card)
    (tmp_path / "said.wav").write_bytes(file_of(np.pad(said, SAMPLE_RATE // 2), SAMPLE_RATE))
    arguments = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    arguments.append(f"--use-file-for-fake-audio-capture={tmp_path / 'said.wav'}")
    listening = browser.browser_type.launch(executable_path=chromium, args=arguments)
    context = listening.new_context(offline=True)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto((directory / "book" / "speak.html").as_uri())
    load(page)
    menu(page, "Model").select_option(label="words")
    settle(page)
    page.get_by_role("button", name="Speak yourself").focus()
    page.keyboard.press("Enter")
    stop = page.get_by_role("button", name="Stop")
    assert stop.get_attribute("aria-pressed") == "true"
    page.wait_for_timeout(5000)  # ms of speech
    stop.press("Enter")
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('Your voice')")
    shown = settle(page)
    assert list(shown) == ["Intact", "Layer 2 reset"]
    assert set(words.split()) & set(shown["Intact"].split())
    assert page.locator(".utterance:visible audio").get_attribute("aria-label") == "Your voice"
    listening.close()


# What comes along.


def test_the_runtime_is_the_published_one() -> None:
    sums = {
        "ort.wasm.min.js": "faece07e84faa9001f5104bbe4e5c70861d06cb2376a0dea1fa0ad33a67adc81",
        "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
        "ort-wasm-simd-threaded.wasm.gz": "bf933930bc90cf4f613f36cdc41616b54cfd2e9930478b574aed6ed4ef9ff8ca",
    }
    assert {name: hashlib.sha256(runtime(name)).hexdigest() for name in sums} == sums
    assert len(runtime("ort-wasm-simd-threaded.wasm.gz")) < 4e6


def test_the_script_holds_the_weights_once(directory: Path, models: dict[str, ShippedModel]) -> None:
    """Both models were trained from one initialisation, whose resets they share."""
    script = (directory / "recogniser" / "recogniser.js").read_text(encoding="utf-8")
    (line,) = re.findall(r"^globalThis\.recogniserData = (.*);$", script, re.MULTILINE)
    data = json.loads(line)
    of_layers = sum(tensor.numel() for tensor in models["words"].model.encoder.layers.state_dict().values())
    of_model = sum(tensor.numel() for tensor in models["words"].model.state_dict().values())
    stored = len(base64.b64decode(data["weights"])) / 4
    assert stored <= 2 * (of_model + of_layers)
    assert stored > 1.9 * (of_model + of_layers)  # but for the zeros and ones that many have
