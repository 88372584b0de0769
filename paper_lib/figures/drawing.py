"""How figures are drawn: twice, as wide as a page's column and as a phone's, with panels that find their places.

@drawing
def learning_curves(losses: Mapping[str, Sequence[float]]) -> Figure:
    figure, panels = new_panels(height=3, columns=len(losses))
    ...
    return figure

show(learning_curves(losses), caption="Loss of the trainings, nats an utterance.", alt="Falling curves, ...")
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any, Literal, ParamSpec, TypeVar

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_lib.figures.style import NARROW, WIDTH, DataFigure, book_style

_P = ParamSpec("_P")
_F = TypeVar("_F", bound=Figure)

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
        _break_lines(figure)
        return figure

    @wraps(function)
    @book_style()
    def wide(*args: _P.args, **kwargs: _P.kwargs) -> _F:
        figure = function(*args, **kwargs)
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


def _labelled(figure: Figure) -> list[Artist]:
    """Returns what the axes of a figure call by a label, one of each."""
    found = [pair for axes in figure.axes for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    return list({label: handle for handle, label in reversed(found)}.values())[::-1]


def _break_lines(figure: Figure) -> None:
    """Breaks titles and the names of axes into lines that a phone has room for."""
    for axes in figure.axes:
        columns = max(1, round(NARROW / max(_width_of(axes), 0.1))) if axes.get_subplotspec() else 1
        for text, letters in ((axes.title, 44), (axes._left_title, 44), (axes.xaxis.label, 46)):  # type: ignore[attr-defined]
            text.set_text(textwrap.fill(text.get_text(), letters // columns))
        axes.yaxis.label.set_text(textwrap.fill(axes.yaxis.label.get_text(), 26))
        names = [tick.get_text() for tick in axes.get_yticklabels()]
        if any(len(name) > 18 for name in names):
            axes.set_yticks(axes.get_yticks(), [textwrap.fill(name, 20) for name in names], fontsize=7.5)


def _width_of(axes: Axes) -> float:
    spec = axes.get_subplotspec()
    return NARROW if spec is None else NARROW * len(spec.colspan) / spec.get_gridspec().ncols
