"""The values that a chapter's parameters are given: the notebook, papermill and the command line all check them here.

papermill alone would only log an unknown name and check no type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from paper_lib.chapters.declarations import CHAPTERS, ChapterParameters
from paper_lib.profiles.refusals import nearest, shown


class ParameterError(ValueError):
    """A parameter, or a chapter, that is refused; the message names what would be accepted."""


def parameters_of(chapter: str) -> type[ChapterParameters]:
    """Returns the parameters that `chapter` declares.

    Raises:
        ParameterError: there is no such chapter.
    """
    if chapter not in CHAPTERS:
        raise ParameterError(f"there is no chapter {chapter!r}{nearest(chapter, CHAPTERS)}: {', '.join(CHAPTERS)}")
    return CHAPTERS[chapter]


def check(chapter: str, values: Mapping[str, Any]) -> ChapterParameters:
    """Returns the parameters of `chapter` with `values`, and defaults for those that are not given.

    Raises:
        ParameterError: a name is unknown, a type is wrong or a value is out of range; all of them are listed.
    """
    declared = parameters_of(chapter)
    try:
        return declared.model_validate(dict(values))
    except ValidationError as error:
        refusals = {str(detail["loc"][0]): detail for detail in error.errors()}
        lines = [_refusal(declared, name, values, detail) for name, detail in refusals.items()]
        raise ParameterError("\n".join(f"chapter {chapter}: {line}" for line in lines)) from None


def check_text(chapter: str, values: Mapping[str, Any]) -> ChapterParameters:
    """Returns what `check` does, for values as they were typed; each is read by the type that its parameter declares.

    A text that is a valid value stays text (`007` for a name); else it is JSON (`2`, `["S", "M"]`) or `None`. A value
    that is no text stays what it is.

    Raises:
        ParameterError: as `check`.
    """
    declared = parameters_of(chapter)
    return check(
        chapter,
        {name: _read(declared, name, value) if isinstance(value, str) else value for name, value in values.items()},
    )


def describe(declared: type[ChapterParameters], name: str) -> str:
    """Returns the values that a parameter accepts, in words: "an integer from 1 to 20, or None"."""
    return _in_words(declared.model_json_schema()["properties"][name])


def _read(declared: type[ChapterParameters], name: str, text: str) -> Any:
    try:
        declared.model_validate({name: text})
    except ValidationError:
        try:
            return None if text == "None" else json.loads(text)
        except (ValueError, RecursionError):  # no JSON, an integer of too many digits, or too many brackets
            pass
    return text


def _refusal(declared: type[ChapterParameters], name: str, values: Mapping[str, Any], detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        names = declared.model_fields
        return f"there is no parameter {name!r}{nearest(name, names)}; it takes {', '.join(names)}"
    # A rule of our own says more than the type.
    reason = f": {detail['ctx']['error']}" if detail["type"] == "value_error" else ""
    return f"{name} is {shown(values[name])}; it must be {describe(declared, name)}{reason}"


def _in_words(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return ", or ".join(_in_words(option) for option in schema["anyOf"])
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    match schema["type"]:
        case "array":
            items = schema["items"]
            return f"one or more of {', '.join(items['enum']) if 'enum' in items else items['description']}, each once"
        case "integer" if "minimum" in schema:
            return f"an integer from {schema['minimum']} to {schema['maximum']}"
        case "number":
            return f"a number of at least {schema['minimum']} and less than {schema['exclusiveMaximum']}"
        case "string":
            return str(schema["description"])
        case "null":
            return "None"
        case other:
            raise NotImplementedError(f"say in words what a parameter of JSON type {other} accepts")
