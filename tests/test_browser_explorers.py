"""The explorers of the built book, operated in a real browser; what they tell is compared with the records."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page

from paper_lib.claims.findings import adapted_by_plan
from paper_lib.corpus import open_corpus
from paper_lib.corpus.features import SAMPLE_RATE
from paper_lib.evaluation import Spoken
from paper_lib.federated.accounting import account
from paper_lib.inference import Estimate
from paper_lib.layers.matrices import MATRICES
from paper_lib.layers.ranking import intact_wer, layer_effects
from paper_lib.layers.signature import signature, signatures_over_time
from paper_lib.layers.sweeps import Sweeps
from paper_lib.layers.variants import KINDS, MODULES, Kind
from paper_lib.profiles import profile_of
from paper_lib.settings import BitsPlan, DropoutPlan
from paper_lib.studies import ModelRecords, explore, federated_dropout, signatures

pytestmark = pytest.mark.book

SMOKE = profile_of("smoke")
PAPER = profile_of("gpu").adaptation.model


@pytest.fixture(scope="module")
def book(browser: Browser, built_book: Path) -> Iterator[Page]:
    context = browser.new_context(offline=True, viewport={"width": 1300, "height": 900})
    context.set_default_timeout(90_000)  # ms; machines are slow when they are shared
    yield context.new_page()
    context.close()


@pytest.fixture
def store(built_book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets studies find the records that the book was made of."""
    monkeypatch.setenv("PAPER_LIB_CACHE", str(built_book / "cache"))


@pytest.fixture
def records(store: None) -> list[ModelRecords]:
    study = explore(SMOKE)
    assert study.is_stored
    return study.records()


def explorer(book: Page, built_book: Path, chapter: str, name: str) -> Locator:
    """Opens the page of `chapter` anew and returns the explorer with the identifier `name`."""
    book.goto((built_book / "_build" / "html" / "book" / f"{chapter}.html").as_uri())
    return book.locator(f"#{name}")


def menu(figure: Locator, label: str) -> Locator:
    return figure.get_by_role("combobox", name=label, exact=True)


def tenths(estimate: Estimate, *, sign: bool = False) -> str:
    """Returns an estimate in per cent, in points if it has a sign, as pages print it."""
    value, low, high = (
        f"{100 * x:{'+' if sign else ''}.1f}".replace("-", "−") for x in (estimate.value, estimate.low, estimate.high)
    )
    # JavaScript knows −0.0; a page says +0.0.
    return f"{value} [{low}, {high}]".replace("−0.0", "+0.0" if sign else "0.0")


def facts(figure: Locator) -> dict[str, str]:
    """Returns the terms that an explorer's list shows, with what it says of them."""
    pairs = figure.locator("dl > div").evaluate_all(
        "divs => divs.map((div) => [...div.children].map((c) => c.innerText))"
    )
    return {term.strip(): told.strip() for term, told in pairs}


def rows(figure: Locator, part: str) -> dict[str, str]:
    lines = figure.locator(f'[data-part="{part}"] tr').evaluate_all(
        "rows => rows.map((row) => [row.cells[0].innerText, row.cells[1].innerText])"
    )
    return dict(lines)


def check_layer(figure: Locator, model: ModelRecords, kind: str, layer: int) -> None:
    """Compares what the layer explorer tells of one layer with the records of its model."""
    sweeps = Sweeps.of([model.reset.result])
    (effect,) = [e for e in layer_effects(sweeps) if e.kind == kind and e.layer == layer]
    told = facts(figure)
    layers = len(signature(model.training.result)[0])
    assert told["Layer"] == f"{layer} of {layers}, {kind}"
    assert told["WER"] == f"{tenths(effect.wer)} %, intact {tenths(intact_wer(sweeps))} %"
    assert told["Change"] == f"{tenths(effect.change, sign=True)} points: {effect.classification}"
    shown = rows(figure, "signature")
    assert shown == {
        matrix: f"{value:.2f}"
        for matrix, value in zip(MATRICES, np.round(signature(model.training.result)[:, layer - 1], 2), strict=True)
    }
    modules = rows(figure, "modules")
    if model.modules is None:
        assert set(modules.values()) == {"not measured"}
    else:
        for e in layer_effects(Sweeps.of([model.modules.result])):
            if e.kind == "re-initialisation" and e.layer == layer:
                assert modules[str(e.module)] == f"{tenths(e.change, sign=True)} {e.classification}"
        assert set(modules) == set(MODULES)


