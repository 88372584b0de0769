"""How figures are drawn: twice, as wide as a page's column and as a phone's, with panels that find their places.

@drawing
def learning_curves(losses: Mapping[str, Sequence[float]]) -> Figure:
    figure, panels = new_panels(height=3, columns=len(losses))
    ...
    return figure

show(learning_curves(losses), caption="Loss of the trainings, nats an utterance.", alt="Falling curves, ...")

A y axis named in per cent or in points (of WER) shows its 0: what is twice as high is twice as much.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial, wraps
from itertools import pairwise
from typing import Any, Literal, ParamSpec, TypeVar, cast

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from paper_lib.figures.style import NARROW, WIDTH, DataFigure, book_style

_P = ParamSpec("_P")
_F = TypeVar("_F", bound=Figure)

# How the name of an axis ends whose 0 is to be seen.
_IN_POINTS = ("%", "points")
# On a phone: inches that axes are high at least, and letters that fit beside them.
_LEAST_HEIGHT, _LONG_NAME = 1.1, 20
# The widest that a figure may be, while one is drawn for a phone.
_widest: ContextVar[float | None] = ContextVar("widest", default=None)


def drawing(function: Callable[_P, _F]) -> Callable[_P, _F]:
    """Makes a function that draws a figure use the style of the book, and its figures able to become narrow."""

    @book_style()
    def narrow(*args: _P.args, **kwargs: _P.kwargs) -> _F:
        token = _widest.set(NARROW)
        try:
            figure = function(*args, **kwargs)
        finally:
            _widest.reset(token)
        _show_zero(figure)
        _fit(figure)
        return figure

    @wraps(function)
    @book_style()
    def wide(*args: _P.args, **kwargs: _P.kwargs) -> _F:
        figure = function(*args, **kwargs)
        _show_zero(figure)
        if isinstance(figure, DataFigure):
            figure.narrow = partial(narrow, *args, **kwargs)
        return figure

    return wide


def is_narrow() -> bool:
    """Returns whether what is being drawn is for a phone."""
    return _widest.get() is not None


def new_figure(height: float, width: float = WIDTH) -> DataFigure:
    """Returns an empty figure of `width` × `height` inches that fits its labels in; on a phone it is no wider."""
    return DataFigure(height, min(width, _widest.get() or width))


def new_panels(
    height: float,
    columns: int,
    rows: int = 1,
    *,
    least: float = 2.2,
    sharex: bool = False,
    sharey: bool | Literal["row"] = False,
    width_ratios: Sequence[float] | None = None,
) -> tuple[DataFigure, NDArray[Any]]:
    """Returns a figure and its axes, [rows, columns].

    On a phone they stand below each other, row by row, as many side by side as have `least` inches each.
    """
    if not is_narrow():
        figure = new_figure(height)
        grid = figure.subplots(rows, columns, sharex=sharex, sharey=sharey, squeeze=False, width_ratios=width_ratios)
        return figure, grid
    across = max(1, min(columns, int(NARROW / least)))
    down = -(-rows * columns // across)
    figure = new_figure(height * (0.35 + 0.65 * down / rows))
    shared = sharey if isinstance(sharey, bool) else False
    stacked = figure.subplots(down, across, sharex=sharex, sharey=shared, squeeze=False)
    if rows == 1:
        for axes in stacked.flat:  # one is read while the lowest is not in sight
            axes.tick_params(labelbottom=True)
    for spare in stacked.flat[rows * columns :]:
        spare.set_axis_off()
    grid = stacked.flat[: rows * columns].reshape(rows, columns)
    if sharey == "row":
        for first, *others in grid:
            for axes in others:
                axes.sharey(first)
    return figure, grid


def add_legend(figure: Figure, handles: Sequence[Artist] | None = None, title: str = "") -> None:
    """Puts the legend where all figures have it: above the axes, from the left, as many entries a line as fit."""
    handles = handles if handles is not None else _labelled(figure)
    longest = max((len(str(handle.get_label())) for handle in handles), default=1)
    room = figure.get_figwidth() - 0.2
    columns = max(1, min(len(handles), int(room / (0.5 + 0.072 * longest))))
    figure.legend(
        handles=list(handles), loc="outside upper left", ncols=columns, columnspacing=1.4, title=title, alignment="left"
    )


def linear_then_log(axes: Axes, linear: float, ticks: Sequence[float], of: Literal["x", "y"] = "y") -> None:
    """Makes an axis linear up to `linear` and logarithmic beyond it, with ticks at 0 and at `ticks`, and no others."""
    marks = [0, *ticks]
    set_scale, set_ticks = (axes.set_xscale, axes.set_xticks) if of == "x" else (axes.set_yscale, axes.set_yticks)
    set_scale("symlog", linthresh=linear, linscale=0.8)
    set_ticks(marks, [f"{mark:g}" for mark in marks])
    (axes.xaxis if of == "x" else axes.yaxis).set_minor_locator(NullLocator())


def spread(heights: Sequence[float], apart: float, ceiling: float) -> list[float]:
    """Returns rising `heights` of labels, moved to stand at least `apart` from each other and below `ceiling`."""
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + apart) if moved else height)
    for place in range(len(moved) - 1, -1, -1):
        moved[place] = min(moved[place], ceiling)
        ceiling = moved[place] - apart
    return moved


def _show_zero(figure: Figure) -> None:
    """Lets y axes in per cent or in points reach 0, where ticks then have one."""
    for axes in figure.axes:
        if axes.get_subplotspec() and axes.get_ylabel().endswith(_IN_POINTS):  # the bar of a colour map has no place
            low, high = axes.get_ylim()
            axes.set_ylim(min(low, 0), max(high, 0))


def _labelled(figure: Figure) -> list[Artist]:
    """Returns what the axes of a figure call by a label, one of each."""
    found = [pair for axes in figure.axes for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    return list({label: handle for handle, label in reversed(found)}.values())[::-1]


def _fit(figure: Figure) -> None:
    """Breaks lines, leaves out ticks and makes a figure higher, until its texts have room on a phone."""
    panels = [axes for axes in figure.axes if axes.get_subplotspec()]
    shared = ""  # beside each other the first has the name of the axis for all
    for axes in panels:
        if axes.get_subplotspec().get_gridspec().ncols == 1:  # type: ignore[union-attr]
            shared = axes.get_ylabel() or shared
            axes.set_ylabel(shared)
    for axes in panels:
        names = [tick.get_text() for tick in axes.get_yticklabels()]
        if any(len(name) > _LONG_NAME and "$" not in name for name in names):
            axes.set_yticks(axes.get_yticks(), [_broken(name, _LONG_NAME) for name in names], fontsize=7.5)
    _lay_out(figure)
    for axes in panels:
        width, height = _inches(axes)
        for text, room, inch in (
            (axes.title, width, 10.5),
            (axes._left_title, width, 10.5),  # type: ignore[attr-defined]
            (axes.xaxis.label, width, 12),
            (axes.yaxis.label, height, 12),
        ):
            text.set_text(_broken(text.get_text(), max(10, int(room * inch))))
    # Twice: what is higher has other ticks.
    for _ in range(2):
        _lay_out(figure)
        missing = max((_height_of_rows(axes) - _inches(axes)[1] for axes in panels), default=0)
        if missing > 0:
            rows = max(axes.get_subplotspec().get_gridspec().nrows for axes in panels)  # type: ignore[union-attr]
            figure.set_figheight(figure.get_figheight() + rows * missing)
    for axes in panels:
        _thin(axes)


def _lay_out(figure: Figure) -> None:
    if engine := figure.get_layout_engine():
        engine.execute(figure)


def _broken(text: str, letters: int) -> str:
    """Returns `text` in lines of at most `letters` where it has spaces, or dots within names, to break at."""
    lines = []
    for line in text.splitlines():
        apart = line if len(line) <= letters else re.sub(r"(?<=\w[._])(?=[a-z])", " \0", line)
        lines += textwrap.wrap(apart, letters, break_long_words=False, break_on_hyphens=False)
    return "\n".join(line.replace(" \0", "").replace("\0", "") for line in lines)


def _height_of_rows(axes: Axes) -> float:
    """Returns the inches that axes need for their ticks' names below each other."""
    lines = max((tick.get_text().count("\n") + 1 for tick in axes.get_yticklabels() if tick.get_text()), default=1)
    named = sum(bool(tick.get_text()) for tick in axes.get_yticklabels())
    return max(_LEAST_HEIGHT, 0.14 * lines * named)


def _inches(axes: Axes) -> tuple[float, float]:
    """Returns the width and the height of axes that have their place."""
    place, whole = axes.get_position(), cast(Figure, axes.figure).get_size_inches()
    return float(place.width * whole[0]), float(place.height * whole[1])


def _thin(axes: Axes) -> None:
    """Leaves every second tick of the x axis without its name for as long as names touch."""
    while True:
        named = [tick for tick in axes.get_xticklabels() if tick.get_text()]
        ends = [tick.get_window_extent() for tick in named]
        if all(left.x1 + 2 < right.x0 for left, right in pairwise(ends)):
            return
        kept = {tick.get_text() for tick in named[::2]}
        names = [tick.get_text() if tick.get_text() in kept else "" for tick in axes.get_xticklabels()]
        axes.set_xticks(axes.get_xticks(), names)
