"""The command line: help, refusals, and commands that need no notebook."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from paper_lib.chapters.declarations import CHAPTERS
from paper_lib.cli import main

NOTEBOOK_STACK = ("papermill", "jupytext", "nbformat", "nbclient", "IPython", "ipykernel", "matplotlib", "jupyter_book")

WITHOUT_NOTEBOOKS = f"""
import runpy, sys
for name in {NOTEBOOK_STACK}:
    sys.modules[name] = None  # Importing it fails.
sys.argv = ["paper_lib", *sys.argv[1:]]
runpy.run_module("paper_lib", run_name="__main__")
"""


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def without_notebooks(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PAPER_LIB_CACHE": str(cache)}
    command = [sys.executable, "-c", WITHOUT_NOTEBOOKS, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_help_and_refusals_load_neither_torch_nor_papermill() -> None:
    script = "import sys, paper_lib.cli; sys.exit(bool({'torch', 'papermill', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_chapters_lists_every_parameter_with_type_range_default_and_help() -> None:
    result = invoke("chapters")
    assert result.exit_code == 0
    for name, declared in CHAPTERS.items():
        assert f"{name}: " in result.output
        for parameter, field in declared.model_fields.items():
            assert f"-p {parameter}" in result.output
            assert str(field.description) in result.output
    assert "an integer from 1 to 20, or None; default None" in result.output
    assert "one or more of S, M, L, each once; default S,M,L" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("chapter", "model_size", "-p", "seed", "2"), "did you mean 'seeds'?"),
        (("chapter", "model_size", "-p", "seeds", "2x"), "it must be an integer from 1 to 20, or None"),
        (("chapter", "model_size", "-p", "draws", "51"), "it must be an integer from 1 to 50, or None"),
        (
            ("chapter", "model_size", "-p", "profile", "fast"),
            "one of smoke, quick, laptop, human, gpu, librispeech",
        ),
        (("chapter", "modelsize"), "did you mean 'model_size'?"),
        (("book", "--profile", "fast"), "it must be one of smoke, quick, laptop"),
        (("records",), "Missing option '--profile'"),
        (("records", "--profile", "fast"), "or the path of a TOML file: there is no file"),
        (("records", "--profile", "smoke", "--make", "--workers", "0"), "0 is not in the range x>=1"),
        (("run", "--study", "model_size"), "Missing option '--profile'"),
        (("run", "--study", "model_sizes", "--profile", "smoke"), "did you mean 'model_size'?"),
        (
            ("run", "--study", "corpus", "--profile", "smoke"),
            "chapter corpus computes no records; these do: model_size",
        ),
        (
            ("run", "--study", "model_size", "--profile", "fast"),
            "one of smoke, quick, laptop, human, gpu, librispeech",
        ),
        (("run", "--study", "model_size", "--profile", "smoke", "-p", "seeds", "0"), "an integer from 1 to 20"),
        (("chapter", "model_size", "-p", "seeds", "9" * 5000), "9… (5002 characters); it must be an integer from 1"),
        (("chapter", "model_size", "-p", "seeds", "[" * 100_000), "[… (100002 characters); it must be an integer"),
        (("chapter", "model_size", "-p", "sizes", '{"S":' * 100_000), "one or more of S, M, L, each once"),
        (("chapter", "model_size", "-p", "seeds", "2", "-p", "seeds", "2"), "parameter seeds is given twice"),
        (("run", "--study", "model_size", "--profile", "smoke", "--profile", "quick"), "--profile is given twice"),
        (("book", "--profile", "smoke", "--profile=quick"), "--profile is given twice"),
        (
            ("run", "--study", "model_size", "--profile", "quick", "-p", "profile", "smoke"),
            "profile is given twice: --profile quick and -p profile smoke",
        ),
    ],
)
def test_user_errors_exit_with_2_and_say_what_is_valid(arguments: tuple[str, ...], message: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_sizes_needs_no_notebook_stack(tmp_path: Path) -> None:
    result = without_notebooks("sizes", cache=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "118.6M" in result.stdout


@pytest.mark.book
def test_a_study_needs_no_notebook_stack(tmp_path: Path) -> None:
    result = without_notebooks("run", "--study", "model_size", "--profile", "smoke", "-p", "sizes", "S", cache=tmp_path)
    assert result.returncode == 0, result.stderr
    assert list((tmp_path / "records").rglob("*.json"))