def most_critical(records: list[ModelRecords]) -> tuple[ModelRecords, Kind, int]:
    """Returns where the page opens: the first model of the last size, and its layer whose reset costs most."""
    sizes = list(dict.fromkeys(model.size for model in records))
    model = next(model for model in records if model.size == sizes[-1])
    effects = [e for e in layer_effects(Sweeps.of([model.reset.result])) if e.kind == KINDS[0]]
    # As the page prints them; of equal ones the first.
    return model, KINDS[0], max(effects, key=lambda e: (round(100 * e.wer.value, 1), -e.layer)).layer


def test_the_layer_explorer_by_mouse(book: Page, built_book: Path, records: list[ModelRecords]) -> None:
    figure = explorer(book, built_book, "explore", "layer-explorer")
    check_layer(figure, *most_critical(records))
    for model in records:
        # Through what was trained of all sizes: a menu offers nothing else.
        plain = (("Training, seed", "0"), ("Norm", most_critical(records)[0].norm))
        for label, value in (*plain, ("Size", model.size), ("Norm", model.norm), ("Training, seed", str(model.seed))):
            menu(figure, label).select_option(label=value)
        for kind in KINDS:
            menu(figure, "Reset").select_option(label=kind)
            columns = figure.locator(".plot label")
            effects = [e for e in layer_effects(Sweeps.of([model.reset.result])) if e.kind == kind]
            assert columns.count() == len(effects)
            for effect in effects:
                columns.nth(effect.layer - 1).click()
                check_layer(figure, model, kind, effect.layer)
                assert columns.nth(effect.layer - 1).locator(".value").inner_text() == f"{100 * effect.wer.value:.1f}"


def test_the_numbers_of_an_explorer_are_saved(book: Page, built_book: Path, records: list[ModelRecords]) -> None:
    figure = explorer(book, built_book, "explore", "layer-explorer")
    with book.expect_download() as saving:
        figure.get_by_role("link", name="Data (CSV)").click()
    assert saving.value.suggested_filename == "layer-explorer.csv"
    with saving.value.path().open(newline="") as file:
        rows = list(csv.DictReader(file))
    effects = [e for m in records for r in (m.reset, m.modules) if r for e in layer_effects(Sweeps.of([r.result]))]
    # The file has six digits.
    assert sorted(row["wer_percent"] for row in rows) == sorted(f"{100 * e.wer.value:.6g}" for e in effects)


def test_the_layer_explorer_by_keyboard(book: Page, built_book: Path, records: list[ModelRecords]) -> None:
    figure = explorer(book, built_book, "explore", "layer-explorer")
    menu(figure, "Size").focus()
    for key in ("Tab", "Tab", "Tab", "ArrowDown", "Tab", "ArrowRight"):  # past norm and seed, to kind, to the columns
        book.keyboard.press(key)
    model, _, layer = most_critical(records)
    layers = figure.locator(".plot label").count()
    check_layer(figure, model, KINDS[1], layer % layers + 1)
    book.keyboard.press("ArrowLeft")
    check_layer(figure, model, KINDS[1], layer)


def test_the_menus_offer_what_was_trained(book: Page, built_book: Path, records: list[ModelRecords]) -> None:
    figure = explorer(book, built_book, "explore", "layer-explorer")
    trained = {(model.size, model.norm, str(model.seed)) for model in records}
    labels = ("Size", "Norm", "Training, seed")
    for size, norm, seed in sorted(trained):
        book.reload()
        for label, value in zip(labels, (size, norm, seed), strict=True):
            menu(figure, label).select_option(label=value)
        for place, label in enumerate(labels):
            offered = menu(figure, label).locator("option:not([disabled])").all_inner_texts()
            others = [one for one in trained if all(one[k] == (size, norm, seed)[k] for k in range(3) if k != place)]
            assert set(offered) == {one[place] for one in others}


def test_the_explorers_of_a_page_choose_alike_and_a_link_leads_back(
    book: Page, built_book: Path, records: list[ModelRecords]
) -> None:
    layers, transcripts = (explorer(book, built_book, "explore", name) for name in ("layer-explorer", "hearing"))
    menu(transcripts, "Size").select_option(label="S")
    menu(transcripts, "Reset").select_option(label=KINDS[1])
    menu(transcripts, "Layer").select_option(label="2")
    model = next(model for model in records if model.size == "S")
    check_layer(layers, model, KINDS[1], 2)
    layers.locator(".plot label").first.click()
    assert menu(transcripts, "Layer").locator("option:checked").inner_text() == "1"
    address = book.url
    assert "size=S" in address
    explorer(book, built_book, "explore", "layer-explorer")  # opens on another case
    book.goto("about:blank")
    book.goto(address)
    check_layer(layers, model, KINDS[1], 1)
    assert menu(transcripts, "Size").locator("option:checked").inner_text() == "S"


