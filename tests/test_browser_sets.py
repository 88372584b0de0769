"""The explorer of sets of layers, operated in a real browser without a network."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from made_up_sets import additive, searched
from playwright.sync_api import Browser, Locator, Page

from paper_lib.explorers.sets import ExploredSets, set_explorer
from paper_lib.inference import Estimate, rate
from paper_lib.layers.sets import neighbours, pairs_of, set_effects

LAYERS = 4


@pytest.fixture(scope="module")
def models() -> list[ExploredSets]:
    explored = []
    for seed in (0, 1):
        heard = searched(additive((0.2, -0.02, 0.01, 0.03), interaction=0.02), LAYERS, seed).heard
        singles = [rate(heard.added[layer,][None], heard.words).estimate() for layer in range(1, LAYERS + 1)]
        sets = [*pairs_of(range(1, LAYERS + 1)), *neighbours(LAYERS, 3)]
        explored.append(ExploredSets(seed, singles, set_effects(heard, sets)))
    return explored


@pytest.fixture
def page(browser: Browser, models: list[ExploredSets], tmp_path: Path) -> Iterator[Page]:
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><meta charset=utf-8>{set_explorer(models, caption='c').html}", encoding="utf-8")
    context = browser.new_context(offline=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert errors == []


def menu(page: Page, label: str) -> Locator:
    return page.get_by_role("combobox", name=label, exact=True)


def signed(estimate: Estimate) -> str:
    numbers = [round(100 * x, 1) + 0.0 for x in (estimate.value, estimate.low, estimate.high)]
    value, low, high = (f"{'−' if x < 0 else '+'}{abs(x):.1f}" for x in numbers)
    return f"{value} [{low}, {high}]"


def check(page: Page, model: ExploredSets, *layers: int) -> None:
    """Compares what is told with the effects of the set of `layers`."""
    (effect,) = [one for one in model.sets if one.layers == layers]
    told = dict(page.locator("dl > div").evaluate_all("all => all.map((d) => [...d.children].map((c) => c.innerText))"))
    assert told["Reset"] == f"layers {', '.join(map(str, layers))}"
    assert told["Together"] == f"{signed(effect.change)} points: {effect.classification}"
    assert told["Beyond the sum"].startswith(f"{signed(effect.interaction)} points: ")
    bars = dict(
        page.locator("[data-part=bars] tr").evaluate_all(
            "rows => rows.map((row) => [row.cells[0].innerText, row.cells[1].innerText])"
        )
    )
    alone = {f"layer {layer} alone": signed(model.singles[layer - 1]) for layer in layers}
    assert bars == alone | {"their sum": signed(effect.parts), "together": signed(effect.change)}
    marked = page.locator("td.chosen").evaluate_all("cells => cells.map((cell) => cell.title)")
    assert sorted(marked) == [f"layers {one} and {other}" for one, other in combinations(layers, 2)]


def test_by_keyboard(page: Page, models: list[ExploredSets]) -> None:
    check(page, models[0], 1, 2)
    menu(page, "Layer").focus()
    page.keyboard.press("ArrowDown")  # past layer 2, which the other menu has
    check(page, models[0], 2, 3)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowUp")
    check(page, models[0], 1, 3)
    page.keyboard.press("ArrowDown")
    check(page, models[0], 2, 3)
    menu(page, "Reset").focus()
    page.keyboard.press("ArrowDown")
    check(page, models[0], 2, 3, 4)  # layer 3 begins no three
    assert menu(page, "and layer").is_disabled()
    menu(page, "Training, seed").focus()
    page.keyboard.press("ArrowDown")
    check(page, models[1], 2, 3, 4)


def test_every_set_by_its_cell_or_menu(page: Page, models: list[ExploredSets]) -> None:
    for seed, model in enumerate(models):
        menu(page, "Training, seed").select_option(label=str(seed))
        for one, other in pairs_of(range(1, LAYERS + 1)):
            page.get_by_title(f"layers {one} and {other}").click()
            check(page, model, one, other)
        menu(page, "Reset").select_option(label="three neighbours")
        check(page, model, 2, 3, 4)
        menu(page, "Layer").select_option(label="1")
        check(page, model, 1, 2, 3)
        menu(page, "Layer").select_option(label="2")
        menu(page, "Reset").select_option(label="two layers")
        check(page, model, 2, 4)
        menu(page, "and layer").select_option(label="1")
        check(page, model, 1, 2)
        assert menu(page, "Layer").locator("option:disabled").all_inner_texts() == ["1"]
