"""Numerical signatures: how far each weight matrix has moved from its initial value, relative to the other layers.

    s(m, l, t) = ‖W(m, l, t) − W(m, l, 0)‖_F / max over l' of ‖W(m, l', t) − W(m, l', 0)‖_F

(slide "Numerical Signatures"). Training records the distances at fixed steps; nothing is computed from weights here.
`checkpoints` computes them from the weights of any model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from paper_lib.inference import Floats
from paper_lib.layers.agreement import association, spearman
from paper_lib.layers.matrices import MATRICES, SignatureError, check_step
from paper_lib.layers.variants import name_of


@dataclass(frozen=True)
class Correlation:
    """Spearman's ρ over layers, mean over trainings, and its p; the same at fixed depth; the ends over trainings."""

    rho: float
    p: float
    given_depth: float
    p_given_depth: float
    lowest: float  # ρ of the training that has the least
    highest: float


def signature(training: Mapping[str, Any], matrices: Sequence[str] = MATRICES, step: int | None = None) -> Floats:
    """Returns the signature, [matrices, layers], from the result of a training's record; without `step`, at its last.

    Raises SignatureError.
    """
    if unknown := [matrix for matrix in matrices if matrix not in MATRICES]:
        raise SignatureError(f"no weight matrix is called {', '.join(unknown)}; there are {', '.join(MATRICES)}")
    steps = training["distance_steps"]
    step = steps[-1] if step is None else step
    check_step(step, steps)
    return over_the_farthest(distances_of(training, matrices)[..., steps.index(step)])


def over_the_farthest(distances: Floats) -> Floats:
    """Returns signatures from `distances` [..., layers]: each over the largest of its row; 0 where none moved."""
    farthest = distances.max(-1, keepdims=True)
    return np.divide(distances, farthest, out=np.zeros_like(distances), where=farthest > 0)


def common_steps(trainings: Sequence[Mapping[str, Any]]) -> list[int]:
    """Returns the steps that every one of `trainings` has recorded; some may have ended earlier than others."""
    recorded = [set(training["distance_steps"]) for training in trainings]
    return sorted(set.intersection(*recorded))


def signatures_over_time(trainings: Sequence[Mapping[str, Any]], matrices: Sequence[str] = MATRICES) -> Floats:
    """Returns the signatures at the `common_steps` of `trainings`, [trainings, steps, matrices, layers]."""
    steps = common_steps(trainings)
    return np.stack([[signature(training, matrices, step) for step in steps] for training in trainings])


def spread(signatures: Floats) -> Floats:
    """Returns how pronounced signatures [..., layers] are: 1 less the least, 0 if all layers have moved alike."""
    pronounced: Floats = 1 - signatures.min(-1)
    return pronounced


def correlation_with_harm(
    trainings: Sequence[Mapping[str, Any]],
    harm: Floats,
    matrices: Sequence[str] = MATRICES,
    step: int | None = None,
) -> list[Correlation]:
    """Returns, per matrix, how the layers' signatures go with `harm`, [trainings, layers], that of their resets.

    The ps are one-sided, and those of several matrices are corrected together by the procedure of Benjamini and
    Hochberg.
    """
    signs = np.stack([signature(training, matrices, step) for training in trainings])  # [trainings, matrices, layers]
    plain = [association(signs[:, m], harm) for m in range(len(matrices))]
    at_depth = [association(signs[:, m], harm, given_depth=True) for m in range(len(matrices))]
    (rhos, ps), (partial, partial_ps) = (zip(*of_kind, strict=True) for of_kind in (plain, at_depth))
    columns = rhos, stats.false_discovery_control(ps), partial, stats.false_discovery_control(partial_ps)
    by_training = spearman(signs, harm[:, None])  # [trainings, matrices]
    rows = zip(*columns, by_training.min(0), by_training.max(0), strict=True)
    return [Correlation(*map(float, row)) for row in rows]


def distances_of(training: Mapping[str, Any], matrices: Sequence[str]) -> Floats:
    """Returns ‖W(t) − W(0)‖_F, [matrices, layers, recorded steps], from the result of a training's record."""
    by_name = training["distances"]
    layers = range(1, 1 + len({name.split(".")[1] for name in by_name}))
    return np.array([[by_name[f"{name_of(layer)}.{matrix}.weight"] for layer in layers] for matrix in matrices])
