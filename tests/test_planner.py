"""The planner of Federated Dropout: its numbers are those of the accounting, in Python and in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import tiny_run

from paper_lib.evaluation import Estimate
from paper_lib.explorers.planner import MeasuredPlan, planner
from paper_lib.federated.accounting import account
from paper_lib.profiles import streaming_size
from paper_lib.settings import DropoutPlan

CHROMIUM = shutil.which("chromium")
MEASURED = [
    MeasuredPlan(DropoutPlan(name="front", rates={1: 0.5}, elsewhere=0.1), 2, Estimate(0.41, 0.40, 0.42)),
    MeasuredPlan(DropoutPlan(name="back", rates={2: 0.5}, elsewhere=0.1), 2, Estimate(0.31, 0.30, 0.32)),
]


@pytest.fixture(scope="module")
def page() -> str:
    return planner(streaming_size(), MEASURED, seconds=2.0, labels=9, caption="a </script> caption").html


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json">(.*?)</script>', page)
    assert found
    content: dict[str, Any] = json.loads(found[1].replace("<\\/", "</"))
    return content


@pytest.mark.parametrize("rates", [{1: 0.5, 17: 0.95}, {}, {4: 0.05, 9: 0.35, 11: 0.2}])
def test_what_is_linear_in_the_units_is_the_accounting(page: str, rates: dict[int, float]) -> None:
    data = data_of(page)
    units = sum(round(rate * data["hidden"]) for rate in rates.values())
    found = account(DropoutPlan(name="x", rates=rates), streaming_size(), 2.0, 9)
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


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
def test_in_a_browser_the_numbers_follow_the_sliders(page: str, tmp_path: Path) -> None:
    script = """
    const sliders = document.querySelectorAll('input[type="range"]');
    const tell = (name) => document.querySelectorAll('dd').forEach((dd) => {
      document.body.dataset[`${name}${dd.dataset.fact}`] = dd.textContent;
    });
    tell("start");
    sliders[0].value = 50; sliders[16].value = 95;
    sliders[0].dispatchEvent(new Event("input"));
    tell("moved");
    document.querySelectorAll("button")[1].click();
    tell("flat");
    """
    (tmp_path / "page.html").write_text(f"<!doctype html><meta charset=utf-8>{page}<script>{script}</script>")
    command = [
        str(CHROMIUM),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=2000", "--dump-dom"),
        (tmp_path / "page.html").as_uri(),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    body = re.search(r"<body([^>]*)>", dom)
    assert body
    told = dict(re.findall(r'data-(\w+)="([^"]*)"', body[1]))
    settings = streaming_size()
    for name, rates, elsewhere in (("start", {}, 0.0), ("moved", {1: 0.5, 17: 0.95}, 0.0), ("flat", {}, 0.2)):
        found = account(DropoutPlan(name=name, rates=rates, elsewhere=elsewhere), settings, 2.0, 9)
        assert told[f"{name}dropped"].startswith(f"{found.dropped:,} of {found.parameters:,} (")
        assert told[f"{name}bytes"].startswith(f"{found.transfer / 1e6:.1f} MB (")
        assert told[f"{name}flops"].startswith(f"{found.flops / 1e9:.1f} GFLOP (")
    assert told["movednearest"].startswith("front: 41 [40, 42] %")
