"""What machines read of a book leads to what is there."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest

from paper_lib.chapters.declarations import CHAPTERS

pytestmark = pytest.mark.book


@pytest.fixture
def html(built_book: Path) -> Path:
    return built_book / "_build" / "html"


@pytest.fixture
def graph(html: Path) -> dict[str, dict[str, Any]]:
    crate = json.loads((html / "ro-crate-metadata.json").read_text())
    return {entity["@id"]: entity for entity in crate["@graph"]}


def references(value: Any) -> set[str]:
    """Returns the ids that an entity refers to."""
    if isinstance(value, list):
        return {one for item in value for one in references(item)}
    if isinstance(value, dict):
        return {value["@id"]} if set(value) == {"@id"} else {one for item in value.values() for one in references(item)}
    return set()


def test_every_part_of_the_crate_is_a_file_of_the_book(html: Path, graph: dict[str, dict[str, Any]]) -> None:
    parts = references(graph["./"]["hasPart"])
    assert len(parts) > 3 * len(CHAPTERS)
    assert all((html / part).is_file() for part in parts)
    assert {path.relative_to(html).as_posix() for path in (html / "records").rglob("*.json")} <= parts


def test_the_crate_refers_to_nothing_that_it_does_not_describe(graph: dict[str, dict[str, Any]]) -> None:
    outside = {"https://w3id.org/ro/crate/1.1"}  # the specification
    assert references(list(graph.values())) - outside <= set(graph)


def test_every_chapter_is_a_run_of_its_source_on_records_that_can_be_read(
    html: Path, graph: dict[str, dict[str, Any]]
) -> None:
    runs = [entity for entity in graph.values() if entity["@type"] == "CreateAction"]
    assert {run["instrument"]["@id"] for run in runs} == {f"notebooks/{chapter}.py" for chapter in CHAPTERS}
    (size,) = [run for run in runs if run["@id"] == "#run-model_size"]
    assert size["object"]
    for name in references(size["object"]):
        content = json.loads((html / name).read_text())
        assert name == f"records/{content['kind']}/{content['digest']}.json"


def test_codemeta_describes_the_library_that_is_installed(html: Path) -> None:
    meta = json.loads((html / "codemeta.json").read_text())
    assert meta["version"] == importlib.metadata.version("paper_lib")
    assert any(requirement.startswith("torch") for requirement in meta["softwareRequirements"])
    assert not any("pytest" in requirement for requirement in meta["softwareRequirements"])


def test_the_facts_of_a_page_link_to_the_records_of_the_book(html: Path, graph: dict[str, dict[str, Any]]) -> None:
    page = (html / "book" / "model_size.html").read_text()
    for name in references(graph["#run-model_size"]["object"]):
        assert f'href="../{name}"' in page
