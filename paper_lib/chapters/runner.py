"""Runs one chapter by papermill: py:percent source in, executed notebook with its provenance out."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import papermill
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from pydantic import BaseModel
from traitlets import default

from paper_lib.chapters.freshness import inputs_digest, is_fresh
from paper_lib.chapters.parameters import check
from paper_lib.chapters.provenance import take_provenance, with_header
from paper_lib.chapters.sources import source_of
from paper_lib.files import make_directory, scratch_directory
from paper_lib.studies.measurements import NotMeasuredError

REPORT_CELL = "from paper_lib.chapters.notebook import report_provenance\n\nreport_provenance()"

# The kernel's option to end, after all that is to be done at exit, without taking torch and SciPy apart, which is as
# long a wait as many a chapter.
LEAVE = "--IPKernelApp.exec_lines=import atexit as _atexit, os as _os; _atexit.register(_os._exit, 0)"


class ChapterKernel(AsyncKernelManager):
    """A kernel of the interpreter that asks for it, whatever kernels are installed on this machine."""

    @default("kernel_spec_manager")
    def _no_installed_kernels(self) -> KernelSpecManager:
        return KernelSpecManager(kernel_dirs=[])

    async def _async_interrupt_kernel(self) -> None:
        # Of one that is to end, nobody wants to read where it was.
        if not self.shutting_down:
            await super()._async_interrupt_kernel()


class ChapterError(RuntimeError):
    """A chapter failed; its notebook, executed up to the error, stands at `notebook`."""

    # Set from outside: an exception whose constructor takes more than its message does not cross processes.
    notebook: Path


def fresh(chapter: str, parameters: Mapping[str, Any], root: Path) -> Path:
    """Returns what `execute` would, without running a chapter whose page stands there and would be the same.

    Raises:
        As `execute`.
    """
    inputs = inputs_digest(chapter, parameters, root)
    if is_fresh(notebook := page_of(chapter, root), inputs):
        return notebook
    return execute(chapter, parameters, root, inputs)


def page_of(chapter: str, root: Path) -> Path:
    """Returns where the executed notebook of a chapter stands."""
    return root / "_build" / "chapters" / f"{chapter}.ipynb"


def execute(chapter: str, parameters: Mapping[str, Any], root: Path, inputs: str = "") -> Path:
    """Runs `root/book/CHAPTER.py` and returns the executed notebook, `root/_build/chapters/CHAPTER.ipynb`.

    `inputs` is the digest that `fresh` will look for. The notebook appears there complete, or, after an error in a
    cell, complete up to that error; an interruption leaves what stood there before.

    Raises:
        ParameterError: a parameter is refused; nothing has run.
        ChapterError: a cell raised an exception.
    """
    checked = check(chapter, parameters)
    # Some editors put a byte-order mark first.
    source = jupytext.reads(source_of(chapter, root).read_text(encoding="utf-8-sig"), fmt="py")
    return _execute(chapter, checked, source, root, inputs)


def _execute(chapter: str, checked: BaseModel, source: NotebookNode, root: Path, inputs: str) -> Path:
    """Runs the cells of `source`. Where one asks for records that nobody has measured, the page ends before it."""
    finished = page_of(chapter, root)
    make_directory(finished.parent)
    reported = nbformat.from_dict({**source, "cells": [*source.cells, nbformat.v4.new_code_cell(REPORT_CELL)]})
    with scratch_directory(f".{chapter}", finished.parent) as scratch:
        executed = scratch / finished.name
        try:
            papermill.execute_notebook(
                reported,
                executed,
                # As JSON: papermill writes a list into the notebook, but a tuple as one string.
                parameters=checked.model_dump(mode="json"),
                cwd=root,
                progress_bar={"desc": chapter, "unit": "cell"},
                stderr_file=sys.stderr,
                kernel_manager_class=ChapterKernel,
                extra_arguments=[
                    # A kernel warns at every start that its local sockets are not encrypted.
                    "--log-level=ERROR",
                    # What a user lets every IPython do at its start is no part of a chapter.
                    f"--ipython-dir={scratch.absolute()}",
                    "--IPKernelApp.exec_PYTHONSTARTUP=False",
                    LEAVE,
                ],
            )
        except KeyboardInterrupt:
            # asyncio would tell of what waited for the kernel, when that is forgotten.
            logging.getLogger("asyncio").setLevel(logging.CRITICAL)
            raise
        except PapermillExecutionError as error:
            if error.ename == NotMeasuredError.__name__:
                shorter = _until(source, error.source, error.evalue)
                return _execute(chapter, checked, shorter, root, inputs)
            os.replace(executed, finished)
            failure = ChapterError(
                f"chapter {chapter} failed in cell [{error.exec_count}] with {error.ename}: {error.evalue}\n"
                f"the notebook, executed up to the error, is {finished}"
            )
            failure.notebook = finished
            raise failure from None
        notebook = take_provenance(nbformat.read(executed, as_version=4), chapter)
        notebook.metadata.paper_lib["inputs"] = inputs
        nbformat.write(with_header(notebook), executed)
        os.replace(executed, finished)
    return finished


def _until(source: NotebookNode, code: str, reason: str) -> NotebookNode:
    """Returns the cells of `source` before the one with this `code`, and then what is missing."""
    place = [cell.source for cell in source.cells].index(code)
    told = nbformat.v4.new_markdown_cell(f"```{{admonition}} Not measured yet\n{reason[:1].upper()}{reason[1:]}.\n```")
    return nbformat.from_dict({**source, "cells": [*source.cells[:place], told]})
