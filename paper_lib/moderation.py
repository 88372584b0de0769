"""Means of several layers: they learn from each other how skewed speakers are, and how much trainings differ.

Twenty or eighty speakers hardly tell the skewness of what one layer's reset does to them: it is the third power of the
few who suffer most. Layers meet the same speakers, so each end is corrected for the mean skewness of all layers. With
its own, one of sixteen layers at the margin was classed wrongly in twice as many tests as there should be.

Two or three trainings hardly tell how much trainings differ in one layer: Student's t then reaches so far that nothing
is shown. They tell it of all layers together. As Smyth (2004) does with genes, a layer's variance is averaged with what
the others let expect of it. The harm h of a layer's reset varies from training to training by

    s² = C + (v h)²,

of which C, what is peculiar to a speaker in a training, is known from the speakers, and v, the share of its harm by
which a layer varies, is one for all layers. A layer's measured variance has an F distribution about s², with `LENT`
degrees of freedom in the denominator, and both are averaged, weighted by degrees of freedom. v is integrated over with
the likelihood of all layers' variances as weight. That it is not known costs degrees of freedom, never more than were
lent.

A harm that varies by a share of itself does not vary alike at both ends of its interval. It does on the scale
asinh(v h / √C) / v, where its variance is 1 for every h. Student's t is measured there, and trainings reach farther up
than down where harm is large. Near 0 the scale is a straight line. Two trainings tell too little of v to bend it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from paper_lib.inference import Component, Mean, Spread, rate, spread_of

# With as many degrees of freedom as all layers have together, intervals were too short where layers are unlike in v.
LENT = 2
# v: a layer does not vary, or by up to all of its harm.
_VARIATIONS = np.concatenate([[0.0], np.geomspace(0.02, 1, 20)])
_LEAST_VARIANCE = 1e-14


def rates(errors: ArrayLike, words: ArrayLike) -> list[Mean]:
    """Returns the errors per word of every layer, or other unit of a model, with moderated variances and skewness.

    `errors` is [trainings, units, speakers]; `words` and what is raised as in `paper_lib.inference.rate`, which this is
    for one unit.
    """
    errors, words = np.asarray(errors, float), np.asarray(words, float)
    units = errors.swapaxes(0, 1)
    if len(units) == 1:
        return [rate(units[0], words)]
    spreads = _alike_in_skewness([spread_of(of_unit, words) for of_unit in units])
    own = len(errors) - 1
    if not own:
        return [Mean(spread.value, None, spread.speakers) for spread in spreads]
    measured, peculiar, values = (
        np.array([getattr(spread, name) for spread in spreads]) for name in ("by_training", "peculiar", "value")
    )
    expected = peculiar + (_VARIATIONS[:, None] * values) ** 2 / len(errors)  # [variations, units], of means
    ratio = np.maximum(measured, _LEAST_VARIANCE) / np.maximum(expected, _LEAST_VARIANCE)
    likelihood = (stats.f.logpdf(ratio, own, LENT) + np.log(ratio)).sum(1)
    weights = np.exp(likelihood - likelihood.max())[:, None]
    weights /= weights.sum()
    moderated = (LENT * expected + own * measured) / (LENT + own)
    mean = (weights * moderated).sum(0)
    unsure = (weights * (moderated - mean) ** 2).sum(0) / np.maximum(mean, _LEAST_VARIANCE) ** 2
    lent = np.maximum(1 / (1 / (LENT + own) + unsure / 2) - own, 0)
    variation = math.sqrt(float((weights * _VARIATIONS[:, None] ** 2).sum())) if own > 1 else 0.0
    deviations = np.sqrt(len(errors) * peculiar + (variation * values) ** 2)
    curvatures = np.divide(variation, deviations, out=np.zeros_like(deviations), where=deviations > 1e-6)
    means = []
    for spread, variance, borrowed, curvature in zip(
        spreads, *(x.tolist() for x in (mean, lent, curvatures)), strict=True
    ):
        trainings = Component(
            variance=spread.between_trainings(variance),
            freedom=own + borrowed,
            lent=borrowed,
            curvature=curvature,
            tilt=curvature * spread.value,
        )
        means.append(Mean(spread.value, trainings, spread.speakers))
    return means


def _alike_in_skewness(spreads: Sequence[Spread]) -> list[Spread]:
    """Returns `spreads`, of several layers, with the mean skewness of those that do something in place of their own."""
    known = [spread.speakers.skewness for spread in spreads if spread.speakers.variance > _LEAST_VARIANCE]
    skewness = sum(known) / max(1, len(known))
    return [replace(spread, speakers=replace(spread.speakers, skewness=skewness)) for spread in spreads]
