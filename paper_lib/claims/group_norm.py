"""The claims of the slide "Batch Normalization vs Group Normalization", judged from reset sweeps of one size.

How many ambient layers a model has is known up to its unresolved layers: it lies between the number of ambient ones and
that number plus the unresolved ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paper_lib.claims import Claim, Finding, Part, conclude, utterances_needed
from paper_lib.claims.model_size import existence, reinitialised, tally
from paper_lib.layers.ranking import MARGIN, LayerEffect

_STATISTIC = (
    "number of ambient layers under re-initialisation, statistics reset with the layer; paired bootstrap, Bonferroni"
)

GROUP_NORM_YIELDS_AMBIENT_LAYERS = Claim(
    id="group-norm-yields-ambient-layers",
    slide="Batch Normalization vs Group Normalization",
    chapter="group_norm",
    figure="norm-columns",
    statement="Group Normalization yields ambient layers.",
    statistic=_STATISTIC,
    part="There is an ambient layer",
    parts="for every number of groups",
    records="reset sweeps of the models with GroupNorm",
)
BATCH_NORM_INTERFERES = Claim(
    id="batch-norm-interferes",
    slide="Batch Normalization vs Group Normalization",
    chapter="group_norm",
    figure="norm-columns",
    statement="Batch Normalization interferes with the formation of ambient layers.",
    statistic=_STATISTIC,
    part="The model with BatchNorm has fewer ambient layers",
    parts="compared with every number of groups of GroupNorm",
    records="reset sweeps of the models with BatchNorm and GroupNorm",
)
CLAIMS = (GROUP_NORM_YIELDS_AMBIENT_LAYERS, BATCH_NORM_INTERFERES)


def judge(batch: Mapping[str, Any], group: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Returns the findings on both claims from results of reset sweeps: of BatchNorm, and of GroupNorm by its name."""
    return [yields_ambient_layers(group), interferes(batch, group)]


def yields_ambient_layers(group: Mapping[str, Mapping[str, Any]]) -> Finding:
    """Judges GROUP_NORM_YIELDS_AMBIENT_LAYERS; parameters as for `judge`."""
    effects = {name: reinitialised(result) for name, result in group.items()}
    return conclude(
        GROUP_NORM_YIELDS_AMBIENT_LAYERS,
        [f"{name}: {tally(layers)}" for name, layers in effects.items()],
        {name: existence(layers, "ambient", len(group[name]["words"])) for name, layers in effects.items()},
    )


def interferes(batch: Mapping[str, Any], group: Mapping[str, Mapping[str, Any]]) -> Finding:
    """Judges BATCH_NORM_INTERFERES; parameters as for `judge`."""
    with_batch = reinitialised(batch)
    evidence = [f"BatchNorm: {tally(with_batch)}"]
    parts: dict[str, Part] = {}
    for name, result in group.items():
        with_group = reinitialised(result)
        evidence.append(f"{name}: {tally(with_group)}")
        parts[name] = fewer_ambient(with_batch, with_group, len(batch["words"]))
    return conclude(BATCH_NORM_INTERFERES, evidence, parts)


def fewer_ambient(fewer: Sequence[LayerEffect], more: Sequence[LayerEffect], utterances: int) -> Part:
    """Returns whether the model of the first effects has fewer ambient layers than that of the second."""
    (low, high), (more_low, more_high) = ambient_range(fewer), ambient_range(more)
    if high < more_low:
        return Part(True)
    if low >= more_high:
        return Part(False)
    unresolved = [effect.change for effect in (*fewer, *more) if effect.classification == "unresolved"]
    closest = max(unresolved, key=lambda change: abs(change.value - MARGIN))
    return Part(None, utterances_needed(closest, MARGIN, utterances))


def ambient_range(effects: Sequence[LayerEffect]) -> tuple[int, int]:
    """Returns the least and the largest number of ambient layers that the effects allow."""
    ambient, unresolved = (sum(e.classification == name for e in effects) for name in ("ambient", "unresolved"))
    return ambient, ambient + unresolved
