"""The layer explorer: one model, one reset, one layer at a time, with what its modules and its weights tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paper_lib.explorers.parts import explorer, percents, select
from paper_lib.figures.download import Row
from paper_lib.figures.markup import Markup
from paper_lib.inference import Estimate, Floats
from paper_lib.layers.matrices import MATRICES
from paper_lib.layers.ranking import LayerEffect
from paper_lib.layers.variants import ALL_KINDS, MODULES, Kind


@dataclass(frozen=True)
class ExploredModel:
    """One trained model: its layers' effects, those of its modules (or none measured), and its signature."""

    size: str
    norm: str
    seed: int
    intact: Estimate
    layers: Sequence[LayerEffect]
    modules: Sequence[LayerEffect]
    signature: Floats  # [matrices, layers], at the end of training
    matrices: Sequence[str] = MATRICES  # the same ones of all models that are explored together


def layer_explorer(models: Sequence[ExploredModel], *, caption: str, name: str = "layer-explorer") -> Markup:
    """Returns the explorer; it opens on the layer of the last size that costs most. All of it takes JavaScript."""
    menus = {
        "size": ("Size", [model.size for model in models]),
        "norm": ("Norm", [model.norm for model in models]),
        "seed": ("Training, seed", [str(model.seed) for model in models]),
    }
    choices = {key: list(dict.fromkeys(values)) for key, (_, values) in menus.items()}
    kinds = [kind for kind in ALL_KINDS if any(effect.kind == kind for model in models for effect in model.layers)]
    data = {
        "choices": choices,
        "kinds": kinds,
        "modules": list(dict.fromkeys(effect.module for model in models for effect in model.modules)) or MODULES,
        "matrices": models[0].matrices,
        "models": [_data_of(model, kinds) for model in models],
    }
    controls = "".join(select(label, key, choices[key]) for key, (label, _) in menus.items())
    body = (
        f'<div class="controls">{controls}{select("Reset", "kind", kinds)}</div>'
        '<div class="scroll"><fieldset class="columns"><legend>WER with one layer reset, %. Choose a layer:</legend>'
        '<div class="plot"></div></fieldset></div>'
        '<dl class="provenance" aria-live="polite"></dl>'
        '<div class="side-by-side">'
        '<table class="bars"><caption>Each module of the layer re-initialised alone: WER change, points</caption>'
        '<tbody data-part="modules"></tbody></table>'
        '<table class="bars"><caption>Signature: distance from initialisation, over the farthest layer\'s</caption>'
        '<tbody data-part="signature"></tbody></table></div>'
        "<noscript><p>This explorer needs JavaScript; the other chapters have its numbers as tables.</p></noscript>"
    )
    return explorer(
        "layers", body, data, caption, name, [row for model in models for row in _rows_of(model)], shares=True
    )


def _rows_of(model: ExploredModel) -> list[Row]:
    return [
        {
            "size": model.size,
            "norm": model.norm,
            "seed": model.seed,
            "layer": effect.layer,
            "module": effect.module or "all",
            "reset": effect.kind,
            "intact_wer_percent": 100 * model.intact.value,
            "wer_percent": 100 * effect.wer.value,
            "change_points": 100 * effect.change.value,
            "change_points_low": 100 * effect.change.low,
            "change_points_high": 100 * effect.change.high,
            "class": effect.classification,
        }
        for effect in (*model.layers, *model.modules)
    ]


def _data_of(model: ExploredModel, kinds: Sequence[Kind]) -> dict[str, Any]:
    effects: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    for effect in sorted(model.layers, key=lambda effect: effect.layer):
        effects[effect.kind].append(
            {"wer": percents(effect.wer), "change": percents(effect.change), "class": effect.classification}
        )
    modules: list[dict[str, Any]] = [{} for _ in effects[kinds[0]]]
    for effect in model.modules:
        if effect.kind == "re-initialisation":
            modules[effect.layer - 1][str(effect.module)] = [percents(effect.change), effect.classification]
    return {
        "size": model.size,
        "norm": model.norm,
        "seed": str(model.seed),
        "intact": percents(model.intact),
        "effects": effects,
        "modules": modules,
        "signature": np.round(model.signature.T, 2).tolist(),
    }