def heard(figure: Locator) -> dict[str, str]:
    """Returns the transcripts that are shown, without the words that were said and not heard."""
    texts = figure.locator("dd").evaluate_all(
        """all => all.map((dd) => {
             const copy = dd.cloneNode(true);
             copy.querySelectorAll("del, em").forEach((mark) => mark.remove());
             return [dd.dataset.fact, copy.textContent.replace("(all words right)", "").trim().replace(/\\s+/g, " ")];
           })"""
    )
    return dict(texts)


def test_what_the_model_hears_by_mouse(book: Page, built_book: Path, records: list[ModelRecords]) -> None:
    figure = explorer(book, built_book, "explore", "hearing")
    first = [model for model in records if model.seed == 0 and model.modules]
    assert len(first) == 3
    for model in first:
        result = model.reset.result
        spoken = Spoken.read(result)
        intact = spoken.hypotheses(result["intact"])
        menu(figure, "Size").select_option(label=model.size)
        for place in shown_places(spoken):
            menu(figure, "Utterance").select_option(label=spoken.references[place])
            for reset in (reset for reset in result["resets"] if reset["draw"] == 0):
                menu(figure, "Reset").select_option(label=reset["kind"])
                menu(figure, "Layer").select_option(label=str(reset["layer"]))
                assert heard(figure) == {
                    "said": spoken.references[place],
                    "intact": " ".join(intact[place].split()),
                    "reset": " ".join(spoken.hypotheses(reset["misheard"])[place].split()),
                }
            (shown,) = figure.locator(".utterance:visible").all()
            drawn = shown.locator(".wide svg")
            assert drawn.get_attribute("aria-label") == f"Spectrogram of “{spoken.references[place]}”."
            seconds = shown.locator("audio").evaluate("sound => sound.duration")
            said = open_corpus(SMOKE.corpus).waveform(spoken.ids[place])
            assert seconds == pytest.approx(len(said) / SAMPLE_RATE, abs=0.05)


def shown_places(spoken: Spoken) -> list[int]:
    """Returns where the utterances that the page offers, the first ones by name, stand in the records."""
    return [spoken.ids.index(name) for name in sorted(spoken.ids)[:8]]


def test_what_the_model_hears_by_keyboard(book: Page, built_book: Path, records: list[ModelRecords]) -> None:
    figure = explorer(book, built_book, "explore", "hearing")
    menu(figure, "Utterance").focus()
    # The second utterance, size S, past the kind, layer 2.
    for key in ("Home", "ArrowDown", "Tab", "Home", "Tab", "Tab", "Home", "ArrowDown"):
        book.keyboard.press(key)
    result = records[0].reset.result
    spoken = Spoken.read(result)
    second = shown_places(spoken)[1]
    (reset,) = [r for r in result["resets"] if r["kind"] == KINDS[0] and r["layer"] == 2]
    assert heard(figure)["said"] == spoken.references[second]
    assert heard(figure)["reset"] == " ".join(spoken.hypotheses(reset["misheard"])[second].split())


def shown_signature(figure: Locator) -> list[list[float]]:
    cells = figure.locator("tbody tr").evaluate_all(
        "rows => rows.map((row) => [...row.querySelectorAll('td')].map((cell) => Number(cell.textContent)))"
    )
    return list(cells)


