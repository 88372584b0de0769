"""The planner: its numbers are those of the accounting."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tiny_runs import tiny_run

from paper_lib.explorers.planner import MeasuredPlan, planner
from paper_lib.federated.accounting import account
from paper_lib.inference import Estimate
from paper_lib.profiles import profile_of
from paper_lib.settings import BitsPlan, DropoutPlan

PAPER = profile_of("gpu").adaptation.model
MEASURED = [
    MeasuredPlan(DropoutPlan(name="front", rates={1: 0.5}, elsewhere=0.1), 2, Estimate(0.41, 0.40, 0.42)),
    MeasuredPlan(DropoutPlan(name="back", rates={2: 0.5}, elsewhere=0.1), 2, Estimate(0.31, 0.30, 0.32)),
]


@pytest.fixture(scope="module")
def page() -> str:
    return planner(PAPER, MEASURED, seconds=2.0, labels=9, caption="a </script> caption").html


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json">(.*?)</script>', page)
    assert found
    content: dict[str, Any] = json.loads(found[1].replace("<\\/", "</"))
    return content


@pytest.mark.parametrize(
    ("rates", "bits", "trained"),
    [
        ({1: 0.5, 17: 0.95}, {}, None),
        ({4: 0.05, 9: 0.35, 11: 0.2}, {1: 2, 9: 6, 17: 8}, None),
        ({1: 0.5, 17: 0.95}, {1: 2, 9: 6, 17: 8}, (4, 17)),
        ({4: 0.05, 9: 0.35, 11: 0.2}, {4: 3, 5: 4}, (1, 9)),
        ({}, {}, (11,)),
    ],
)
def test_what_a_choice_costs_is_the_sum_over_its_layers(
    page: str, rates: dict[int, float], bits: dict[int, int], trained: tuple[int, ...] | None
) -> None:
    data = data_of(page)
    units = [round(rates.get(layer, 0) * data["hidden"]) for layer in range(1, 18)]
    states = [
        "trained" if trained is None or layer in trained else "frozen" if layer > min(trained) else "below"
        for layer in range(1, 18)
    ]
    plan = DropoutPlan(name="x", rates=rates)
    found = account(plan, PAPER, 2.0, 9, BitsPlan(name="x", bits=bits), trained)
    assert data["parametersPerUnit"] * sum(units) == found.dropped
    assert data["parameters"] == found.parameters
    for name in ("flops", "memory"):
        cost = data["steps"][name]
        saved = [cost["layer"][of] + cost["unit"][of] * count for of, count in zip(states, units, strict=True)]
        assert cost["some" if trained else "all"] - sum(saved) == getattr(found, name), name
    each = [
        data["bytes"]["layer"][str(bits.get(layer, 32))] - count * data["bytes"]["unit"][str(bits.get(layer, 32))]
        for layer, count in enumerate(units, 1)
    ]
    assert data["bytes"]["rest"] + sum(each) == found.down
    assert found.up == (sum(each[layer - 1] for layer in trained) if trained else found.down)


def test_measured_plans_are_told_as_they_are(page: str) -> None:
    data = data_of(page)
    assert data["measured"][0] == {"name": "front", "rates": [50, 10], "wer": [41.0, 40.0, 42.0]}
    assert page.count('aria-label="layer ') == 3 * data["layers"] == 3 * 17
    assert "</script> caption" not in page


def test_a_small_model_has_a_planner_too() -> None:
    small = planner(tiny_run().model, [], seconds=1.0, labels=3, caption="").html
    assert data_of(small)["measured"] == []
