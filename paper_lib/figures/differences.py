"""The forest plot: paired differences below each other, with their intervals, against 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_lib.federated.comparison import Adapted
from paper_lib.figures.download import hundredfold
from paper_lib.figures.drawing import add_legend, drawing, new_figure
from paper_lib.figures.style import BAND, BLACK, BLUE, GREY, GROUND, LINE
from paper_lib.inference import Estimate

PRIMARY = "primary"


@dataclass(frozen=True)
class Difference:
    """By how much the WER of one thing is above that of another (fractions), with an interval, and by seed."""

    name: str  # "crit-3 − amb-3"
    estimate: Estimate
    by_seed: Sequence[float] = ()

    @classmethod
    def of(cls, name: str, errors: Adapted) -> Difference:
        """Reads the difference off the errors that one plan makes more than another."""
        return cls(name, errors.mean.estimate(), errors.by_seed.tolist())

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.estimate.low > 0 or self.estimate.high < 0


@drawing
def forest(groups: Mapping[str, Sequence[Difference]]) -> Figure:
    """Returns a row for each difference, in points: its value, its interval and, where there are several, its seeds.

    Groups stand below each other, every second one on a ground of its own; that called PRIMARY is drawn as such. A mark
    is hollow where the interval holds 0.
    """
    rows = [(group, difference) for group, members in groups.items() for difference in members]
    figure = new_figure(height=1.2 + 0.21 * len(rows))
    axes = figure.subplots()
    axes.axvline(0, color=LINE, linewidth=1)
    names = list(groups)
    for row, (group, difference) in enumerate(rows):
        figure.note(
            group=group,
            difference=difference.name,
            **hundredfold("points", difference.estimate),
            seeds=" ".join(f"{100 * value:.2f}" for value in difference.by_seed),
        )
        if names.index(group) % 2:
            axes.axhspan(row - 0.5, row + 0.5, color=BAND, linewidth=0, zorder=0)
        if len(difference.by_seed) > 1:
            each = [100 * value for value in difference.by_seed]
            axes.plot(each, [row] * len(each), "|", color=GREY, markersize=6)
        low, value, high = (100 * getattr(difference.estimate, of) for of in ("low", "value", "high"))
        look = _look(group == PRIMARY, difference.excludes_zero)
        axes.hlines(row, low, high, color=look["color"], linewidth=1.6)
        axes.plot(value, row, **look)
    axes.set_yticks(range(len(rows)), [difference.name for _, difference in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("difference of the WERs, points (left of 0 the first errs less, right of it the second)")
    axes.grid(axis="x")
    add_legend(figure, _marks(rows))
    return figure


def _look(primary: bool, excludes_zero: bool) -> dict[str, Any]:
    colour = BLACK if primary else BLUE
    return {
        "color": colour,
        "marker": "D" if primary else "o",
        "markersize": 6 if primary else 5,
        "markerfacecolor": colour if excludes_zero else GROUND,
    }


def _marks(rows: Sequence[tuple[str, Difference]]) -> list[Line2D]:
    """Returns what the legend shows: of the kinds of marks those that are there."""
    looks = {
        (group == PRIMARY, difference.excludes_zero): (
            f"{'primary: ' if group == PRIMARY else ''}interval {'excludes' if difference.excludes_zero else 'holds'} 0"
        )
        for group, difference in rows
    }
    marks = [Line2D([], [], label=label, **_look(*kind)) for kind, label in looks.items()]
    if any(len(difference.by_seed) > 1 for _, difference in rows):
        marks.append(Line2D([], [], color=GREY, marker="|", linestyle="", markersize=6, label="one seed"))
    return marks
