"""What a chapter calls while it runs: `begin` at its top, `note` where it uses something that no record tells of."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from paper_lib import results
from paper_lib.chapters.declarations import ChapterParameters
from paper_lib.chapters.parameters import check_text, parameters_of
from paper_lib.circumstances import machine, versions
from paper_lib.trainings import mixed_trainings

# The output in which a chapter's kernel tells the runner what the page rests on.
PROVENANCE_MIME = "application/vnd.paper-lib.provenance+json"


class Chapter:
    """A chapter that runs: its checked parameters, and what it used beside the records that it asked for."""

    def __init__(self, name: str, parameters: ChapterParameters) -> None:
        self.name = name
        self.parameters = parameters
        self.corpora: list[str] = []
        self.seeds: list[int] = []

    def note(self, *, corpus: str | None = None, seeds: Sequence[int] = ()) -> None:
        """Adds the digest of a corpus and seeds to the page's provenance; records bring their own."""
        self.corpora += [corpus] if corpus else []
        self.seeds += seeds


_running: Chapter | None = None


def begin(name: str, namespace: Mapping[str, Any]) -> Chapter:
    """Returns the chapter `name` with the parameters that stand in the notebook's `namespace` (its `globals()`).

    Names that papermill injected are checked too: it would only log an unknown one, and the chapter would run with the
    default. A text is read as the command line reads it: so papermill's `-r` hands a value on, as it was typed.

    Raises:
        ParameterError: a parameter is unknown, missing, of a wrong type or out of range.
    """
    global _running
    results.begin_page()
    names = [*parameters_of(name).model_fields, *_assigned_before_begin(namespace.get("In", ()))]
    _running = Chapter(name, check_text(name, {name: namespace[name] for name in names if name in namespace}))
    return _running


def report_provenance() -> None:
    """Displays, for the runner alone, the provenance of all that this notebook used; its last cell."""
    from IPython.display import display

    records = results.consulted()
    content = {
        "records": [
            {
                "kind": record.kind,
                "digest": record.digest,
                "provenance": record.provenance | {"seconds": record.seconds},
                "computed": results.computed_with_page(record),
            }
            for record in records
        ],
        "mixed": mixed_trainings(records),
        "corpora": _running.corpora if _running else [],
        "seeds": _running.seeds if _running else [],
        # Where there are records, their machines count; and to ask this one for its GPU takes torch.
        "machine": None if records else machine(),
        "versions": versions(),
    }
    display({PROVENANCE_MIME: content}, raw=True)


def _assigned_before_begin(cells: Iterable[str]) -> list[str]:
    """Returns the names that cells assign until one calls `begin`; later ones are the chapter's own, not parameters."""
    names: list[str] = []
    for cell in cells:
        if "begin(" in cell:
            break
        with contextlib.suppress(SyntaxError):
            for statement in ast.parse(cell).body:
                targets = (
                    statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
                )
                names += [target.id for target in targets if isinstance(target, ast.Name)]
    return names
