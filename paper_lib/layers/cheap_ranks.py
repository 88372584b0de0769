"""How well cheap readings rank layers as their resets do, and what each reading costs.

The unit of cost is an *evaluation*: the whole dev speech through all layers, and decoded. A variant that changes layer
l of L takes the layers from l on, (L − l + 1) / L of an evaluation, and so do its decodings here. A pass backward
counts as two forward. What a training or a server has recorded anyway costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from paper_lib.inference import Floats
from paper_lib.layers.agreement import association, spearman, spearman_given_depth
from paper_lib.layers.criticality import Path
from paper_lib.layers.matrices import MATRICES
from paper_lib.layers.signature import common_steps, distances_of, signature, signatures_over_time

Source = Literal["depth", "training", "probe", "variants", "clients"]
SIGNATURE, RELATIVE, RESET = "signature", "relative distance", "reset, dev speech"
INFLUENCE, GRADIENT, FISHER = "block influence", "gradient norm", "Fisher information"
# What costs less, in evaluations, is called cheap.
CHEAP = 2.0
# Of a forward pass and the pass backward that follows it, in forward passes.
WITH_GRADIENT = 3


@dataclass(frozen=True)
class Quantity:
    """A reading of layers, [trainings, layers], that should be the larger the more critical a layer is."""

    name: str
    source: Source
    values: Floats
    cost: float = 0.0  # evaluations

    @property
    def is_cheap(self) -> bool:
        return self.cost < CHEAP


@dataclass(frozen=True)
class Ranked:
    """How a quantity ranks layers: Spearman's ρ with the harm of their resets, mean over trainings.

    The ps are one-sided, that ρ is above 0. `found` is the share of the less harmful half of the layers that is in the
    quantity's lower half too; by chance it would be about one half.
    """

    quantity: Quantity
    rho: float
    p: float
    given_depth: float
    p_given_depth: float
    found: float
    by_training: tuple[float, ...]  # ρ at fixed depth of each


def variants_cost(layers: int, variants: int = 1) -> float:
    """Returns the evaluations that the trained model and `variants` of every one of its `layers` layers take."""
    return 1 + variants * sum((layers - layer + 1) / layers for layer in range(1, layers + 1))


def quantities(
    trainings: Sequence[Mapping[str, Any]], paths: Sequence[Path], probes: Sequence[Mapping[str, Any]]
) -> list[Quantity]:
    """Returns the readings of all `trainings` of a model, from the results of their records, source by source."""
    layers, shares = paths[0].rises.shape

    def walked(name: str) -> Floats:
        return np.array([getattr(path, name) for path in paths])

    return [
        Quantity("depth", "depth", np.broadcast_to(np.arange(1.0, layers + 1), (len(trainings), layers))),
        *without_variants(trainings, probes, paths[0].utterances),
        Quantity(RESET, "variants", walked("rises")[..., 0], variants_cost(layers)),
        Quantity("skip", "variants", walked("skipped"), variants_cost(layers)),
        Quantity("mean of the way", "variants", walked("mean_rise"), variants_cost(layers, shares)),
        Quantity(
            "criticality",
            "variants",
            np.array([path.criticality() for path in paths]),
            variants_cost(layers, shares),
        ),
    ]


def without_variants(
    trainings: Sequence[Mapping[str, Any]], probes: Sequence[Mapping[str, Any]], utterances: int
) -> list[Quantity]:
    """Returns the readings for which no layer is changed; the dev speech has so many `utterances`."""
    share = probes[0]["utterances"] / utterances

    def probed(name: str) -> Floats:
        return np.array([probe[name] for probe in probes])

    relative = np.mean([of_matrix.values for of_matrix in matrices_relative(trainings, probes)], axis=0)
    return [
        Quantity(SIGNATURE, "training", np.array([signature(training).mean(0) for training in trainings])),
        Quantity(RELATIVE, "training", relative),
        Quantity(INFLUENCE, "probe", probed("influence"), share),
        Quantity(GRADIENT, "probe", probed("gradient"), WITH_GRADIENT * share),
        Quantity(FISHER, "probe", probed("fisher"), WITH_GRADIENT * share),
    ]


def matrices_signed(trainings: Sequence[Mapping[str, Any]]) -> list[Quantity]:
    """Returns the paper's signature of every weight matrix."""
    signs = np.array([signature(training) for training in trainings])
    return [Quantity(matrix, "training", signs[:, place]) for place, matrix in enumerate(MATRICES)]


