"""Says in one line what is wrong with the file of a profile: file, field, value, and what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from paper_lib.profiles.profile import Profile

# Characters of a refused value that its refusal repeats.
LONGEST_SHOWN = 200


class ProfileError(ValueError):
    """There is no such profile, or its file is none; the message, one line, names what would be accepted."""


def shown(value: Any) -> str:
    """Returns a refused value as Python writes it, or the beginning of what is too long for a message."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"a value of type {type(value).__name__} that Python cannot write"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}… ({len(text)} characters)"


def no_field(name: str, tables: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    """Returns what to say of a field `name` that there is not in the table at `path` of a profile's `tables`."""
    names = [field for model in _models_at(path, tables) for field in model.model_fields]
    if not path:
        names = ["base", *(field for field in names if field != "name")]
    table = ".".join(path) or "a profile"
    return f"there is no field {'.'.join((*path, name))}{nearest(name, names)}; {table} takes {', '.join(names)}"


def refusal(error: ValidationError, tables: Mapping[str, Any]) -> str:
    """Returns what to say of the first fault that `error` found in a profile's `tables`."""
    detail = error.errors()[0]
    path, value = _place(detail, tables)
    field = ".".join(path)
    allowed = re.sub(r"^\w+ should", "it must", detail["msg"]).replace("an object", "a table")
    match detail["type"]:
        case "extra_forbidden":
            return no_field(path[-1], tables, path[:-1])
        case "missing":
            return f"{field} is missing"
        case "value_error":  # a rule of our own
            return f"{field}: {detail['ctx']['error']}" if field else str(detail["ctx"]["error"])
        case "union_tag_invalid" | "union_tag_not_found":
            sources = [str(model.model_fields["source"].default) for model in _models_at(path, {})]
            said = f"is {shown(value['source'])}" if "source" in value else "is missing"
            return f"{field}.source {said}; it must be one of {', '.join(sources)}"
        case _ if detail["loc"][-1] == "[key]":
            return f"{'.'.join(path[:-1])} names {path[-1]!r}; {allowed}"
        case _:
            return f"{field} is {shown(value)}; {allowed}"


def _place(detail: ErrorDetails, tables: Mapping[str, Any]) -> tuple[tuple[str, ...], Any]:
    """Returns the path of the field that a fault is of, and its value; pydantic names more than there is in a file."""
    path: list[str] = []
    value: Any = tables
    for part in detail["loc"]:
        there = part in value if isinstance(value, dict) else isinstance(value, list) and isinstance(part, int)
        if there:
            value = value[part]
            path.append(str(part))
    if detail["type"] == "missing":
        path.append(str(detail["loc"][-1]))
    return tuple(path), value


def _models_at(path: tuple[str, ...], tables: Mapping[str, Any]) -> list[type[BaseModel]]:
    """Returns the settings that the table at `path` may be; of corpora that which is of the `source` of `tables`."""
    models: list[type[BaseModel]] = [Profile]
    table: Any = tables
    for part in path:
        table = table.get(part, {}) if isinstance(table, dict) else {}
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        # Where none has a field of this name, it is the key of a dictionary: a size.
        models = [model for field in fields for model in _models_in(field.annotation)] or models
    if isinstance(table, dict) and "source" in table:
        # No table but that of a corpus has a source, whatever a file says.
        corpora = [model for model in models if "source" in model.model_fields]
        if corpora:
            models = [model for model in corpora if model.model_fields["source"].default == table["source"]]
    return models


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def nearest(name: str, names: Iterable[str]) -> str:
    """Returns the question whether the name nearest to an unknown one was meant; nothing where none is near."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
