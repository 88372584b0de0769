"""The planner of Federated Dropout: its numbers are those of the accounting."""

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
from paper_lib.settings import DropoutPlan

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


@pytest.mark.parametrize("rates", [{1: 0.5, 17: 0.95}, {}, {4: 0.05, 9: 0.35, 11: 0.2}])
def test_what_is_linear_in_the_units_is_the_accounting(page: str, rates: dict[int, float]) -> None:
    data = data_of(page)
    units = sum(round(rate * data["hidden"]) for rate in rates.values())
    found = account(DropoutPlan(name="x", rates=rates), PAPER, 2.0, 9)
    assert data["parametersPerUnit"] * units == found.dropped
    assert data["flops"] - data["flopsPerUnit"] * units == found.flops
    assert data["parameters"] == found.parameters


def test_measured_plans_are_told_as_they_are(page: str) -> None:
    data = data_of(page)
    assert data["measured"][0] == {"name": "front", "rates": [50, 10], "wer": [41.0, 40.0, 42.0]}
    assert page.count('aria-label="layer ') == data["layers"] == 17
    assert "</script> caption" not in page


def test_a_small_model_has_a_planner_too() -> None:
    small = planner(tiny_run().model, [], seconds=1.0, labels=3, caption="").html
    assert data_of(small)["measured"] == []
