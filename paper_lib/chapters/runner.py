"""Runs one chapter by papermill: py:percent source in, executed notebook with its provenance out."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jupytext
import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from paper_lib.chapters.parameters import check
from paper_lib.chapters.provenance import take_provenance, with_header
from paper_lib.chapters.sources import source_of

REPORT_CELL = "from paper_lib.chapters.notebook import report_provenance\n\nreport_provenance()"


class ChapterError(RuntimeError):
    """A chapter failed; its notebook, executed up to the error, stands at `notebook`."""

    # Set from outside: an exception whose constructor takes more than its message does not cross processes.
    notebook: Path


def execute(chapter: str, parameters: Mapping[str, Any], root: Path) -> Path:
    """Runs `root/book/CHAPTER.py` and returns the executed notebook, `root/_build/chapters/CHAPTER.ipynb`.

    The notebook appears there complete, or, after an error in a cell, complete up to that error; an interruption
    leaves what stood there before.

    Raises:
        ParameterError: a parameter is refused; nothing has run.
        ChapterError: a cell raised an exception.
    """
    checked = check(chapter, parameters)
    finished = root / "_build" / "chapters" / f"{chapter}.ipynb"
    finished.parent.mkdir(parents=True, exist_ok=True)
    source = jupytext.read(source_of(chapter, root))
    source.cells.append(nbformat.v4.new_code_cell(REPORT_CELL))
    with TemporaryDirectory(dir=finished.parent, prefix=f".{chapter}-") as scratch:
        executed = Path(scratch) / finished.name
        try:
            papermill.execute_notebook(
                source,
                executed,
                # As JSON: papermill writes a list into the notebook, but a tuple as one string.
                parameters=checked.model_dump(mode="json"),
                cwd=root,
                progress_bar={"desc": chapter, "unit": "cell"},
                stderr_file=sys.stderr,
                # A kernel warns at every start that its local sockets are not encrypted.
                extra_arguments=["--log-level=ERROR"],
            )
        except PapermillExecutionError as error:
            os.replace(executed, finished)
            failure = ChapterError(
                f"chapter {chapter} failed in cell [{error.exec_count}] with {error.ename}: {error.evalue}\n"
                f"the notebook, executed up to the error, is {finished}"
            )
            failure.notebook = finished
            raise failure from None
        notebook = nbformat.read(executed, as_version=4)
        nbformat.write(with_header(take_provenance(notebook, chapter)), executed)
        os.replace(executed, finished)
    return finished
