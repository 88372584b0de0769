"""The planner: what each layer drops, its bits, and whether it is trained; and what a client would save by that."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paper_lib.explorers.parts import explorer, percents
from paper_lib.federated.accounting import account, dropped_parameters, dropped_units, transfer
from paper_lib.federated.plans import FLAT_RATE
from paper_lib.figures.download import Row
from paper_lib.figures.markup import Markup
from paper_lib.inference import Estimate
from paper_lib.settings import BitsPlan, DropoutPlan, TransducerSettings

HIGHEST, STEP = 95, 5  # of the sliders, per cent
# What sets them all at once; the sliders of a notebook too.
PRESETS: Mapping[str, int] = {
    "none": 0,
    f"flat {100 * FLAT_RATE:.0f} %": round(100 * FLAT_RATE),
    "half of every layer": 50,
}
BITS = (8, 6, 4, 3, 2)  # beside float32
NOTHING = DropoutPlan(name="none")
COSTS = ("flops", "memory")  # what a step costs, of a PlanAccount


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
    page says. Without JavaScript the page shows the whole model.
    """
    layers = settings.encoder.layers
    whole, half = account(NOTHING, settings, seconds, labels), DropoutPlan(name="probe", elsewhere=0.5)
    data: dict[str, Any] = {
        "layers": layers,
        "hidden": 4 * settings.encoder.dim,
        "parameters": whole.parameters,
        "parametersPerUnit": dropped_parameters(half, settings) // sum(dropped_units(half, settings)),
        "steps": step_costs(settings, seconds, labels),
        "bytes": transfer_costs(settings),
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
    options = "".join(f'<option value="{bits}">{bits}</option>' for bits in BITS)
    menus = "".join(
        f'<label><select aria-label="layer {layer + 1}, bits"><option value="32">32</option>{options}</select>'
        f"<span>{layer + 1}</span></label>"
        for layer in range(layers)
    )
    boxes = "".join(
        f'<label><input type="checkbox" checked aria-label="layer {layer + 1}, trained">'
        f"<span>{layer + 1}</span></label>"
        for layer in range(layers)
    )
    buttons = "".join(
        f'<button type="button" data-rate="{rate}">{html.escape(label)}</button>' for label, rate in PRESETS.items()
    )
    facts = {
        "dropped": ("Parameters dropped", f"0 of {whole.parameters:,} (0.0 %)"),
        "down": ("Bytes down", f"{whole.down / 1e6:.1f} MB (0.0 % saved)"),
        "up": ("Bytes up", f"{whole.up / 1e6:.1f} MB (0.0 % saved)"),
        "flops": ("Client's step", f"{whole.flops / 1e9:.1f} GFLOP (0.0 % saved)"),
        "memory": ("Its memory", f"{whole.memory / 1e6:.1f} MB (0.0 % saved)"),
        "nearest": ("Nearest measured", "–"),
    }
    rows = "".join(
        f'<div><dt>{label}</dt><dd data-fact="{key}">{text}</dd></div>' for key, (label, text) in facts.items()
    )
    body = (
        f'<div class="controls">{buttons}</div>'
        f'<fieldset class="layers"><legend>Units dropped in each layer, %</legend>{sliders}</fieldset>'
        f'<fieldset class="layers"><legend>Bits of each layer\'s weights; 32: float32</legend>{menus}</fieldset>'
        '<fieldset class="layers"><legend>Layers that are trained; if not all, nothing beside them</legend>'
        f"{boxes}</fieldset>"
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


def step_costs(settings: TransducerSettings, seconds: float, labels: int) -> dict[str, Any]:
    """Returns what a step costs, "flops" and "memory": of a whole model, and what each layer saves of it.

    `all` is where all is trained, `some` where the layers alone are, all of them. From the latter a layer takes away
    `layer` where it is frozen above a trained one, or below all of them, and in each state `unit` for every dropped
    unit. Layers are alike, so that accounts of three layers, with and without dropped units, tell all.
    """
    everyone = tuple(range(1, settings.encoder.layers + 1))
    whole, some = (account(NOTHING, settings, seconds, labels, trained=trained) for trained in (None, everyone))
    costs: dict[str, Any] = {
        name: {"all": getattr(whole, name), "some": getattr(some, name), "layer": {}, "unit": {}} for name in COSTS
    }
    three = settings.model_copy(update={"encoder": settings.encoder.model_copy(update={"layers": 3})})
    trained_three = account(NOTHING, three, seconds, labels, trained=(1, 2, 3))
    for state, (layer, trained) in {"trained": (1, (1, 2, 3)), "frozen": (3, (1, 2)), "below": (1, (2, 3))}.items():
        half = DropoutPlan(name="probe", rates={layer: 0.5})
        units = sum(dropped_units(half, three))
        full, less = (account(plan, three, seconds, labels, trained=trained) for plan in (NOTHING, half))
        for name, cost in costs.items():
            cost["layer"][state] = getattr(trained_three, name) - getattr(full, name)
            cost["unit"][state] = (getattr(full, name) - getattr(less, name)) // units
    return costs


def transfer_costs(settings: TransducerSettings) -> dict[str, Any]:
    """Returns the bytes of a layer by its bits, "layer", what of them goes with a dropped "unit", and the "rest"."""
    half = DropoutPlan(name="probe", rates={1: 0.5})
    units = sum(dropped_units(half, settings))
    costs: dict[str, Any] = {"layer": {}, "unit": {}}
    for bits in (32, *BITS):
        plan = None if bits == 32 else BitsPlan(name="probe", bits={1: bits})
        down, layer = transfer(NOTHING, settings, plan, (1,))
        costs.setdefault("rest", down - settings.encoder.layers * layer)
        costs["layer"][bits] = layer
        costs["unit"][bits] = (layer - transfer(half, settings, plan, (1,))[1]) / units
    return costs
