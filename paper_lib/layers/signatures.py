"""Numerical signatures: how far each weight matrix has moved from its initial value, relative to the other layers.

    s(m, l, t) = ‖W(m, l, t) − W(m, l, 0)‖_F / max over l' of ‖W(m, l', t) − W(m, l', 0)‖_F

(slide "Numerical Signatures"). Training records the distances at fixed steps; nothing is computed from weights here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from paper_lib.evaluation import Estimate, resamples
from paper_lib.layers.agreement import drawn_trainings
from paper_lib.layers.changes import Changes, Floats, spearman
from paper_lib.layers.matrices import MATRICES, SignatureError, check_step
from paper_lib.layers.ranking import layer_errors


def signature(training: Mapping[str, Any], matrices: Sequence[str] = MATRICES, step: int | None = None) -> Floats:
    """Returns the signature, [matrices, layers], from the result of a training's record; without `step`, at its last.

    Raises SignatureError.
    """
    if unknown := [matrix for matrix in matrices if matrix not in MATRICES]:
        raise SignatureError(f"no weight matrix is called {', '.join(unknown)}; there are {', '.join(MATRICES)}")
    steps = training["distance_steps"]
    step = steps[-1] if step is None else step
    check_step(step, steps)
    moved = _distances(training, matrices)[..., steps.index(step)]
    return moved / moved.max(-1, keepdims=True)


def signatures_over_time(training: Mapping[str, Any], matrices: Sequence[str] = MATRICES) -> Floats:
    """Returns the signatures of all recorded steps, [steps, matrices, layers]."""
    moved = np.moveaxis(_distances(training, matrices), -1, 0)
    over_time: Floats = moved / moved.max(-1, keepdims=True)
    return over_time


def harm(sweep: Mapping[str, Any]) -> Floats:
    """Returns the WER change by the re-initialisation of every layer, [layers], from the result of a reset sweep."""
    added = layer_errors(sweep, "re-initialisation") - np.array(sweep["intact"])
    changes: Floats = added.sum(1) / np.sum(sweep["words"])
    return changes


def spread(signatures: Floats) -> Floats:
    """Returns how pronounced signatures [..., layers] are: 1 less the least, 0 if all layers have moved alike."""
    pronounced: Floats = 1 - signatures.min(-1)
    return pronounced


def correlation_with_harm(
    trainings: Sequence[Mapping[str, Any]],
    sweeps: Sequence[Mapping[str, Any]],
    matrices: Sequence[str] = MATRICES,
    step: int | None = None,
    seed: int = 0,
) -> list[tuple[Estimate, float]]:
    """Returns, per matrix, Spearman's ρ over layers between signature and WER change, and a p-value.

    ρ is averaged over the trainings; its 95 % interval is a bootstrap over utterances and, from three trainings on,
    over trainings. A one-sided exact test of Kendall's τ in each training, combined by Fisher's method, gives p, and
    the procedure of Benjamini and Hochberg over the matrices makes it what is returned.
    """
    changes = [Changes.of(sweep) for sweep in sweeps]
    runs = len(changes)
    counts = resamples(len(changes[0].words), seed)
    drawn = drawn_trainings(runs, seed)
    resampled = [change.wer("re-initialisation", counts) for change in changes]
    measured = [harm(sweep) for sweep in sweeps]
    signs = [signature(training, matrices, step) for training in trainings]
    estimates, ps = [], []
    for m in range(len(matrices)):
        values = np.stack([spearman(sign[m], wer) for sign, wer in zip(signs, resampled, strict=True)], axis=1)
        low, high = np.quantile(np.take_along_axis(values, drawn, 1).mean(1), (0.025, 0.975))
        rho = np.mean([spearman(sign[m], wer) for sign, wer in zip(signs, measured, strict=True)])
        estimates.append(Estimate(float(rho), float(low), float(high)))
        tests = [
            stats.kendalltau(sign[m], wer, alternative="greater").pvalue
            for sign, wer in zip(signs, measured, strict=True)
        ]
        # Where all layers are alike there is no τ, and nothing to be surprised at.
        ps.append(stats.combine_pvalues(np.nan_to_num(tests, nan=1.0), method="fisher").pvalue)
    return list(zip(estimates, map(float, stats.false_discovery_control(ps)), strict=True))


def _distances(training: Mapping[str, Any], matrices: Sequence[str]) -> Floats:
    """Returns [matrices, layers, steps]."""
    distances = training["distances"]
    layers = 1 + max(int(name.split(".")[1]) for name in distances)
    return np.array([[distances[f"layers.{layer}.{matrix}.weight"] for layer in range(layers)] for matrix in matrices])
