"""The figure of the simulation: how often intervals hold, and how often tests find something where there is nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from paper_lib.figures.drawing import drawing, new_panels
from paper_lib.figures.style import BAND, BLACK, BLUE, GROUND, LIGHT, VERMILION


@drawing
def simulated(intervals: Sequence[Mapping[str, Any]], tests: Sequence[Mapping[str, Any]]) -> Figure:
    """Returns, left, the shares of 95 % intervals that hold by the number of trainings; right, those of rejections.

    A dot is one setting of the simulation, as `benchmarks/coverage.py` writes it.
    """
    counts = sorted({line["trainings"] for line in intervals})
    names = list(dict.fromkeys(line["test"] for line in tests))
    figure, panels = new_panels(height=1.1 + 0.36 * len(names), columns=2)
    left, right = panels[0]
    left.axvspan(93, 97, color=BAND, linewidth=0)
    left.axvline(95, color=BLACK, linewidth=1, linestyle=":")
    for line in intervals:
        share = 100 * line["of_95"]
        shown = {key: value for key, value in line.items() if not key.startswith("of_")}
        figure.note(kind="interval", **shown, holds_percent=share)
        _dot(left, share, counts.index(line["trainings"]), line.get("speakers", 0), BLUE)
    left.set_yticks(range(len(counts)), [f"{count} training{'s' * (count > 1)}" for count in counts])
    left.set_ylim(len(counts) - 0.5, -0.5)
    left.set_xlabel("95 % intervals that hold, %")
    left.grid(axis="x", color=LIGHT)
    right.axvline(5, color=BLACK, linewidth=1, linestyle=":")
    for line in tests:
        share = 100 * line["rejects"]
        shown = {key: value for key, value in line.items() if key != "rejects"}
        figure.note(kind="test", **shown, rejects_percent=share)
        _dot(right, share, names.index(line["test"]), line.get("layers", 0) + line["trainings"], VERMILION)
    right.set_yticks(range(len(names)), [_in_lines(name) for name in names])
    right.set_ylim(len(names) - 0.5, -0.5)
    right.set_xlim(left=-0.2)  # dots at 0 are whole
    right.set_xlabel("false positives at 5 %, %")
    right.grid(axis="x", color=LIGHT)
    return figure


def _dot(axes: Any, share: float, row: int, among: int, colour: str) -> None:
    # Settings of one row are spread a little, so that dots do not hide each other.
    y = row + 0.04 * (among % 9 - 4)
    axes.plot(share, y, "o", color=colour, markeredgecolor=GROUND, markeredgewidth=0.4, markersize=4)


def _in_lines(name: str, longest: int = 34) -> str:
    """Returns `name` broken into two lines where it is longer than `longest`."""
    if len(name) <= longest:
        return name
    place = name.rindex(" ", 0, longest)
    return f"{name[:place]}\n{name[place + 1 :]}"
