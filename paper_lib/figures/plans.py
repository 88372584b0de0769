"""How plans of Federated Dropout look in figures, and which of them stand in one panel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from matplotlib.lines import Line2D

from paper_lib.figures.style import BLACK, BLUE, GREEN, GREY, OLIVE, ORANGE, PURPLE, SKY, VERMILION

COLOURS = {
    "none": BLACK,
    "flat": GREEN,
    "crit": VERMILION,
    "amb": BLUE,
    "low": SKY,
    "high": OLIVE,
    "random": PURPLE,
    "own": ORANGE,
    "centralised": GREY,
}
MARKERS = {"none": "D", "flat": "^", "crit": "s", "amb": "o", "low": "<", "high": ">", "random": "v", "own": "*"}
# Families side by side in a panel; FedAvg without dropout stands in all of them.
PANELS = {
    "critical layers": ("crit",),
    "ambient layers": ("amb",),
    "layers by depth": ("low", "high"),
    "other plans": ("flat", "random", "own", "centralised"),
}
LineStyle = Literal["-", "--", ":", "-."]
_STYLES: dict[str, LineStyle] = {"2": "-", "3": "--", "4": ":"}
_OTHER_STYLE: LineStyle = "-."


def family(plan: str) -> str:
    """Returns "crit" for "crit-3"."""
    return plan.partition("-")[0]


def line_style(plan: str) -> LineStyle:
    """Returns how the line of a plan is broken, by its N."""
    count = plan.partition("-")[2]
    return _STYLES.get(count, _OTHER_STYLE) if count else "-"


def in_panel(plans: Iterable[str], families: Sequence[str]) -> list[str]:
    """Returns those of `plans` that the panel of `families` shows."""
    return [plan for plan in plans if plan == "none" or family(plan) in families]


def line_marks(plans: Iterable[str]) -> list[Line2D]:
    """Returns what a legend shows of lines: a colour for each family, a style for each N."""
    plans = list(plans)
    colours = [Line2D([], [], color=COLOURS[one], linewidth=6, label=one) for one in dict.fromkeys(map(family, plans))]
    counts = sorted({plan.partition("-")[2] for plan in plans} - {""}, key=int)
    return colours + [Line2D([], [], color=BLACK, linestyle=line_style(f"-{n}"), label=f"N = {n}") for n in counts]


def point_marks(plans: Mapping[str, object]) -> list[Line2D]:
    """Returns what a legend shows of points: a colour and a marker for each family."""
    return [
        Line2D([], [], color=COLOURS[one], marker=MARKERS[one], linestyle="", label=one)
        for one in dict.fromkeys(map(family, plans))
    ]
