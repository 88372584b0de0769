"""Whether records that name one training rest on one: the digest of the trained weights stands in each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from paper_lib.results import Record

CHECKPOINT = "checkpoint"  # in a result: the digest of the weights that it was measured on


def mixed_trainings(records: Iterable[Record]) -> list[str]:
    """Returns a line for each of `records` that rests on other weights than most of those of its training.

    A training that is repeated on another kind of machine gives other weights: what is measured on these does not pair
    with what was measured on those, though both have one seed.
    """
    by_training: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        if CHECKPOINT in record.result:
            by_checkpoint = by_training.setdefault(json.dumps(_training(record), sort_keys=True), {})
            by_checkpoint.setdefault(record.result[CHECKPOINT], []).append(record)
    lines = []
    for training, by_checkpoint in by_training.items():
        run = json.loads(training)
        encoder = run["model"]["encoder"]
        _, *others = sorted(by_checkpoint.values(), key=len, reverse=True)
        lines += [
            f"{record.kind}/{record.digest}.json rests on another training of {encoder['dim']} × {encoder['layers']} "
            f"seed {run['seed']} than the rest: pairs by seed mean nothing"
            for other in others
            for record in other
        ]
    return lines


def _training(record: Record) -> Any:
    return _said(record.settings if record.kind == "training" else record.settings["run"])


def _said(settings: Any) -> Any:
    """Returns `settings` without what is None: options that were added later, for example."""
    if not isinstance(settings, dict):
        return settings
    return {name: _said(value) for name, value in settings.items() if value is not None}
