"""What a published notebook does first: on Colab it fetches the library with the published records."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from tiny_book import CHECKOUT

from paper_lib.chapters.book import publish_notebooks

# As Colab's kernel is: its module is there before the notebook runs.
COLAB = 'import sys, types; sys.modules["google.colab"] = types.ModuleType("google.colab")'
ASK = """
from paper_lib.paths import published_records
print(published_records("laptop"), len(list(published_records("laptop").glob("training/*.json"))))
"""


@pytest.fixture
def first_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/book")
    executed = tmp_path / "intro.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Intro")]), executed)
    publish_notebooks([executed], CHECKOUT, tmp_path / "published")
    return str(nbformat.read(tmp_path / "published" / "intro.ipynb", as_version=4).cells[0].source)


def run(cells: list[str], directory: Path) -> str:
    """Returns what the cells print, in an IPython to which this checkout is the repository on GitHub."""
    program = "from IPython.core.interactiveshell import InteractiveShell\nshell = InteractiveShell()\n"
    program += "".join(f"shell.run_cell({cell!r}).raise_error()\n" for cell in cells)
    github = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{CHECKOUT.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/someone/book",
    }
    # What is installed here stays as it is.
    pip = {"PIP_VERBOSE": "1", "PIP_DRY_RUN": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=directory, env=os.environ | github | pip, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_on_colab_the_library_comes_with_the_published_records(first_cell: str, tmp_path: Path) -> None:
    told = run([COLAB, first_cell, ASK], tmp_path)
    assert "ERROR" not in told
    assert re.search("Would install paper.lib", told), told
    records = tmp_path / "repository" / "book" / "records" / "laptop"
    assert told.splitlines()[-1] == f"{records} {len(list(records.glob('training/*.json')))}"
    assert list(records.glob("training/*.json"))


def test_elsewhere_the_first_cell_does_nothing(first_cell: str, tmp_path: Path) -> None:
    assert run([first_cell], tmp_path) == ""
    assert not (tmp_path / "repository").exists()
