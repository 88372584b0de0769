"""How alike several trainings of one model are in what their layers' resets do.

Every training gives a profile: a value per layer, the harm of its reset for example. Tests shuffle the layers: of every
training anew where trainings are compared with each other (if they had nothing in common, any order would do), of all
trainings alike where their profiles are compared with something else that belongs to the layers, such as their depth.
Layers are the units then: five trainings of seven layers are seven units, and not 35.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from paper_lib.inference import DRAWN_ORDERS, Floats, orders_of, permutation_p

# What depth leaves of ranks varies more in the middle of a stack than at its ends, in both profiles at once: shuffles
# find something in up to 6.5 % where there is nothing, instead of 5 %. So p is taken larger.
UNEQUAL_RESTS = 1.3


def rank_vectors(profiles: Floats) -> Floats:
    """Returns the ranks of `profiles` [..., layers] about their mean, of length 1; zeros where all layers tie.

    The product of two of them is Spearman's ρ.
    """
    return normalised(stats.rankdata(profiles, axis=-1))


def spearman(x: Floats, y: Floats) -> Floats:
    """Returns Spearman's ρ along the last axis of `x` and `y`, which broadcast; 0 where one of them ranks nothing.

    SciPy's own takes no stack of samples.
    """
    rho: Floats = (rank_vectors(x) * rank_vectors(y)).sum(-1)
    return rho


def spearman_given_depth(x: Floats, y: Floats) -> Floats:
    """Returns `spearman` of `x` and `y` [..., layers] less what a parabola in depth tells of both: as `association`."""
    rest = _without_depth(x.shape[-1])
    rho: Floats = (normalised(rank_vectors(x) @ rest) * normalised(rank_vectors(y) @ rest)).sum(-1)
    return rho


def rank_agreements(profiles: Floats) -> Floats:
    """Returns Spearman's ρ of every two trainings, [pairs], for `profiles` [trainings, layers]."""
    ranks = rank_vectors(profiles)
    first, second = np.triu_indices(len(profiles), 1)
    rhos: Floats = (ranks @ ranks.T)[first, second]
    return rhos


def agreement_p(profiles: Floats, seed: int = 0) -> float:
    """Returns how often trainings whose layers are shuffled rank them as alike as those of `profiles` do, by mean ρ."""
    return _common_order_p(rank_vectors(profiles), seed)


def sets_in_common(chosen: NDArray[np.bool_]) -> tuple[float, float]:
    """Returns how many layers two trainings have both chosen, mean over pairs, and the same of shuffled layers.

    `chosen` is [trainings, layers].
    """
    common = (chosen.astype(float) @ chosen.T.astype(float))[np.triu_indices(len(chosen), 1)]
    sizes = chosen.sum(1)
    by_chance = np.outer(sizes, sizes)[np.triu_indices(len(chosen), 1)] / chosen.shape[1]
    return float(common.mean()), float(by_chance.mean())


def sets_p(chosen: NDArray[np.bool_], seed: int = 0) -> float:
    """Returns how often shuffled choices of layers have as much in common as those of `chosen` [trainings, layers]."""
    return _common_order_p(chosen.astype(float), seed)


def instability(profiles: Floats) -> Floats:
    """Returns how far each training lies from the mean of the others, over the spread between layers, [trainings].

    Root mean squares over layers of `profiles` [trainings, layers]: the slide's picture as a number. 0: all trainings
    are alike, or the others' layers do not differ; 1: trainings differ in a layer as much as layers do.
    """
    others = (profiles.sum(0) - profiles) / (len(profiles) - 1)
    distance, spread = np.sqrt(((profiles - others) ** 2).mean(1)), others.std(1)
    deviation: Floats = np.divide(distance, spread, out=np.zeros_like(distance), where=spread > 1e-12)
    return deviation


def association(first: Floats, second: Floats, given_depth: bool = False) -> tuple[float, float]:
    """Returns Spearman's ρ over layers between two profiles, mean over trainings, and the p that it is above 0.

    `first` and `second` are [trainings, layers]; p is that of a shuffle of the layers of `second`, in all trainings
    alike. `given_depth` takes from both ranks what a parabola in depth tells (partial correlation), before and again
    after each shuffle (Freedman & Lane 1983).
    """
    x, y = rank_vectors(first), rank_vectors(second)
    orders = orders_of(x.shape[1])
    if not given_depth:
        products = np.mean(x[:, :, None] * y[:, None, :], axis=0)  # [layers, layers]
        rhos: Floats = products[np.arange(len(products)), orders].sum(1)
        return float(rhos[0]), permutation_p(rhos)
    rest = _without_depth(x.shape[1])
    x, y = normalised(x @ rest), y @ rest
    rhos = np.mean([normalised(of_training[orders] @ rest) @ to for to, of_training in zip(x, y, strict=True)], axis=0)
    return float(rhos[0]), min(1.0, UNEQUAL_RESTS * permutation_p(rhos))


def _without_depth(layers: int) -> Floats:
    """Returns the projection, [layers, layers], that takes a parabola in depth from a profile."""
    depth = np.linspace(-1, 1, layers)
    basis, _ = np.linalg.qr(np.stack([depth**0, depth, depth**2], axis=1))
    projection: Floats = np.eye(layers) - basis @ basis.T
    return projection


def _common_order_p(profiles: Floats, seed: int) -> float:
    """Returns p of the squared length of the sum over trainings, against layers shuffled anew in every training.

    That grows with the mean product of two trainings' profiles.
    """
    total, *others = profiles
    if len(profiles) == 2:
        drawn = others[0][orders_of(profiles.shape[1], seed)]
    else:
        rng = np.random.default_rng(seed)
        drawn = np.zeros((1 + DRAWN_ORDERS, profiles.shape[1]))
        for other in others:
            drawn[0] += other
            drawn[1:] += rng.permuted(np.tile(other, (DRAWN_ORDERS, 1)), axis=1)
    return permutation_p(((total + drawn) ** 2).sum(1))


def normalised(vectors: Floats) -> Floats:
    """Returns `vectors` [..., layers] less their mean, of length 1; zeros where nothing is left."""
    centred = vectors - vectors.mean(-1, keepdims=True)
    length = np.sqrt((centred**2).sum(-1, keepdims=True))
    normalised: Floats = np.divide(centred, length, out=np.zeros_like(centred), where=length > 1e-9)
    return normalised
