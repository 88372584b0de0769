"""Whether a page that was made earlier is still what running its chapter would make."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

import paper_lib
from paper_lib.chapters.parameters import check
from paper_lib.chapters.sources import source_of
from paper_lib.circumstances import versions
from paper_lib.paths import cache_root, published_records, speech_commands_root
from paper_lib.profiles import profile_of


def inputs_digest(chapter: str, parameters: Mapping[str, Any], root: Path) -> str:
    """Returns the digest of all that a page follows from: source, parameters, profile, library, versions and records.

    The records are those that a chapter finds, which runs in `root`; some pages play recordings of people where they
    are. The links at a page's top follow from where it is published. Raises ParameterError.
    """
    profile = profile_of(check(chapter, parameters).profile).model_dump(mode="json")
    inputs = [parameters, profile, versions(), os.environ.get("GITHUB_REPOSITORY"), speech_commands_root().is_dir()]
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode())
    package = Path(paper_lib.__file__).parent
    library = sorted(path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc")
    for path in (source_of(chapter, root), *library):
        digest.update(path.read_bytes())
    for directory in (cache_root(root) / "records", published_records(".")):
        for path in sorted(directory.rglob("*.json")):
            status = path.stat()
            digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def is_fresh(notebook: Path, inputs: str) -> bool:
    """Returns whether `notebook` was executed, to its end, from what has the digest `inputs`."""
    if not notebook.is_file():
        return False
    try:
        metadata = nbformat.read(notebook, as_version=4).metadata
    except (ValueError, AttributeError):  # no notebook: it will be replaced by one
        return False
    return bool(metadata.get("paper_lib", {}).get("inputs") == inputs)
