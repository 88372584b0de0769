"""Tiny chapters and books that tests write and run: real sources, in a directory of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]

CHAPTER = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # {title}
#
# What this chapter says.

# %% tags=["parameters"]
{parameters}

# %%
from paper_lib.chapters import begin

chapter = begin("{name}", globals())

# %%
{body}
"""


def write_chapter(root: Path, name: str, body: str, parameters: str = 'profile = "quick"') -> Path:
    """Writes `root/book/NAME.py`, whose last cell is `body`, and returns it."""
    source = root / "book" / f"{name}.py"
    source.parent.mkdir(parents=True, exist_ok=True)
    title = f"All about {name}"
    source.write_text(CHAPTER.format(title=title, name=name, parameters=parameters, body=body), encoding="utf-8")
    return source


def write_configuration(root: Path, *chapters: str) -> None:
    """Copies the book's own configuration to `root` and writes a `_toc.yml` of `chapters`, then the status page."""
    for name in ("_config.yml", "LICENSE", "CITATION.cff"):
        shutil.copy(CHECKOUT / name, root)
    (root / "book").mkdir(exist_ok=True)
    shutil.copy(CHECKOUT / "book" / "references.bib", root / "book")
    first, *others = [f"book/{chapter}" for chapter in (*chapters, "status")]
    files = "\n".join(f"  - file: {other}" for other in others)
    (root / "_toc.yml").write_text(f"format: jb-book\nroot: {first}\nchapters:\n{files}\n", encoding="utf-8")
