"""Jupyter Book in a process that ends with its parent: `python -m paper_lib.chapters.jupyter_book PARENT ARGUMENTS…`.

As a module, for an environment that was moved has a script that names the interpreter of its old place.
"""

from __future__ import annotations

import sys

from jupyter_book.cli.main import main

from paper_lib.ending import end_with

if __name__ == "__main__":
    end_with(int(sys.argv.pop(1)))
    main()