def test_the_slider_of_signatures(book: Page, built_book: Path, store: None) -> None:
    figure = explorer(book, built_book, "signatures", "signature-slider")
    models = signatures(SMOKE).records()
    slider = figure.get_by_label("Step")
    for size in dict.fromkeys(model.size for model in models):
        runs = [model.training.result for model in models if model.size == size]
        over_time = np.round(signatures_over_time(runs).mean(0), 2)
        figure.get_by_label(size, exact=True).check()
        slider.focus()
        book.keyboard.press("Home")
        for step, values in zip(runs[0]["distance_steps"], over_time, strict=True):
            assert figure.locator("output").inner_text() == f"step {step}"
            assert slider.get_attribute("aria-valuetext") == f"step {step}"
            assert shown_signature(figure) == values.tolist()
            book.keyboard.press("ArrowRight")
    # By mouse: the right end of the track is the last step.
    book.keyboard.press("Home")
    box = slider.bounding_box()
    assert box
    book.mouse.click(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    assert shown_signature(figure) == over_time[-1].tolist()


def check_plan(figure: Locator, rates: dict[int, float], elsewhere: float = 0.0) -> None:
    """Compares what the planner tells with the accounting of the plan; its caption says 5 s and 20 word-pieces."""
    found = account(DropoutPlan(name="x", rates=rates, elsewhere=elsewhere), PAPER, 5.0, 20)
    told = figure.locator("dd").evaluate_all(
        "all => Object.fromEntries(all.map((dd) => [dd.dataset.fact, dd.innerText]))"
    )
    share = f"{100 * found.dropped / found.parameters:.1f} %"
    assert told["dropped"] == f"{found.dropped:,} of {found.parameters:,} ({share})"
    assert told["down"] == told["up"] == f"{found.down / 1e6:.1f} MB ({share} saved)"
    assert told["flops"].startswith(f"{found.flops / 1e9:.1f} GFLOP (")
    assert told["memory"].startswith(f"{found.memory / 1e6:.1f} MB (")


def test_the_planner_by_keyboard(book: Page, built_book: Path) -> None:
    figure = explorer(book, built_book, "comparable_plans", "planner")
    check_plan(figure, {})
    figure.get_by_label("layer 3, per cent dropped").focus()
    for _ in range(5):
        book.keyboard.press("ArrowUp")
    check_plan(figure, {3: 0.25})
    book.keyboard.press("Tab")
    book.keyboard.press("End")
    check_plan(figure, {3: 0.25, 4: 0.95})


def test_the_planner_by_mouse(book: Page, built_book: Path) -> None:
    figure = explorer(book, built_book, "comparable_plans", "planner")
    figure.get_by_role("button", name="flat 20 %").click()
    check_plan(figure, {}, 0.2)
    slider = figure.get_by_label("layer 17, per cent dropped")
    box = slider.bounding_box()
    assert box
    book.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    rate = int(slider.input_value())
    assert 40 <= rate <= 60
    check_plan(figure, {17: rate / 100}, 0.2)


def test_the_planner_of_bits_and_of_layers_that_are_trained(book: Page, built_book: Path) -> None:
    figure = explorer(book, built_book, "comparable_plans", "planner")
    figure.get_by_label("layer 2, bits").select_option("4")
    for layer in (1, 2, 17):
        figure.get_by_label(f"layer {layer}, trained").uncheck()
    trained = tuple(range(3, 17))
    found = account(DropoutPlan(name="x"), PAPER, 5.0, 20, BitsPlan(name="x", bits={2: 4}), trained)
    told = facts(figure)
    assert told["Bytes down"].startswith(f"{found.down / 1e6:.1f} MB (")
    assert told["Bytes up"].startswith(f"{found.up / 1e6:.1f} MB (")
    assert told["Client's step"].startswith(f"{found.flops / 1e9:.1f} GFLOP (")
    assert told["Its memory"].startswith(f"{found.memory / 1e6:.1f} MB (")
    # Some layer is trained: the last box stays checked.
    for layer in trained:
        figure.get_by_label(f"layer {layer}, trained").click()
    assert figure.get_by_label("layer 16, trained").is_checked()


def test_the_planner_names_the_nearest_measured_plans_with_their_wer(book: Page, built_book: Path, store: None) -> None:
    figure = explorer(book, built_book, "comparable_plans", "planner")
    adaptations = federated_dropout(SMOKE).records()
    adapted = adapted_by_plan(adaptations, (adaptations.held_out,))
    nearest = facts(figure)["Nearest measured"].split("; ")
    assert len(nearest) == 3
    assert nearest[0].startswith("none: ")  # all sliders at 0
    assert nearest[0].endswith("(0 points away)")
    for told in nearest:
        name, value, low, high = re.match(r"(\S+): (\S+) \[(\S+), (\S+)\] %", told).groups()  # type: ignore[union-attr]
        wer = adapted[name].mean.estimate()
        for number, found in ((value, wer.value), (low, wer.low), (high, wer.high)):
            assert re.fullmatch(r"\d+\.\d", number)
            assert float(number) == pytest.approx(100 * found, abs=0.05 + 1e-9)
