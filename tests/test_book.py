"""The whole book at profile smoke: every chapter by papermill, then the strict HTML build."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from bs4 import BeautifulSoup
from tiny_book import CHECKOUT

from paper_lib.chapters.declarations import CHAPTERS
from paper_lib.chapters.links import broken_links, read_pages
from paper_lib.claims.findings import CLAIMS
from paper_lib.profiles import profile_of
from paper_lib.studies import model_size

pytestmark = pytest.mark.book


def test_the_first_page_leads_to_the_introduction(built_book: Path) -> None:
    assert "book/intro.html" in (built_book / "_build" / "html" / "index.html").read_text()


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_cell_of_a_chapter_ran(built_book: Path, chapter: str) -> None:
    notebook = nbformat.read(built_book / "_build" / "chapters" / f"{chapter}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_page_warns_of_its_numbers_and_tells_what_produced_it(built_book: Path, chapter: str) -> None:
    page = (built_book / "_build" / "html" / "book" / f"{chapter}.html").read_text()
    assert "Numbers of profile smoke mean nothing" in page
    assert '<dl class="provenance">' in page


def test_x_rises_in_every_curve_of_every_page(built_book: Path) -> None:
    curves: dict[tuple[str, ...], list[int]] = {}
    for page in sorted((built_book / "_build" / "html" / "book").glob("*.html")):
        for link in BeautifulSoup(page.read_text(), "html.parser").select("a.download"):
            for row in csv.DictReader(io.StringIO(unquote(link["href"].partition(",")[2]))):
                if x := {"step", "rounds"} & row.keys():
                    of = [f"{name}={value}" for name, value in row.items() if name not in x and not is_measured(name)]
                    curves.setdefault((page.stem, str(link["download"]), *of), []).append(int(row[x.pop()]))
    assert {key[0] for key in curves} >= {"federated_dropout", "signatures"}
    assert max(map(len, curves.values())) > 2
    assert [key for key, xs in curves.items() if xs != sorted(set(xs))] == []


def is_measured(column: str) -> bool:
    """Returns whether a column of a figure's data holds what is drawn along y."""
    return column in ("rho", "value", "signature", "wer_percent")


def test_the_status_page_links_to_every_chapter(built_book: Path) -> None:
    status = (built_book / "_build" / "html" / "book" / "status.html").read_text()
    for chapter in CHAPTERS:
        assert f'class="reference internal" href="{chapter}.html"' in status


def test_every_claim_links_to_its_figure(built_book: Path) -> None:
    pages = built_book / "_build" / "html" / "book"
    claims = (pages / "claims.html").read_text()
    for claim in CLAIMS:
        assert f'href="{claim.chapter}.html#{claim.figure}"' in claims
        assert f'id="{claim.figure}"' in (pages / f"{claim.chapter}.html").read_text()


def test_every_link_inside_the_book_leads_somewhere(built_book: Path) -> None:
    assert broken_links(built_book / "_build" / "html") == []


def test_an_address_within_a_page_leads_to_one_place(built_book: Path) -> None:
    for path in (built_book / "_build" / "html" / "book").glob("*.html"):
        markup = re.sub(r"<script.*?</script>", "", path.read_text(), flags=re.DOTALL)
        ids = Counter(re.findall(r'\sid="([^"]+)"', markup))
        assert [name for name, count in ids.items() if count > 1] == [], path.name


def test_a_chapter_links_to_every_term_of_the_glossary(built_book: Path) -> None:
    pages = read_pages(built_book / "_build" / "html" / "book")
    of_name = {path.stem: page for path, page in pages.items()}
    terms = {anchor for anchor in of_name["glossary"].anchors if anchor.startswith("term-")}
    linked = {link.removeprefix("glossary.html#") for chapter in CHAPTERS for link in of_name[chapter].links}
    assert len(terms) > 20
    assert terms - linked == set()


def test_the_first_page_has_the_licence_the_rights_and_the_citation(built_book: Path) -> None:
    page = (built_book / "_build" / "html" / "book" / "intro.html").read_text()
    assert "The method of the paper is the subject of US patent 12,367,865" in " ".join(page.split())
    downloads = built_book / "_build" / "html" / "_downloads"
    for name in ("LICENSE", "CITATION.cff"):
        (copy,) = downloads.rglob(name)
        assert copy.read_bytes() == (CHECKOUT / name).read_bytes()
        assert f'href="../_downloads/{copy.parent.name}/{name}"' in page


def test_every_figure_has_a_caption_and_a_text_for_those_who_cannot_see_it(built_book: Path) -> None:
    pages = [(built_book / "_build" / "html" / "book" / f"{chapter}.html").read_text() for chapter in CHAPTERS]
    figures = [figure for page in pages for figure in BeautifulSoup(page, "html.parser").select("figure, .samples")]
    assert figures
    for figure in figures:
        assert all(drawing.get("aria-label") for drawing in figure.select(".drawing > div > svg"))
        # Pictures that belong together share the caption of what holds them.
        if figure.find_parent(["figure", "div"], class_=["drawing", "samples"]) is None:
            caption = figure.find("figcaption", recursive=False) or figure.find_next_sibling("p", class_="caption")
            assert caption is not None, figure
            assert caption.get_text(strip=True)


def test_every_figure_of_numbers_offers_them_as_a_file(built_book: Path) -> None:
    """Those without are drawings, and spectrograms, which have their sound."""
    drawings = ("Spectrogram of", "Two spectrograms", "Block diagram", "Diagram of", "Four stacks", "Grid of")
    names = []
    for chapter in CHAPTERS:
        page = BeautifulSoup((built_book / "_build" / "html" / "book" / f"{chapter}.html").read_text(), "html.parser")
        for figure in page.select("figure.drawing"):
            if link := figure.find("figcaption", recursive=False) and figure.select_one("figcaption > a.download"):
                names.append(link["download"])
            else:
                assert figure.svg["aria-label"].startswith(drawings), figure.svg["aria-label"]
    assert len(names) > 20
    assert "figure.csv" not in names


def test_no_page_needs_a_script_from_elsewhere_for_a_formula(built_book: Path) -> None:
    for chapter in CHAPTERS:
        page = (built_book / "_build" / "html" / "book" / f"{chapter}.html").read_text()
        assert 'class="math' not in page


def test_models_trained_side_by_side_have_the_bits_of_one_trained_alone(
    built_book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(built_book / "cache"))
    beside = model_size(profile_of("smoke")).records()
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path))
    alone = model_size(profile_of("smoke"), sizes=["M"]).records(workers=1)
    same = [records for records in beside if records.size == "M"]
    assert len(alone) == len(same) == 2
    for one, other in zip(alone, same, strict=True):
        assert one.training.digest == other.training.digest
        assert one.training.result | {"seconds": 0} == other.training.result | {"seconds": 0}
        assert one.reset.result == other.reset.result
