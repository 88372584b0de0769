"""Ambient and critical layers, decided from the word errors of a reset sweep.

The paper gives no threshold. Here a layer is

- *critical* if the WER change of its reset is larger than `MARGIN` with confidence,
- *ambient* if the change is smaller than `MARGIN` with confidence (a test of equivalence: that no harm is seen is not
  enough),
- *unresolved* if its interval holds `MARGIN`.

Intervals are paired bootstraps over utterances. A model's L layers are L tests at once, so each interval has confidence
1 - 0.05 / L (Bonferroni): all of a model's verdicts hold together with 95 %. Of modules, there are four times as many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from paper_lib.evaluation import Estimate, wer_interval
from paper_lib.layers.variants import KINDS, Kind, Module

MARGIN = 0.02  # WER, absolute
CONFIDENCE = 0.95

Class = Literal["ambient", "critical", "unresolved"]
CLASSES: tuple[Class, ...] = ("ambient", "critical", "unresolved")


@dataclass(frozen=True)
class LayerEffect:
    """What a reset of one layer, or of one `module` of it, does. `layer` counts from 0; WERs are fractions."""

    layer: int
    kind: Kind
    wer: Estimate
    change: Estimate  # against the intact model, simultaneous over the layers (and modules)
    draws: tuple[float, ...]  # WER of each draw
    classification: Class
    module: Module | None = None


def classify(change: Estimate, margin: float = MARGIN) -> Class:
    """Returns where the interval of a WER change lies relative to `margin`."""
    if change.high < margin:
        return "ambient"
    return "critical" if change.low > margin else "unresolved"


def intact_wer(result: Mapping[str, Any]) -> Estimate:
    """Returns the WER of the trained model, from the result of a reset sweep's record."""
    return wer_interval(result["intact"], result["words"], CONFIDENCE)


def pooled(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the results of several trainings of one model, on the same utterances, as one: errors are averaged.

    Raises ValueError where the utterances differ.
    """
    if any(result["words"] != results[0]["words"] for result in results):
        raise ValueError("trainings are pooled over the same test utterances; these were tested on different ones")
    return {
        "words": results[0]["words"],
        "intact": np.mean([result["intact"] for result in results], axis=0),
        "resets": [reset for result in results for reset in result["resets"]],
    }


def layer_errors(result: Mapping[str, Any], kind: Kind) -> NDArray[np.float64]:
    """Returns the word errors with each layer reset, [layers, utterances]; draws are averaged."""
    return np.array([np.mean(draws, axis=0) for draws in _by_unit(result, kind).values()])


def layer_effects(result: Mapping[str, Any], margin: float = MARGIN) -> list[LayerEffect]:
    """Returns the effect of every layer's (or module's) resets, from the result of a reset sweep's record.

    The draws of a re-randomisation are averaged within each utterance before the bootstrap.
    """
    words, intact = np.array(result["words"]), np.array(result["intact"])
    effects = []
    for kind in KINDS:
        units = _by_unit(result, kind)
        for (layer, module), draws in units.items():
            errors = np.mean(draws, axis=0)
            change = wer_interval(errors - intact, words, 1 - (1 - CONFIDENCE) / len(units))
            effects.append(
                LayerEffect(
                    layer=layer,
                    kind=kind,
                    wer=wer_interval(errors, words, CONFIDENCE),
                    change=change,
                    draws=tuple(float(np.sum(draw) / words.sum()) for draw in draws),
                    classification=classify(change, margin),
                    module=module,
                )
            )
    return effects


def _by_unit(result: Mapping[str, Any], kind: Kind) -> dict[tuple[int, Module | None], list[list[float]]]:
    """Returns the errors of every draw, by layer and module, the first layer first."""
    draws: dict[tuple[int, Module | None], list[list[float]]] = {}
    for reset in sorted(result["resets"], key=lambda reset: reset["layer"]):
        if reset["kind"] == kind:
            draws.setdefault((reset["layer"], reset.get("module")), []).append(reset["errors"])
    return draws
