"""The planner of Federated Dropout: a rate for every layer, and what a client would save by it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paper_lib.explorers.parts import explorer, percents
from paper_lib.federated.accounting import account, dropped_units
from paper_lib.federated.plans import FLAT_RATE
from paper_lib.federated.quantisation import FLOAT_BYTES
from paper_lib.figures.download import Row
from paper_lib.figures.markup import Markup
from paper_lib.inference import Estimate
from paper_lib.settings import DropoutPlan, TransducerSettings

HIGHEST, STEP = 95, 5  # of the sliders, per cent
# What sets them all at once; the sliders of a notebook too.
PRESETS: Mapping[str, int] = {
    "none": 0,
    f"flat {100 * FLAT_RATE:.0f} %": round(100 * FLAT_RATE),
    "half of every layer": 50,
}


@dataclass(frozen=True)
class MeasuredPlan:
    """A plan that was measured, on a model with `layers` layers."""

    plan: DropoutPlan
    layers: int
    wer: Estimate


def planner(
    settings: TransducerSettings,
    measured: Sequence[MeasuredPlan],
    *,
    seconds: float,
    labels: int,
    caption: str,
    name: str = "planner",
) -> Markup:
    """Returns the explorer for a model with `settings`; a client's step is on `seconds` of speech with `labels`.

    The measured plans may be of a model with another number of layers: they are compared by relative depth, which the
    page says. Without JavaScript the page shows the model without dropout.
    """
    layers = settings.encoder.layers
    whole = account(DropoutPlan(name="none"), settings, seconds, labels)
    # Everything is linear in the dropped units, so one plan tells what a unit of each module saves.
    half = account(probe := DropoutPlan(name="probe", elsewhere=0.5), settings, seconds, labels)
    units = sum(dropped_units(probe, settings))
    data: dict[str, Any] = {
        "layers": layers,
        "hidden": 4 * settings.encoder.dim,
        "parameters": whole.parameters,
        "flops": whole.flops,
        "parametersPerUnit": half.dropped // units,
        "flopsPerUnit": (whole.flops - half.flops) // units,
        "bytes": FLOAT_BYTES,
        "measured": [
            {
                "name": entry.plan.name,
                "rates": [round(100 * entry.plan.rate(layer + 1)) for layer in range(entry.layers)],
                "wer": percents(entry.wer),
            }
            for entry in measured
        ],
    }
    sliders = "".join(
        f'<label><input type="range" min="0" max="{HIGHEST}" step="{STEP}" value="0" '
        f'aria-label="layer {layer + 1}, per cent dropped"><span class="rate">0</span><span>{layer + 1}</span></label>'
        for layer in range(layers)
    )
    buttons = "".join(
        f'<button type="button" data-rate="{rate}">{html.escape(label)}</button>' for label, rate in PRESETS.items()
    )
    facts = {
        "dropped": ("Parameters dropped", f"0 of {whole.parameters:,} (0.0 %)"),
        "bytes": ("Bytes each way", f"{whole.down / 1e6:.1f} MB (0.0 % saved)"),
        "flops": ("Client's step", f"{whole.flops / 1e9:.1f} GFLOP (0.0 % saved)"),
        "nearest": ("Nearest measured", "–"),
    }
    rows = "".join(
        f'<div><dt>{label}</dt><dd data-fact="{key}">{text}</dd></div>' for key, (label, text) in facts.items()
    )
    body = (
        f'<div class="controls">{buttons}</div>'
        f'<fieldset class="layers"><legend>Units dropped in each layer, %</legend>{sliders}</fieldset>'
        f'<dl class="provenance" aria-live="polite">{rows}</dl>'
    )
    plans: list[Row] = [
        {
            "plan": entry.plan.name,
            "layer": layer + 1,
            "dropped_percent": 100 * entry.plan.rate(layer + 1),
            "wer_percent": 100 * entry.wer.value,
            "wer_percent_low": 100 * entry.wer.low,
            "wer_percent_high": 100 * entry.wer.high,
        }
        for entry in measured
        for layer in range(entry.layers)
    ]
    return explorer("planner", body, data, caption, name, plans)
