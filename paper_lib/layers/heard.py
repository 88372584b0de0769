"""What a sweep has heard so far, in a directory: where it was interrupted it goes on."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from paper_lib.checkpoint import content_digest
from paper_lib.evaluation import Spoken
from paper_lib.files import atomic_write
from paper_lib.layers.applying import Weights
from paper_lib.layers.planning import Reset

logger = logging.getLogger("paper_lib")

QUESTION = "sweep.json"


class HeardDirectory:
    """One file that says what is asked, `sweep.json`, and one for every evaluation that is done."""

    def __init__(
        self, directory: Path, model: nn.Module, initial: Weights | None, spoken: Spoken, resets: Iterable[Reset]
    ) -> None:
        """Opens `directory`, or makes it.

        Raises:
            ValueError: it holds another sweep; the message says what differs.
        """
        self.directory = directory
        resets = list(resets)
        names = {reset.layer for reset in resets if reset.kind == "re-initialisation"}
        earlier = {key: t for key, t in (initial or {}).items() if any(key.startswith(f"{name}.") for name in names)}
        weights = {name: t for name, t in model.state_dict().items() if isinstance(t, Tensor)}
        question = {
            "model": content_digest(weights, {"class": type(model).__name__}),
            "initial": content_digest(earlier, {}) if earlier else None,
            **{name: list(values) for name, values in asdict(spoken).items()},
            "resets": [reset.dictionary() for reset in resets],
        }
        path = directory / QUESTION
        if not path.exists():
            atomic_write(path, _json(question))
            return
        try:
            there = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is damaged ({error}). Give another directory") from None
        if different := _differences(there, question):
            raise ValueError(f"{directory} holds another sweep: {'; '.join(different)}. Give another directory")

    def heard(self, reset: Reset | None) -> list[str] | None:
        """Returns what was heard under `reset`, or by the intact model, [utterances]; None: not yet."""
        path = self._path(reset)
        try:
            content = json.loads(path.read_bytes())
            heard = list(content["heard"])
            if content["checksum"] == _checksum(heard):
                return heard
            reason = "its checksum does not match"
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = f"it cannot be read: {type(error).__name__}: {error}"
        logger.warning("%s is damaged (%s): it is heard again", path, reason)
        return None

    def keep(self, reset: Reset | None, heard: list[str]) -> None:
        """Stores what was heard."""
        told = {"reset": reset.dictionary() if reset else None, "heard": heard, "checksum": _checksum(heard)}
        atomic_write(self._path(reset), _json(told))

    def _path(self, reset: Reset | None) -> Path:
        return self.directory / f"{reset.digest() if reset else 'intact'}.json"


def _checksum(heard: list[str]) -> str:
    return hashlib.sha256(json.dumps(heard).encode()).hexdigest()


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def _differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    told = []
    for name, wanted in here.items():
        found = there.get(name)
        if found == wanted:
            continue
        if isinstance(found, list) and isinstance(wanted, list):
            place, (first, second) = next(
                (place, pair) for place, pair in enumerate(zip_longest(found, wanted)) if pair[0] != pair[1]
            )
            told.append(
                f"{name} ({len(found)} there and {len(wanted)} here; at place {place} {first!r} and {second!r})"
            )
        else:
            told.append(f"{name} (its weights are others)")
    return told
