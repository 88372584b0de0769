"""The explorer of sets: which layers are reset together, what each does alone, and what they do together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from paper_lib.explorers.parts import explorer, percents, select
from paper_lib.figures.download import Row
from paper_lib.figures.markup import Markup
from paper_lib.inference import Estimate
from paper_lib.layers.ranking import MARGIN
from paper_lib.layers.sets import LayerSet, SetEffect

# Of the map, dark to light; text on the first half of them is white.
_COLOURS = [to_hex(colormaps["cividis"](level)) for level in np.linspace(0, 1, 21)]
# Where the map is lightest: a WER change of all words.
_MOST = 1.0


@dataclass(frozen=True)
class ExploredSets:
    """One trained model: the WER changes of its single layers, from the first, and the effects of sets of them.

    There are all pairs, and every three neighbours.
    """

    seed: int
    singles: Sequence[Estimate]
    sets: Sequence[SetEffect]


def set_explorer(models: Sequence[ExploredSets], *, caption: str, name: str = "set-explorer") -> Markup:
    """Returns the explorer, which shows layers 1 and 2 of the first model first; all of it takes JavaScript."""
    layers = [str(layer + 1) for layer in range(len(models[0].singles))]
    counts = ["two layers", "three neighbours"] if len(layers) > 2 else ["two layers"]
    data = {
        "colours": _COLOURS,
        "models": [
            {
                "singles": [percents(single) for single in model.singles],
                "sets": {"-".join(map(str, effect.layers)): _data_of(effect) for effect in model.sets},
            }
            for model in models
        ],
    }
    controls = (
        select("Training, seed", "model", [str(model.seed) for model in models])
        + select("Reset", "count", counts)
        + select("Layer", "first", layers)
        + select("and layer", "second", layers)
    )
    body = (
        f'<div class="controls">{controls}</div>'
        '<div class="side-by-side"><div class="scroll" tabindex="0"><table class="heat pairs"><caption>WER change with '
        "both layers reset, whole points. Choose a cell, or use the menus.</caption><thead></thead><tbody></tbody>"
        '</table></div><div><table class="bars"><caption>WER change, points</caption><tbody data-part="bars"></tbody>'
        '</table><dl class="provenance" aria-live="polite"></dl></div></div>'
        "<noscript><p>This explorer needs JavaScript; its numbers can be saved as a file.</p></noscript>"
    )
    return explorer("sets", body, data, caption, name, [row for model in models for row in _rows_of(model)])


def _data_of(effect: SetEffect) -> Mapping[str, Any]:
    return {
        "change": percents(effect.change),
        "parts": percents(effect.parts),
        "beyond": percents(effect.interaction),
        "class": effect.classification,
        "told": _told(effect.interaction),
        "level": _level(effect.change.value),
    }


def _told(interaction: Estimate) -> str:
    """Returns what an interaction's interval says."""
    if interaction.low > 0:
        return "more than the sum"
    return "less than the sum" if interaction.high < 0 else "more or less than the sum: not resolved"


def _level(change: float) -> int:
    """Returns the place in the colours of a WER change: linear up to the margin, logarithmic beyond."""
    at = min(max(change, 0.0), _MOST) / MARGIN
    height = at if at < 1 else 1 + math.log(at)
    return round((len(_COLOURS) - 1) * height / (1 + math.log(_MOST / MARGIN)))


def _rows_of(model: ExploredSets) -> list[Row]:
    singles: list[tuple[LayerSet, dict[str, Estimate]]]
    singles = [((layer,), {"change": single}) for layer, single in enumerate(model.singles, 1)]
    sets = [(e.layers, {"change": e.change, "sum": e.parts, "interaction": e.interaction}) for e in model.sets]
    rows: list[Row] = []
    for layers, quantities in (*singles, *sets):
        numbers = {
            f"{quantity}_points{end}": 100 * value
            for quantity, estimate in quantities.items()
            for end, value in (("", estimate.value), ("_low", estimate.low), ("_high", estimate.high))
        }
        rows.append({"seed": model.seed, "layers": " ".join(map(str, layers)), **numbers})
    return rows
