"""The claims of the slide "Batch Normalization vs Group Normalization", judged from reset sweeps of one size."""

from __future__ import annotations

from collections.abc import Mapping

from paper_lib.claims import Claim, Finding, Part, conclude
from paper_lib.claims.model_size import existence, fewer_ambient, tally
from paper_lib.layers.ranking import MARGIN, reinitialised
from paper_lib.layers.sweeps import Sweeps

_STATISTIC = (
    "number of ambient layers under re-initialisation, statistics reset with the layer, mean over trainings, margin "
    f"{100 * MARGIN:.0f} points; Bonferroni over layers"
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


def judge(batch: Sweeps, group: Mapping[str, Sweeps]) -> list[Finding]:
    """Returns the findings on both claims from the reset sweeps of BatchNorm, and of GroupNorm by its name."""
    return [yields_ambient_layers(group), interferes(batch, group)]


def yields_ambient_layers(group: Mapping[str, Sweeps]) -> Finding:
    """Judges GROUP_NORM_YIELDS_AMBIENT_LAYERS; parameters as for `judge`."""
    effects = {name: reinitialised(sweeps) for name, sweeps in group.items()}
    return conclude(
        GROUP_NORM_YIELDS_AMBIENT_LAYERS,
        [f"{name}: {tally(layers)}" for name, layers in effects.items()],
        {name: existence(layers, "ambient") for name, layers in effects.items()},
    )


def interferes(batch: Sweeps, group: Mapping[str, Sweeps]) -> Finding:
    """Judges BATCH_NORM_INTERFERES; parameters as for `judge`."""
    with_batch = reinitialised(batch)
    evidence = [f"BatchNorm: {tally(with_batch)}"]
    parts: dict[str, Part] = {}
    for name, sweeps in group.items():
        with_group = reinitialised(sweeps)
        evidence.append(f"{name}: {tally(with_group)}")
        parts[name] = fewer_ambient(with_batch, with_group)
    return conclude(BATCH_NORM_INTERFERES, evidence, parts)
