"""The figure that shows why a reset breaks BatchNorm: the normalised activations of the layers above."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_lib.figures.drawing import add_legend, drawing, is_narrow, new_panels
from paper_lib.figures.style import BLACK, GREY, GROUND, VERMILION

_COLOURS = {False: GREY, True: VERMILION}
_LABELS = {False: "intact", True: "a layer below re-initialised"}


@drawing
def activation_quantiles(activations: Mapping[str, Sequence[Mapping[str, Any]]], reset: int) -> Figure:
    """Returns, a column of axes per norm, mean and deviation of the channels in every layer above `reset`, from 1.

    `activations` are the entries of `normalised_activations` by the name of the norm. Thin bars span 90 % of a layer's
    channels, thick ones half of them; the dot is the median channel. What fits lies at mean 0 and deviation 1.
    """
    figure, rows = new_panels(height=4.6, columns=len(activations), rows=2, sharey="row", sharex=True)
    for column, (norm, entries) in enumerate(activations.items()):
        for row, (statistic, fitting) in enumerate((("mean", 0.0), ("deviation", 1.0))):
            axes = rows[row][column]
            axes.axhline(fitting, color=BLACK, linewidth=0.8, linestyle="--")
            for entry in entries:
                if entry["layer"] > reset and entry["reset"] in (None, reset):
                    quantiles = zip(("q05", "q25", "q50", "q75", "q95"), entry[statistic], strict=True)
                    model = "intact" if entry["reset"] is None else f"layer {reset} reset"
                    figure.note(norm=norm, layer=entry["layer"], model=model, of=statistic, **dict(quantiles))
                    _bars(axes, entry["layer"], entry[statistic], entry["reset"] is not None)
            axes.grid(axis="y")
            if row == 0 or is_narrow():  # below each other, each has to say what it is of
                axes.set_title(norm)
                axes.tick_params(labelbottom=row == 1 or is_narrow())
        rows[1][column].set_xlabel("layer")
        layers = sorted({entry["layer"] for entry in entries if entry["layer"] > reset})
        rows[1][column].set_xticks(layers if len(layers) <= 8 else layers[::2])
    rows[0][0].set_ylabel("mean of a channel")
    rows[1][0].set_ylabel("deviation of a channel")
    marks = [Line2D([], [], color=_COLOURS[after], marker="o", markersize=4, label=_LABELS[after]) for after in _LABELS]
    add_legend(figure, marks)
    return figure


def _bars(axes: Axes, layer: int, quantiles: Sequence[float], after: bool) -> None:
    low, lower, median, upper, high = quantiles
    x, colour = layer + (0.15 if after else -0.15), _COLOURS[after]
    axes.vlines(x, low, high, color=colour, linewidth=1.2)
    axes.vlines(x, lower, upper, color=colour, linewidth=4)
    axes.plot(x, median, "o", color=colour, markerfacecolor=GROUND, markersize=4)
