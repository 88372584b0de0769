"""Figures of cheap readings of layers: what they tell of a reset's harm against what they cost, and how early."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy import stats

from paper_lib.claims import p_text
from paper_lib.figures.drawing import add_legend, drawing, is_narrow, linear_then_log, new_figure, new_panels, spread
from paper_lib.figures.markup import Markup
from paper_lib.figures.style import BLACK, BLUE, GREEN, GREY, GROUND, ORANGE, PALETTE, PURPLE
from paper_lib.figures.tables import table
from paper_lib.inference import SIGNIFICANCE, Floats
from paper_lib.layers.cheap_ranks import Early, Quantity, Ranked, Source
from paper_lib.layers.criticality import Path
from paper_lib.layers.ranking import MARGIN

_COLOURS: dict[Source, str] = {
    "depth": GREY,
    "training": BLUE,
    "probe": ORANGE,
    "variants": GREEN,
    "clients": PURPLE,
}
_LABELS: dict[Source, str] = {
    "depth": "depth",
    "training": "recorded in training",
    "probe": "probe of the trained model",
    "variants": "changed layers, heard",
    "clients": "seen by a server",
}
_MARKERS = {"clients": "s", "depth": "x"}  # of other models, and not tested
# Between the middles of two labels of one column, in units of ρ.
_APART = 0.17


def rank_table(ranked: Sequence[Ranked], caption: str, folded: str = "") -> Markup:
    """Returns the numbers of `rank_against_cost` and beyond: a row per quantity, `folded` as tables are."""
    several = any(len(one.by_training) > 1 for one in ranked)

    def with_p(rho: float, p: float, of: Quantity) -> str:
        tested = "" if of.source == "depth" else f" ({p_text(p)})"
        return f"{rho:.2f}{tested}"

    rows = [
        (
            one.quantity.name,
            _LABELS[one.quantity.source],
            f"{one.quantity.cost:.3g}",
            with_p(one.rho, one.p, one.quantity),
            "–" if one.quantity.source == "depth" else with_p(one.given_depth, one.p_given_depth, one.quantity),
            *(
                ["–" if one.quantity.source == "depth" else ", ".join(f"{rho:.2f}" for rho in one.by_training)]
                if several
                else []
            ),
            f"{100 * one.found:.0f} %",
        )
        for one in ranked
    ]
    columns = [
        "Reading",
        "Source",
        "Cost",
        "ρ with harm",
        "At fixed depth",
        *(["By training"] if several else []),
        "Finds of the harmless half",
    ]
    return table(rows, columns, caption, folded=folded)


@drawing
def rank_against_cost(ranked: Sequence[Ranked], significance: float = SIGNIFICANCE) -> Figure:
    """Returns ρ with the harm of a reset over the cost, a column for each cost: plain above, at fixed depth below.

    Filled where p is below `significance`. Columns stand in the order of their costs, not to scale. On a phone, where
    names beside points would touch, every quantity has a row of its own, in the order of their costs.
    """
    figure, panels = new_panels(height=6.4, columns=1, rows=2, sharex=True)
    plain, at_depth = panels[:, 0]
    costs = sorted({one.quantity.cost for one in ranked})
    for one in ranked:
        quantity = one.quantity
        told = {"rho": one.rho, "p": one.p, "given_depth": one.given_depth, "p_given_depth": one.p_given_depth}
        figure.note(quantity=quantity.name, source=quantity.source, cost_evaluations=quantity.cost, **told)
    for axes, title in ((plain, "plain"), (at_depth, "at fixed depth")):
        of_axes = [one for one in ranked if axes is plain or one.quantity.source != "depth"]
        points = [
            (one.rho, one.p, one.quantity) if axes is plain else (one.given_depth, one.p_given_depth, one.quantity)
            for one in of_axes
        ]
        axes.set_title(f"Spearman's ρ with the harm, {title}")
        if is_narrow():
            _rows(axes, sorted(points, key=lambda point: point[2].cost), significance)
            continue
        for column, cost in enumerate(costs):
            _column(axes, column, [point for point in points if point[2].cost == cost], significance)
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set_ylim(-1.08, 1.08)
        axes.set_xlim(-0.25, len(costs) - 0.1)
        axes.grid(axis="y")
    if is_narrow():
        at_depth.set_xlabel("ρ; in brackets the cost, evaluations of the dev speech")
    else:
        at_depth.set_xticks(range(len(costs)), [f"{cost:.3g}" for cost in costs])
        at_depth.set_xlabel("cost, evaluations of the dev speech (columns in their order, not to scale)")
    sources = [source for source in _COLOURS if any(one.quantity.source == source for one in ranked)]
    marks = [
        Line2D([], [], color=_COLOURS[one], marker=_MARKERS.get(one, "o"), linestyle="", label=_LABELS[one])
        for one in sources
    ]
    add_legend(figure, marks)
    return figure


def _column(axes: Axes, column: int, points: Sequence[tuple[float, float, Quantity]], significance: float) -> None:
    """Draws the quantities of one cost, with labels beside them that do not touch."""
    ordered = sorted(points, key=lambda point: point[0])
    heights = spread([rho for rho, _, _ in ordered], _APART, 1.0)
    for (rho, p, quantity), height in zip(ordered, heights, strict=True):
        axes.plot([column, column + 0.1], [rho, height], color=_COLOURS[quantity.source], linewidth=0.6)
        _mark(axes, column, rho, quantity, p < significance)
        axes.text(column + 0.12, height, quantity.name, va="center", fontsize=7.5, color=BLACK)


def _rows(axes: Axes, points: Sequence[tuple[float, float, Quantity]], significance: float) -> None:
    """Draws a quantity a row, with its name and its cost beside it."""
    for row, (rho, p, quantity) in enumerate(points):
        _mark(axes, rho, row, quantity, p < significance)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(points)), [f"{quantity.name} ({quantity.cost:.3g})" for _, _, quantity in points])
    axes.set_ylim(len(points) - 0.5, -0.5)
    axes.set_xlim(-1.08, 1.08)
    axes.grid(axis="x")


def _mark(axes: Axes, x: float, y: float, quantity: Quantity, significant: bool) -> None:
    colour, marker = _COLOURS[quantity.source], _MARKERS.get(quantity.source, "o")
    axes.plot(x, y, marker, color=colour, markerfacecolor=colour if significant else GROUND, markersize=6)


@drawing
def ways(paths: Sequence[Path], seeds: Sequence[int]) -> Figure:
    """Returns the WER change, in points, on the way of every layer, a panel per layer; `paths` are by training.

    Thick: mean over trainings; thin: each. The square at the right is the model without the layer. The scale is linear
    up to the margin and logarithmic beyond it.
    """
    rises, shares = 100 * np.array([path.rises for path in paths]), paths[0].shares
    skipped = 100 * np.array([path.skipped for path in paths])
    layers = rises.shape[1]
    columns = min(4, layers)
    rows = -(-layers // columns)
    figure, panels = new_panels(
        height=0.7 + 1.3 * rows, columns=columns, rows=rows, least=1.7, sharex=True, sharey=True
    )
    end = (1.0, 0.0)
    for layer, axes in enumerate(panels.flat):
        if layer >= layers:
            axes.set_visible(False)
            continue
        for seed, of_layer, without in zip(seeds, rises[:, layer], skipped[:, layer], strict=True):
            for share, rise in zip(shares, of_layer, strict=True):
                figure.note(layer=layer + 1, seed=seed, share=share, change_points=rise)
            figure.note(layer=layer + 1, seed=seed, share="skip", change_points=without)
            if len(rises) > 1:
                axes.plot([*shares, end[0]], [*of_layer, end[1]], color=BLUE, linewidth=0.6, alpha=0.6)
        axes.plot([*shares, end[0]], [*rises[:, layer].mean(0), end[1]], color=BLUE)
        axes.plot(1.15, skipped[:, layer].mean(), "s", color=GREEN, markersize=5)
        axes.set_title(f"layer {layer + 1}")
        _scale(axes, MARGIN)
        axes.set_xticks([0, 0.5, 1, 1.15], ["0", "½", "", "skip"])
    figure.supxlabel("share of the way from W(0) to W(T)", fontsize=9)
    figure.supylabel("WER change, points", fontsize=9)
    return figure


@drawing
def harm_by_rank(quantity: Quantity, harm: Floats, seeds: Sequence[int]) -> Figure:
    """Returns the WER change, in points, by the reset of a layer over the rank that `quantity` gives it, 1 the least.

    `harm` is [trainings, layers], from `seeds`; a mark is a layer of a training, with the layer's number.
    """
    figure = new_figure(height=3.4)
    axes = figure.subplots()
    ranks = stats.rankdata(quantity.values, axis=1)
    for seed, of_training, harms in zip(seeds, ranks, 100 * harm, strict=True):
        colour = PALETTE[seed % len(PALETTE)]
        axes.plot(of_training, harms, "o", color=colour, markersize=5, label=f"seed {seed}")
        for layer, (rank, change) in enumerate(zip(of_training, harms, strict=True), 1):
            figure.note(seed=seed, layer=layer, rank=rank, change_points=change)
            axes.annotate(str(layer), (rank, change), (4, 3), textcoords="offset points", fontsize=7.5, color=colour)
    _scale(axes, MARGIN)
    axes.set_xlabel(f"rank by {quantity.name}, 1 the least")
    axes.set_ylabel("WER change, points")
    add_legend(figure)
    return figure


def _scale(axes: Axes, margin: float) -> None:
    """Makes y, in points of WER, linear up to the margin and logarithmic beyond it, and marks the margin."""
    axes.axhline(100 * margin, color=BLACK, linewidth=0.8, linestyle=":")
    linear_then_log(axes, 100 * margin, [2, 10, 50])
    axes.grid(axis="y")


@drawing
def how_early(curves: Sequence[Early], unit: str) -> Figure:
    """Returns ρ with the harm in the finished model over time, a panel for each reading; `unit` is step or rounds.

    Thick: plain; dashed: at fixed depth.
    """
    figure, panels = new_panels(height=2.8, columns=len(curves), sharey=True)
    for axes, curve in zip(panels[0], curves, strict=True):
        axes.axhline(0, color=GREY, linewidth=0.8)
        for given, rhos, style in (("nothing", curve.rho, "-"), ("depth", curve.given_depth, "--")):
            for time, rho in zip(curve.times, rhos, strict=True):
                figure.note(quantity=curve.name, given=given, **{unit: time}, rho=rho)
            axes.plot(curve.times, rhos, style, color=BLUE, marker="o", markersize=2.5)
        axes.set_title(curve.name)
        axes.set_xlabel(unit)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(-1.05, 1.05)
        axes.grid(axis="y")
    panels[0, 0].set_ylabel("ρ with the harm")
    styles = {"plain": "-", "at fixed depth": "--"}
    marks = [axes.plot([], [], style, color=BLUE, label=label)[0] for label, style in styles.items()]
    add_legend(figure, marks)
    return figure