def matrices_relative(trainings: Sequence[Mapping[str, Any]], probes: Sequence[Mapping[str, Any]]) -> list[Quantity]:
    """Returns, of every weight matrix, ‖W(T) − W(0)‖ / ‖W(0)‖: no layer is measured by another."""
    moved = np.array([distances_of(training, MATRICES)[..., -1] for training in trainings])
    norms = np.array([[probe["initial_norms"][matrix] for matrix in MATRICES] for probe in probes])
    return [Quantity(matrix, "training", moved[:, place] / norms[:, place]) for place, matrix in enumerate(MATRICES)]


def ranked(quantities: Sequence[Quantity], harm: Floats) -> list[Ranked]:
    """Returns how each of `quantities` goes with `harm` [trainings, layers], in their order.

    The ps of all of them, depth left out, are corrected together by the procedure of Benjamini and Hochberg.
    """
    plain = [association(quantity.values, harm) for quantity in quantities]
    at_depth = [association(quantity.values, harm, given_depth=True) for quantity in quantities]
    tested = [place for place, quantity in enumerate(quantities) if quantity.source != "depth"]
    rows = []
    corrected = [np.ones(len(quantities)), np.ones(len(quantities))]
    for ps, found in zip(corrected, (plain, at_depth), strict=True):
        ps[tested] = stats.false_discovery_control([found[place][1] for place in tested])
    for quantity, (rho, _), (partial, _), p, p_partial in zip(quantities, plain, at_depth, *corrected, strict=True):
        by_training = tuple(spearman_given_depth(quantity.values, harm).tolist())
        found_share = found_by(quantity.values, harm)
        rows.append(Ranked(quantity, rho, float(p), partial, float(p_partial), found_share, by_training))
    return rows


def found_by(values: Floats, harm: Floats) -> float:
    """Returns which share of the half of the layers with the least `harm` is in the half with the least `values`.

    Both are [trainings, layers]; of an odd number of layers, the smaller half. Mean over trainings. Layers that tie at
    the edge of a half are in it in part: as often as if lots were drawn.
    """
    return float(np.mean((_lower_half(values) * _lower_half(harm)).sum(1) / (values.shape[1] // 2)))


def _lower_half(values: Floats) -> Floats:
    """Returns to which part each layer is in the lower half of `values` [trainings, layers]: 0, 1, or between."""
    half = values.shape[1] // 2
    edge = np.sort(values, axis=1)[:, half - 1 : half]
    below, tied = values < edge, values == edge
    return below + tied * (half - below.sum(1, keepdims=True)) / tied.sum(1, keepdims=True)


@dataclass(frozen=True)
class Early:
    """Spearman's ρ with the harm in the finished model, mean over trainings, of a reading at several times."""

    name: str
    times: list[int]  # steps or rounds, rising
    rho: Floats  # [times]
    given_depth: Floats  # [times]


def early(name: str, times: Sequence[int], values: Floats, harm: Floats) -> Early:
    """Returns how `values` [trainings, times, layers] go with `harm` [trainings, layers]."""
    plain, at_depth = (rho(values, harm[:, None]).mean(0) for rho in (spearman, spearman_given_depth))
    return Early(name, list(times), plain, at_depth)


def early_signature(trainings: Sequence[Mapping[str, Any]], harm: Floats) -> Early:
    """Returns how the signature, mean over matrices, goes with `harm` at every step that all trainings recorded."""
    return early(SIGNATURE, common_steps(trainings), signatures_over_time(trainings).mean(2), harm)
