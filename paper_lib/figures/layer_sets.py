"""Figures of sets of layers: what pairs do, alone and beyond their sum, how sets grow, and neighbours exchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from paper_lib.figures.download import hundredfold
from paper_lib.figures.drawing import add_legend, drawing, linear_then_log, new_panels
from paper_lib.figures.style import BAND, BLACK, BLUE, GREY, ON_DARK, ON_LIGHT, ORANGE, VERMILION
from paper_lib.inference import Estimate
from paper_lib.layers.ranking import MARGIN
from paper_lib.layers.sets import ExchangeEffect, LayerSet
from paper_lib.typography import minus_signs

_TICKS = [2, 10, 50]  # points, beside 0


@drawing
def pair_maps(
    harm: Mapping[LayerSet, float],
    interactions: Mapping[LayerSet, float],
    signs: Mapping[LayerSet, int],
    layers: int,
) -> Figure:
    """Returns two maps of layer × layer, in points of WER: the change by the reset of both, and what of it is beyond
    the sum of their single ones.

    `harm` is of pairs and, on the diagonal, of single layers; `interactions` and `signs` are of pairs. Where the sign
    is 1 or -1, a + or a − stands in the cell. Colours are linear up to the margin and logarithmic beyond it.
    """
    figure, grid = new_panels(height=4.1, columns=2)
    panels = grid[0]
    points = 100 * MARGIN
    for pair, value in harm.items():
        beyond = {"interaction_points": 100 * interactions[pair], "sign": signs[pair]} if pair in interactions else {}
        figure.note(layer=pair[0], other=pair[-1], change_points=100 * value, **beyond)
    highest = max(2 * points, 100 * max(harm.values()))
    farthest = max(2 * points, *(100 * abs(value) for value in interactions.values()))
    _map(panels[0], "WER change, both reset", harm, layers, "cividis", (0, highest), points)
    colours = ("RdBu_r", (-farthest, farthest), points)
    norm = _map(panels[1], "beyond the sum of both alone", interactions, layers, *colours)
    for (one, other), sign in signs.items():
        if sign:
            colour = ON_DARK if abs(float(norm(100 * interactions[one, other])) - 0.5) > 0.4 else ON_LIGHT
            panels[1].text(other, one, "+" if sign > 0 else "−", ha="center", va="center", color=colour, fontsize=8)
    panels[0].set_ylabel("layer")
    return figure


def _map(
    axes: Axes,
    title: str,
    values: Mapping[LayerSet, float],
    layers: int,
    colours: str,
    limits: tuple[float, float],
    linear: float,
) -> SymLogNorm:
    """Draws values of pairs into the upper triangle, of single layers onto the diagonal; limits are in points.

    Returns what makes colours of them.
    """
    grid = np.full((layers, layers), np.nan)
    for chosen, value in values.items():
        grid[chosen[0] - 1, chosen[-1] - 1] = 100 * value
    norm = SymLogNorm(linear, linscale=0.7, vmin=limits[0], vmax=limits[1], clip=True)
    image = axes.imshow(grid, cmap=colours, norm=norm, extent=(0.5, layers + 0.5, layers + 0.5, 0.5))
    axes.set_title(title)
    ticks = range(1, layers + 1) if layers <= 8 else range(2, layers + 1, 2)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    axes.set_xlabel("other layer")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    marks = [mark for mark in (*(-tick for tick in _TICKS[::-1]), 0, *_TICKS) if limits[0] <= mark <= limits[1]]
    bar = axes.figure.colorbar(image, ax=axes, location="bottom", label="points", fraction=0.05, aspect=25)
    bar.set_ticks(marks, labels=[minus_signs(f"{mark:g}") for mark in marks])
    bar.minorticks_off()
    return norm


@drawing
def nested_sets(curves: Mapping[str, Mapping[str, Sequence[Estimate]]]) -> Figure:
    """Returns the WER change, in points, against the number of layers that are reset together, a panel per training.

    `curves` are by training and by the same three orders. The scale is linear up to the margin and logarithmic beyond.
    """
    figure, panels = new_panels(height=3.3, columns=len(curves), sharex=True, sharey=True)
    colours = dict(zip(next(iter(curves.values())), (BLUE, VERMILION, GREY), strict=True))
    for axes, (training, by_order) in zip(panels[0], curves.items(), strict=True):
        axes.axhspan(-100 * MARGIN, 100 * MARGIN, color=BAND, linewidth=0)
        axes.axhline(0, color=GREY, linewidth=0.8)
        for place, (order, changes) in enumerate(by_order.items()):
            sizes = np.arange(1, len(changes) + 1)
            for size, change in zip(sizes, changes, strict=True):
                figure.note(training=training, order=order, layers=int(size), **hundredfold("change_points", change))
            x = sizes + 0.12 * (place - (len(by_order) - 1) / 2)  # whiskers of equal sizes stand side by side
            low, high = (np.array([100 * getattr(change, end) for change in changes]) for end in ("low", "high"))
            axes.vlines(x, low, high, color=colours[order], linewidth=1.2)
            values = [100 * change.value for change in changes]
            axes.plot(x, values, "o-", color=colours[order], markersize=3.5, linewidth=1.2)
        axes.set_title(training)
        linear_then_log(axes, 100 * MARGIN, [*_TICKS, 100])
        axes.set_ylim(bottom=-100 * MARGIN)
        axes.grid(axis="y")
        axes.set_xlabel("layers reset together")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0, 0].set_ylabel("WER change, points")
    marks = [Line2D([], [], color=colour, marker="o", markersize=3.5, label=order) for order, colour in colours.items()]
    add_legend(figure, marks)
    return figure


@drawing
def exchange_columns(trainings: Mapping[str, Sequence[ExchangeEffect]]) -> Figure:
    """Returns the WER change, in points, with a layer and the next exchanged, and beside it with both reset.

    A panel per training, below each other. The scale is linear up to the margin and logarithmic beyond it.
    """
    figure, panels = new_panels(height=0.7 + 2.2 * len(trainings), columns=1, rows=len(trainings), sharex=True)
    for axes, (training, effects) in zip(panels[:, 0], trainings.items(), strict=True):
        axes.axhspan(-100 * MARGIN, 100 * MARGIN, color=BAND, linewidth=0)
        axes.axhline(0, color=BLACK, linewidth=0.8)
        for effect in effects:
            numbers = hundredfold("exchanged_points", effect.change) | hundredfold("reset_points", effect.reset)
            figure.note(training=training, layer=effect.layer, **numbers, **{"class": effect.classification})
        for name, colour, offset, changes in (
            ("exchanged", BLUE, -0.2, [effect.change for effect in effects]),
            ("both reset", ORANGE, 0.2, [effect.reset for effect in effects]),
        ):
            x = np.array([effect.layer for effect in effects]) + offset
            axes.bar(x, [100 * change.value for change in changes], 0.36, color=colour, label=name)
            low, high = (np.array([100 * getattr(change, end) for change in changes]) for end in ("low", "high"))
            axes.vlines(x, low, high, color=BLACK, linewidth=1.2)
        axes.set_xticks([e.layer for e in effects], [f"{e.layer}↔{e.layer + 1}" for e in effects], fontsize=7.5)
        linear_then_log(axes, 100 * MARGIN, [*_TICKS, 100])
        axes.grid(axis="y")
        axes.set_title(training)
        axes.set_ylabel("WER change, points")
    panels[-1, 0].set_xlabel("layers, from the input")
    add_legend(figure, [Patch(color=BLUE, label="exchanged"), Patch(color=ORANGE, label="both reset")])
    return figure
