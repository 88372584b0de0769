"""What a chapter says in short, and what it asks its reader at the end: both are computed from records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Question(NamedTuple):
    """A question to the reader, and its answer, in sentences."""

    asked: str
    answer: str


@dataclass(frozen=True)
class Summary:
    """Two to four sentences, of which the first tells the finding by itself, and two questions."""

    sentences: tuple[str, ...]
    questions: tuple[Question, ...]
