"""Boxes and arrows, in inches from the lower left corner of a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from paper_lib.figures.drawing import new_figure
from paper_lib.figures.style import BLACK, GROUND, LINE, WIDTH, DataFigure

Point = tuple[float, float]


def canvas(height: float, width: float = WIDTH) -> tuple[DataFigure, Axes]:
    """Returns an empty figure and its axes, whose data coordinates are inches; on a phone it is no wider."""
    figure = new_figure(height, width)
    width = figure.get_figwidth()
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    return figure, axes


def box(
    axes: Axes,
    centre: Point,
    size: Point,
    text: str = "",
    fill: str = GROUND,
    edge: str = LINE,
    *,
    bold: bool = False,
    line: float = 0.9,
    hatch: str | None = None,
    fontsize: float = 8.5,
) -> None:
    """Draws a rounded box of `size` (width, height) around `centre`, with `text` in it."""
    (x, y), (width, height) = centre, size
    shape = FancyBboxPatch(
        (x - width / 2, y - height / 2),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.06",
        facecolor=fill,
        edgecolor=edge,
        linewidth=line,
        hatch=hatch,
    )
    axes.add_patch(shape)
    weight = "bold" if bold else "normal"
    axes.text(x, y, text, ha="center", va="center", fontsize=fontsize, fontweight=weight, linespacing=1.25)


def arrow(axes: Axes, points: Sequence[Point], *, colour: str = LINE, line: float = 1.0, dashed: bool = False) -> None:
    """Draws an arrow along `points`, with its head at the last one."""
    axes.add_patch(
        FancyArrowPatch(
            path=Path(list(points)),
            arrowstyle="-|>,head_length=4,head_width=2",
            color=colour,
            linewidth=line,
            linestyle="--" if dashed else "-",
            joinstyle="round",
            capstyle="butt",
        )
    )


def plus(axes: Axes, centre: Point, radius: float = 0.1) -> None:
    """Draws the sum of two streams."""
    axes.add_patch(Circle(centre, radius, facecolor=GROUND, edgecolor=LINE, linewidth=1.0, zorder=3))
    (x, y), arm = centre, radius * 0.6
    axes.plot([x - arm, x + arm], [y, y], color=LINE, linewidth=1.0, zorder=4)
    axes.plot([x, x], [y - arm, y + arm], color=LINE, linewidth=1.0, zorder=4)


def label(
    axes: Axes,
    place: Point,
    text: str,
    *,
    bold: bool = False,
    align: Literal["left", "center", "right"] = "center",
    size: float = 8.5,
    colour: str = BLACK,
) -> None:
    """Writes `text` at `place`, vertically centred."""
    weight = "bold" if bold else "normal"
    x, y = place
    axes.text(x, y, text, ha=align, va="center", fontsize=size, fontweight=weight, color=colour, linespacing=1.3)
