"""Plans of Federated Dropout by name, without torch: the slide's crit-N, amb-N and flat, FedAvg, and controls.

    none       nothing is dropped: FedAvg
    flat       20 % of every layer
    amb-N      50 % of the N most ambient layers, and a base rate of the others
    crit-N     the same of the N most critical ones

Controls, which the paper has not; they drop as much as amb-N and crit-N:

    flat-N     the same rate in every layer
    low-N      50 % of the N layers nearest to the input, and a base rate of the others
    high-N     the same of the N nearest to the output
    random-N   the same of N layers drawn by lot, five times: one such plan is the mean of its draws

A base rate is what is dropped in the layers that a plan does not name. That the slide's plans have one is a reading of
its column of parameters; see `readings`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from random import Random

from pydantic import ValidationError

from paper_lib.settings import DropoutPlan

COUNTS = (2, 3, 4)  # N on the slide
PLANS = (
    "none",
    "flat",
    *(f"{kind}-{count}" for kind in ("crit", "amb", "low", "high", "flat") for count in COUNTS),
    "random-3",
)
_WITH_COUNT = ("amb", "crit", "flat", "low", "high", "random")
PLAN_NAME = rf"^(none|flat|({'|'.join(_WITH_COUNT)})-[1-9][0-9]*)$"
OWN_PLAN = r"^\s*([0-9]{1,9}|rest):[0-9.]+(\s+([0-9]{1,9}|rest):[0-9.]+)*\s*$"
RATE, FLAT_RATE, BASE_RATE = 0.5, 0.2, 0.1
DRAWS = 5  # of the layers of random-N


class PlanError(ValueError):
    """A plan that does not fit the model; the message names what would."""


def check_plan(plan: DropoutPlan, layers: int) -> None:
    """Raises PlanError where `plan` names a layer that a model of `layers` layers does not have."""
    check_layers(f"plan {plan.name}", plan.rates, layers)


def check_layers(what: str, named: Iterable[int], layers: int) -> None:
    """Raises PlanError where one of the layers that are `named`, from 1, is none of `layers`; `what` names them."""
    if missing := sorted(layer for layer in named if not 1 <= layer <= layers):
        raise PlanError(f"{what}: there is no layer {missing[0]}; the model has layers 1 to {layers}")


def draws_of(name: str) -> int:
    """Returns how many times the layers of the plan called `name` are drawn: once where no lot is in it."""
    return DRAWS if name.startswith("random") else 1


def named_plan(
    name: str, ranking: Sequence[int], seed: int = 0, elsewhere: float = BASE_RATE, draw: int = 0
) -> DropoutPlan:
    """Returns the plan called `name` for a model whose layers are ranked so.

    `seed` and `draw`, from 0, draw the layers of random-N, whatever the ranking.
    `ranking` holds the layers, from 1, from the most ambient to the most critical. Raises PlanError.
    """
    if not re.match(PLAN_NAME, name):
        raise PlanError(f"there is no plan {name!r}; there are none, flat and {', '.join(_WITH_COUNT)}-N")
    if name == "none":
        return DropoutPlan(name=name)
    if name == "flat":
        return DropoutPlan(name=name, elsewhere=FLAT_RATE)
    kind, _, number = name.partition("-")
    count = int(number)
    layers = len(ranking)
    if count > layers:
        raise PlanError(f"plan {name}: the model has {layers} layers")
    if kind == "flat":
        return DropoutPlan(name=name, elsewhere=round((count * RATE + (layers - count) * elsewhere) / layers, 6))
    by_depth = range(1, layers + 1)
    chosen = {
        "amb": ranking[:count],
        "crit": ranking[layers - count :],
        "low": by_depth[:count],
        "high": by_depth[layers - count :],
        "random": Random(f"{seed} {count} {draw}").sample(by_depth, count),
    }[kind]
    return DropoutPlan(name=name, rates=dict.fromkeys(sorted(chosen), RATE), elsewhere=elsewhere)


def own_plan(text: str, layers: int) -> DropoutPlan:
    """Returns the plan that a reader writes as "1:0.5 4:0.25 rest:0.1", called own; raises PlanError."""
    if not re.match(OWN_PLAN, text):
        raise PlanError(f"own is {text!r}; a plan is written like '1:0.5 4:0.25 rest:0.1'")
    # 01 is layer 1.
    pairs = [(layer.lstrip("0") or "0", rate) for layer, rate in (part.split(":") for part in text.split())]
    if doubled := sorted({layer for layer, _ in pairs if sum(layer == other for other, _ in pairs) > 1}):
        raise PlanError(f"own names {'layer ' if doubled[0] != 'rest' else ''}{doubled[0]} twice")
    rates = dict(pairs)
    try:
        plan = DropoutPlan(
            name="own",
            elsewhere=float(rates.pop("rest", "0")),
            rates={int(layer): float(rate) for layer, rate in rates.items()},
        )
    except (ValidationError, ValueError):
        raise PlanError(f"own is {text!r}; every rate must be a number of at least 0 and less than 1") from None
    check_plan(plan, layers)
    return plan


def ranking_of(changes: Sequence[float]) -> list[int]:
    """Returns the layers, from 1, from the most ambient to the most critical by the WER changes of their resets."""
    return sorted(range(1, len(changes) + 1), key=lambda layer: changes[layer - 1])
