"""The chapters' sources: where they are and what they are called."""

from __future__ import annotations

import re
from pathlib import Path


def source_of(chapter: str, root: Path) -> Path:
    """Returns the py:percent source of a chapter."""
    return root / "book" / f"{chapter}.py"


def title_of(chapter: str, root: Path) -> str:
    """Returns the first heading of a chapter's source.

    Raises:
        ValueError: it has none.
    """
    source = source_of(chapter, root)
    heading = re.search(r"^# # (.+)$", source.read_text(encoding="utf-8-sig"), re.MULTILINE)
    if heading is None:
        raise ValueError(f"{source} has no title: a line that begins with '# # '")
    return heading[1].strip()
