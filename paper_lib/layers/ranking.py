"""Ambient and critical layers, decided from the word errors of reset sweeps.

The paper gives no threshold. Here a layer is

- *critical* if the WER change of its reset is larger than a margin with confidence,
- *ambient* if the change is smaller than the margin with confidence (a test of equivalence: that no harm is seen is not
  enough),
- *unresolved* if its interval holds the margin.

The margin is `MARGIN` where nothing else is said; `ambient_by_margin` tells how much hangs on it. Changes are paired by
speaker and training: intervals are over speakers alone for one training, as in `inference`; for several they are over
trainings too, as in `moderation`. A model's L layers are L tests at once, so each interval has confidence 1 - 0.05 / L
(Bonferroni), for all of a model's verdicts to hold together with 95 %; `benchmarks/coverage.py` simulates when they
do. Of modules, there are four times as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from paper_lib.inference import Estimate, Mean, rate, together
from paper_lib.layers.sweeps import Sweeps
from paper_lib.layers.variants import Kind
from paper_lib.moderation import rates

MARGIN = 0.02  # WER, absolute

Class = Literal["ambient", "critical", "unresolved"]
CLASSES: tuple[Class, ...] = ("ambient", "critical", "unresolved")


@dataclass(frozen=True)
class LayerEffect:
    """What a reset of one layer, from 1, or of one `module` of it, does. WERs are fractions."""

    layer: int
    kind: Kind
    wer: Estimate
    mean: Mean  # of the change against the intact model
    change: Estimate  # its interval, simultaneous over the layers (and modules)
    draws: tuple[float, ...]  # WER of each draw in each training
    classification: Class
    module: str | None = None


def classify(change: Estimate, margin: float = MARGIN) -> Class:
    """Returns where the interval of a WER change lies relative to `margin`."""
    if change.high < margin:
        return "ambient"
    return "critical" if change.low > margin else "unresolved"


def intact_wer(sweeps: Sweeps) -> Estimate:
    """Returns the WER of the trained model, mean over its trainings."""
    return rate(sweeps.intact, sweeps.words).estimate()


def layer_effects(sweeps: Sweeps, margin: float = MARGIN) -> list[LayerEffect]:
    """Returns the effect of every layer's (or module's) resets; the draws of a re-randomisation are averaged."""
    effects = []
    confidence = together(len(sweeps.units))
    for kind, errors in sweeps.resets.items():
        means = rates(sweeps.added(kind), sweeps.words)
        for index, ((layer, module), mean) in enumerate(zip(sweeps.units, means, strict=True)):
            change = mean.estimate(confidence)
            effects.append(
                LayerEffect(
                    layer=layer,
                    kind=kind,
                    wer=rate(errors[:, index], sweeps.words).estimate(),
                    mean=mean,
                    change=change,
                    draws=tuple(sweeps.draws[kind][:, index].ravel().tolist()),
                    classification=classify(change, margin),
                    module=module,
                )
            )
    return effects


def reinitialised(sweeps: Sweeps, margin: float = MARGIN) -> list[LayerEffect]:
    """Returns the effects of re-initialisation."""
    return [effect for effect in layer_effects(sweeps, margin) if effect.kind == "re-initialisation"]


def ambient_by_margin(sweeps: Sweeps, margins: Sequence[float]) -> list[tuple[int, int]]:
    """Returns, by margin, how many re-initialised layers are ambient, and how many are ambient or unresolved."""
    changes = [effect.change for effect in reinitialised(sweeps)]
    return [ambient_among(changes, margin) for margin in margins]


def ambient_among(changes: Sequence[Estimate], margin: float = MARGIN) -> tuple[int, int]:
    """Returns how many of `changes` are those of ambient layers, and how many may be: those that are not critical."""
    classes = [classify(change, margin) for change in changes]
    return classes.count("ambient"), len(classes) - classes.count("critical")
