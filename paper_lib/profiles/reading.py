"""Reads profiles from TOML files: the built-in ones beside this file, and those that a reader writes.

A file has the fields of `Profile` by their names, but for `name`, which is the file's stem:

    base = "quick"                        # a built-in profile, or another file; what is not said here is as there

    [corpus]
    utterances = { train = 1000 }         # tables are merged into the base's

    [training]
    steps = 300                           # in `training` and `models`: what S, M and L have in common
    S.learning_rate = 4e-3                # and what one of them has

    [adaptation.model.encoder]
    streaming = "none"                    # takes away what the base says

A corpus of another `source` than the base's takes nothing from it. Files that a file names are looked for beside it.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from paper_lib.profiles.profile import BUILT_IN, SIZES, Profile
from paper_lib.profiles.refusals import ProfileError, no_field, refusal, shown

NOTHING = "none"
BY_SIZE = ("models", "training")
# Keys of a file that hold the name of a profile, or of a file.
REFERENCES = ("base", "pretrained")
# The key of a corpus of recordings that holds the path of its manifest, or one for each split.
MANIFEST = "manifest"


def profile_of(name: str) -> Profile:
    """Returns the built-in profile called `name`, or that of the TOML file at the path `name`.

    Raises ProfileError where there is no such file, or where it is no profile.
    """
    return _built_in(name) if name in BUILT_IN else _read(Path(resolve(name)).resolve(), ())


def resolve(name: str, directory: Path | None = None) -> str:
    """Returns `name` where it is that of a built-in profile; else the absolute path of the file that it names.

    A relative path starts at `directory`, by default where this process runs. Raises ProfileError.
    """
    if name in BUILT_IN:
        return name
    try:
        path = ((directory or Path()) / Path(name).expanduser()).absolute()
        found = path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a byte that no path has, an unknown user
        raise ProfileError(f"{shown(name)} is no path: {error}") from None
    if not found:
        named = str(path)
        raise ProfileError(f"there is no file {named if named.isprintable() else shown(named)}")
    if path.stem in BUILT_IN:
        raise ProfileError(f"{path} has the name of a built-in profile; call it anything but {', '.join(BUILT_IN)}")
    return str(path)


@cache
def _built_in(name: str) -> Profile:
    return _read(Path(__file__).with_name(f"{name}.toml"), ())


def _read(path: Path, readers: tuple[Path, ...]) -> Profile:
    """Returns the profile in the file `path`, which each of `readers` names on the way to it."""
    tables = _tables(path)
    if "name" in tables:
        raise ProfileError(f"{path.name}: {no_field('name', tables)}")
    named = {key: _named(path, key, tables.pop(key), readers) for key in REFERENCES if key in tables}
    fields = _merged(named.pop("base", None) or {}, _by_size(tables)) | named | {"name": path.stem}
    try:
        # Strict, and by way of JSON, whose arrays may be tuples: no "2" and no true for 2.
        profile = Profile.model_validate_json(json.dumps(fields, default=str), strict=True)
        for size in profile.seeds:
            profile.run(size, 0)
        profile.adaptation.run(0)
    except ValidationError as error:
        raise ProfileError(f"{path.name}: {refusal(error, fields)}") from None
    return profile


def _tables(path: Path) -> dict[str, Any]:
    try:
        return _beside(path.parent, tomllib.loads(path.read_text(encoding="utf-8"), parse_float=_finite))
    except OSError as error:
        raise ProfileError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # no TOML, or no text
        raise ProfileError(f"{path.name} is no TOML file: {error}") from None


def _beside(directory: Path, tables: dict[str, Any]) -> dict[str, Any]:
    """Returns `tables` with the absolute paths of the manifests that they name from `directory`."""

    def absolute(named: Any) -> Any:
        if isinstance(named, dict):
            return {split: absolute(path) for split, path in named.items()}
        return str(directory / Path(named).expanduser()) if isinstance(named, str) else named

    return {
        name: absolute(value) if name == MANIFEST else _beside(directory, value) if isinstance(value, dict) else value
        for name, value in tables.items()
    }


def _finite(text: str) -> Any:
    """Returns a number, or, of one that no setting may be, its text, which is refused where a number must be."""
    number = float(text)
    return number if math.isfinite(number) else text


def _named(path: Path, key: str, name: Any, readers: tuple[Path, ...]) -> dict[str, Any] | None:
    """Returns the fields of the profile that the file at `path` names as its `key`."""
    if key == "pretrained" and name == NOTHING:
        return None
    if name in BUILT_IN:
        return _fields(_built_in(name))
    what = f"{path.name}: {key} is {shown(name)}"
    allowed = f"it must be one of {', '.join(BUILT_IN)}, or the path of a TOML file"
    if not isinstance(name, str):
        raise ProfileError(f"{what}; {allowed}")
    try:
        other = Path(resolve(name, path.parent)).resolve()
    except ProfileError as error:
        raise ProfileError(f"{what}; {allowed}: {error}") from None
    if other in (*readers, path):
        raise ProfileError(f"{what}, which leads back to {other.name}; {allowed} that does not")
    return _fields(_read(other, (*readers, path)))


def _fields(profile: Profile) -> dict[str, Any]:
    return profile.model_dump(mode="json", exclude_none=True)


def _by_size(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `tables` with what all sizes have in common put to each of them."""
    found = dict(tables)
    for field in BY_SIZE:
        if isinstance(table := tables.get(field), dict):
            common = {name: value for name, value in table.items() if name not in SIZES}
            found[field] = {size: _over(common, table.get(size, {})) for size in SIZES}
    return found


def _over(common: Mapping[str, Any], own: Any) -> Any:
    """Returns what is `own` to a size, over what it has in `common` with the others; "none" stays, for the base."""
    if not isinstance(own, dict):
        return own
    both = {name: _over(common[name], own[name]) for name in own if isinstance(common.get(name), dict)}
    return {**common, **own, **both}


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the tables `base` with `changes`, which take away what they call "none"."""
    if "source" in base and changes.get("source", base["source"]) != base["source"]:
        base = {}
    merged = dict(base)
    for name, value in changes.items():
        if value == NOTHING:
            merged.pop(name, None)
        elif isinstance(value, dict):
            there = merged.get(name)
            merged[name] = _merged(there if isinstance(there, dict) else {}, value)
        else:
            merged[name] = value
    return merged
