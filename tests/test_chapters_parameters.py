"""Parameters of chapters: what is accepted, what is refused and in which words."""

from __future__ import annotations

import ast
import re
import symtable

import jupytext
import pytest
from tiny_book import CHECKOUT

from paper_lib.chapters import begin
from paper_lib.chapters.declarations import CHAPTERS
from paper_lib.chapters.parameters import ParameterError, check, check_text
from paper_lib.chapters.printing import pages_in_order


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({}, {"profile": "quick", "seeds": None, "draws": None, "sizes": ("S", "M", "L")}),
        ({"seeds": "2", "draws": "None"}, {"seeds": 2, "draws": None}),
        ({"seeds": "null"}, {"seeds": None}),
        ({"sizes": "S, M"}, {"sizes": ("S", "M")}),
        ({"sizes": '["L"]', "profile": "smoke"}, {"sizes": ("L",), "profile": "smoke"}),
    ],
)
def test_text_is_read_by_the_declared_type(texts: dict[str, str], expected: dict[str, object]) -> None:
    values = check_text("model_size", texts).model_dump()
    assert {name: values[name] for name in expected} == expected


@pytest.mark.parametrize("text", ["2x", "007", "2.0", "true", "0", "21", "-1", "", "two"])
def test_text_that_is_no_such_number_is_refused_with_what_would_do(text: str) -> None:
    with pytest.raises(
        ParameterError, match=r"chapter model_size: seeds is .*; it must be an integer from 1 to 20, or None"
    ):
        check_text("model_size", {"seeds": text})


@pytest.mark.parametrize("sizes", ["", "S,X", "S,S", "[]", "3", "s"])
def test_sizes_are_some_of_the_three_once_each(sizes: str) -> None:
    with pytest.raises(ParameterError, match=r"sizes is .*; it must be one or more of S, M, L, each once"):
        check_text("model_size", {"sizes": sizes})


@pytest.mark.parametrize("value", [True, "2", 2.0, [2]])
def test_python_values_are_not_converted(value: object) -> None:
    with pytest.raises(ParameterError, match="seeds is"):
        check("model_size", {"seeds": value})


def test_a_number_of_more_digits_than_python_writes_is_refused() -> None:
    with pytest.raises(ParameterError, match="seeds is a value of type int that Python cannot write; it must be"):
        check("model_size", {"seeds": 10**5000})


def test_unknown_profile_names_all_profiles() -> None:
    with pytest.raises(
        ParameterError,
        match="profile is 'fast'; it must be one of smoke, quick, laptop, human, gpu, librispeech",
    ):
        check("intro", {"profile": "fast"})


def test_unknown_parameter_names_the_nearest_and_all() -> None:
    with pytest.raises(
        ParameterError, match=r"no parameter 'sedes' \(did you mean 'seeds'\?\); it takes profile, seeds, draws"
    ):
        check("model_size", {"sedes": 3})


def test_all_refusals_are_told_at_once() -> None:
    with pytest.raises(ParameterError) as refusal:
        check("model_size", {"seeds": 0, "draws": 99, "size": "S"})
    assert [line.partition(": ")[2].split(" is ")[0] for line in str(refusal.value).splitlines()] == [
        "seeds",
        "draws",
        "there",
    ]


def test_unknown_chapter_names_the_nearest() -> None:
    with pytest.raises(ParameterError, match=r"no chapter 'model_sise' \(did you mean 'model_size'\?\)"):
        check("model_sise", {})


def test_begin_reads_the_notebooks_namespace() -> None:
    chapter = begin("model_size", {"profile": "smoke", "seeds": 2, "sizes": ["S"], "numpy": object()})
    assert (chapter.parameters.profile, chapter.parameters.model_dump()["sizes"]) == ("smoke", ("S",))


def test_begin_refuses_names_that_papermill_injected() -> None:
    cells = ["", "seeds = None", "# Parameters\nsedes = 3\n", 'chapter = begin("model_size", globals())']
    with pytest.raises(ParameterError, match="did you mean 'seeds'"):
        begin("model_size", {"In": cells, "seeds": None, "sedes": 3})


def test_begin_can_be_run_again_after_the_rest_of_the_notebook() -> None:
    call = 'chapter = begin("model_size", globals())'
    cells = ["", "seeds = None", call, "table = 3", call]
    assert begin("model_size", {"In": cells, "seeds": 4, "table": 3}).parameters.model_dump()["seeds"] == 4


