"""Do two quantities of *pairs* of layers go together? Pairs share layers, so that they are no units: layers are.

The test is Mantel's (1967): the layers are shuffled, and every pair goes where its two layers go.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_lib.inference import Floats, orders_of, permutation_p
from paper_lib.layers.agreement import normalised, rank_vectors

Places = NDArray[np.signedinteger[Any]]  # [pairs], of one layer of every pair, from 0


def pair_association(
    first: Floats, second: Floats, layers: int, given_layers: bool = False
) -> tuple[float, float, float]:
    """Returns Spearman's ρ over pairs, mean over trainings, and the ps that it is above 0 and that it is below.

    `first` and `second` are [trainings, pairs], in the order of `paper_lib.layers.sets.pairs_of`; p is that of a
    shuffle of the layers of `second`, in all trainings alike. `given_layers` takes from both ranks what a term for each
    layer tells (partial correlation): that layer 1 goes ill with every other says nothing of pairs.
    """
    one, other = np.triu_indices(layers, 1)
    x, y = rank_vectors(first), rank_vectors(second)
    if given_layers:
        rest = _without_layers(layers, one, other)
        x, y = normalised(x @ rest), normalised(y @ rest)
    orders = orders_of(layers)
    rhos = np.zeros(len(orders))
    for of_first, of_second in zip(x, y, strict=True):
        matrix = np.zeros((layers, layers))
        matrix[one, other] = matrix[other, one] = of_second
        for value, i, j in zip(of_first, one, other, strict=True):
            rhos += value * matrix[orders[:, i], orders[:, j]] / len(x)
    return float(rhos[0]), permutation_p(rhos), permutation_p(-rhos)


def _without_layers(layers: int, one: Places, other: Places) -> Floats:
    """Returns the projection, [pairs, pairs], that takes from a quantity of pairs one term for each layer.

    A shuffle of layers takes such terms to such terms: to project before it is to project after it.
    """
    terms = np.zeros((len(one), layers))
    terms[np.arange(len(one)), one] = terms[np.arange(len(one)), other] = 1
    projection: Floats = np.eye(len(one)) - terms @ np.linalg.pinv(terms)
    return projection