@pytest.mark.parametrize("name", CHAPTERS)
def test_defaults_in_a_source_are_the_declared_ones(name: str) -> None:
    notebook = jupytext.read(CHECKOUT / "book" / f"{name}.py")
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    written = {}
    for statement in ast.parse(cell.source).body:
        assert isinstance(statement, ast.Assign), "papermill understands plain assignments"
        (target,) = statement.targets
        assert isinstance(target, ast.Name)
        written[target.id] = ast.literal_eval(statement.value)
    assert check(name, written) == CHAPTERS[name]()
    assert list(written) == list(CHAPTERS[name].model_fields)


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_cell_gives_a_parameter_another_value(name: str) -> None:
    # `begin` reads them in the notebook: its cell can be run again after all others.
    cells = [cell for cell in jupytext.read(CHECKOUT / "book" / f"{name}.py").cells if cell.cell_type == "code"]
    for cell in cells:
        if "parameters" not in cell.metadata.get("tags", []):
            names = symtable.symtable(cell.source, name, "exec").get_symbols()
            assigned = {symbol.get_name() for symbol in names if symbol.is_assigned()}
            assert not assigned & CHAPTERS[name].model_fields.keys()


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_source_names_the_kernel_and_begins_with_its_title(name: str) -> None:
    notebook = jupytext.read(CHECKOUT / "book" / f"{name}.py")
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")


def test_the_table_of_contents_is_the_list_of_chapters() -> None:
    prose = ("own_speech", "api", "reproduce", "glossary", "bibliography")
    pages = pages_in_order(CHECKOUT)
    assert pages[0] == "book/intro"
    assert sorted(pages) == sorted(f"book/{name}" for name in (*CHAPTERS, *prose, "status"))
    assert sorted(path.stem for path in (CHECKOUT / "book").glob("*.md")) == sorted(prose)


@pytest.mark.parametrize(
    ("chapter", "texts", "message"),
    [
        ("stability", {"seeds": "1"}, "seeds is 1; it must be an integer from 2 to 20, or None"),
        ("signatures", {"seeds": "1"}, "it must be an integer from 2 to 20"),
        ("signatures", {"matrices": "attention.x"}, "attention.q, attention.k, attention.v"),
        (
            "signatures",
            {"step": "30"},
            "step 30 was not recorded; the 31 that were go from 1 to 750, the nearest is 25",
        ),
        ("signatures", {"step": "800"}, "the nearest is 750"),  # L trains longer than S
        ("signatures", {"step": "3", "profile": "laptop"}, "step 3 was not recorded"),
        ("group_norm", {"size": "XL"}, "size is 'XL'; it must be one of S, M, L"),
        ("federated_dropout", {"plans": "amb-9"}, "plan amb-9: the model has 6 layers"),
        ("federated_dropout", {"plans": "ambient"}, "one or more of none, flat, crit-N, amb-N, random-N, each once"),
        ("federated_dropout", {"plans": "flat,flat"}, "one is named twice"),
        ("federated_dropout", {"own": "9:0.5"}, "plan own: there is no layer 9; the model has layers 1 to 6"),
        ("federated_dropout", {"own": "1:1"}, "every rate must be a number of at least 0 and less than 1"),
        ("federated_dropout", {"own": "01:0.5 1:0.2"}, "own names layer 1 twice"),
        ("federated_dropout", {"own": f"{'9' * 5000}:0.5"}, "it must be a text like '1:0.5 4:0.25 rest:0.1', or None"),
        ("federated_dropout", {"own": "half"}, "it must be a text like '1:0.5 4:0.25 rest:0.1', or None"),
        ("federated_dropout", {"elsewhere": "1.0"}, "it must be a number of at least 0 and less than 1"),
        ("federated_dropout", {"masks": "layer"}, "masks is 'layer'; it must be one of client, round"),
    ],
)
def test_comparisons_that_cannot_be_made_are_refused(chapter: str, texts: dict[str, str], message: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(message)):
        check_text(chapter, texts)


def test_a_plan_of_ones_own_is_accepted_as_it_was_written() -> None:
    values = check_text("federated_dropout", {"own": "1:0.5 rest:0.1", "plans": "none, crit-6", "elsewhere": "0"})
    assert values.model_dump()["own"] == "1:0.5 rest:0.1"
    assert values.model_dump()["plans"] == ("none", "crit-6")


def test_a_recorded_step_is_accepted() -> None:
    assert check_text("signatures", {"step": "800", "sizes": "L"}).model_dump()["step"] == 800
