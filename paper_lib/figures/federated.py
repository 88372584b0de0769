"""Figures of Federated Dropout: what is dropped where, WERs by rounds and by what was dropped, what clients change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from paper_lib.figures.download import hundredfold
from paper_lib.figures.drawing import add_legend, drawing, new_figure, new_panels
from paper_lib.figures.plans import COLOURS, MARKERS, PANELS, family, in_panel, line_marks, line_style, point_marks
from paper_lib.figures.style import BLUE, LIGHT, ON_DARK, ON_LIGHT, PALETTE
from paper_lib.inference import Estimate, Floats
from paper_lib.settings import DropoutPlan

# Plans of one N drop the same: side by side, in points of per cent.
_ASIDE = {"crit": 0.2, "amb": -0.2, "low": -0.4, "high": 0.4, "random": 0.6}


@drawing
def dropped_shares(plans: Sequence[DropoutPlan], ranking: Sequence[int]) -> Figure:
    """Returns which share of the feed-forward units each plan drops in each layer, in per cent.

    Columns are layers, labelled with their place in `ranking`, 1 for the most ambient.
    """
    layers = len(ranking)
    rates = np.array([[100 * plan.rate(layer + 1) for layer in range(layers)] for plan in plans])
    figure = new_figure(height=0.9 + 0.3 * len(plans))
    axes = figure.subplots()
    for (row, layer), rate in np.ndenumerate(rates):
        rank = ranking.index(layer + 1) + 1
        figure.note(plan=plans[row].name, layer=layer + 1, rank=rank, dropped_percent=rate)
    image = axes.imshow(rates, cmap="cividis_r", aspect="auto", vmin=0, vmax=max(60, float(rates.max())))
    if layers <= 10:
        for (row, layer), rate in np.ndenumerate(rates):
            colour = ON_DARK if rate >= 40 else ON_LIGHT
            axes.text(layer, row, f"{rate:.0f}", ha="center", va="center", color=colour, fontsize=8.5)
    axes.set_yticks(range(len(plans)), [plan.name for plan in plans])
    axes.set_xticks(range(layers), [f"{layer + 1}\n({ranking.index(layer + 1) + 1})" for layer in range(layers)])
    axes.set_xlabel("layer, from the input; in brackets its rank, 1 for the most ambient")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label="units dropped, %", pad=0.02)
    return figure


@drawing
def adaptation_curves(curves: Mapping[str, Sequence[Mapping[int, float]]]) -> Figure:
    """Returns the dev WER by rounds, of every run by a plan (thin) with the mean over its runs (thick).

    `curves` holds by plan, one per run (seed and draw), WERs (fractions) by the number of rounds. Panels share their
    scale.
    """
    figure, panels = new_panels(height=5.6, columns=2, rows=2, sharex=True, sharey=True)
    for plan, runs in curves.items():
        for run, values in enumerate(runs):
            for rounds, value in values.items():
                figure.note(plan=plan, run=run, rounds=rounds, wer_percent=100 * value)
    for axes, (title, families) in zip(panels.flat, PANELS.items(), strict=True):
        for plan in in_panel(curves, families):
            _curve(axes, plan, curves[plan])
        axes.set_title(title)
        axes.grid(axis="y")
    for axes in panels[-1]:
        axes.set_xlabel("rounds")
    for axes in panels[:, 0]:
        axes.set_ylabel("WER on dev, %")
        axes.set_ylim(bottom=0)
    add_legend(figure, line_marks(curves))
    return figure


@drawing
def own_curves(runs: Mapping[str, Mapping[int, float]]) -> Figure:
    """Returns the WER of single runs by rounds; `runs` hold by label WERs (fractions) by the number of rounds."""
    figure = new_figure(height=2.8)
    axes = figure.subplots()
    for place, (label, run) in enumerate(runs.items()):
        values = [100 * value for value in run.values()]
        for rounds, value in zip(run, values, strict=True):
            figure.note(run=label, rounds=rounds, wer_percent=value)
        axes.plot(list(run), values, "o-", markersize=3, color=PALETTE[place % len(PALETTE)], label=label)
    axes.set_xlabel("rounds")
    axes.set_ylabel("WER, %")
    axes.set_ylim(0, 1.05 * axes.dataLim.ymax)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")
    add_legend(figure, title="run: % dropped by layer")
    return figure


def _curve(axes: Axes, plan: str, runs: Sequence[Mapping[int, float]]) -> None:
    rounds = list(runs[0])
    values = 100 * np.array([[run[at] for at in rounds] for run in runs])
    colour, style = COLOURS[family(plan)], line_style(plan)
    if len(runs) > 1:
        axes.plot(rounds, values.T, style, color=colour, linewidth=0.6, alpha=0.5)
    axes.plot(rounds, values.mean(0), style, color=colour)


@drawing
def wer_by_dropped(ours: Mapping[str, tuple[float, Estimate]], slide: Mapping[str, tuple[float, float]]) -> Figure:
    """Returns the slide's table as a picture, ours beside it: WER over the share of parameters dropped.

    Values are by plan: the share (a fraction) and the WER, ours with its interval, the slide's in per cent. Of ours,
    plans of one N stand side by side, at about one share.
    """
    figure, panels = new_panels(height=3.8, columns=2, width_ratios=(3, 2))
    left, right = panels[0]
    for plan, (share, wer) in ours.items():
        figure.note(measured="here", plan=plan, dropped_percent=100 * share, **hundredfold("wer_percent", wer))
        _point(left, plan, 100 * share + _ASIDE.get(family(plan), 0), 100 * wer.value, (100 * wer.low, 100 * wer.high))
    for plan, (printed_share, printed_wer) in slide.items():
        figure.note(measured="slide", plan=plan, dropped_percent=printed_share, wer_percent=printed_wer)
        _point(right, plan, printed_share, printed_wer, None)
        _name(right, plan, printed_share, printed_wer)
    left.set_title("here")
    right.set_title("slide")
    add_legend(figure, point_marks(ours))
    for axes in (left, right):
        axes.set_xlabel("parameters dropped, %")
        axes.set_ylabel("WER on the held-out domain, %")
        axes.grid(color=LIGHT)
        axes.margins(x=0.12, y=0.12)
    return figure


@drawing
def update_curves(norms: Floats, disagreements: Floats) -> Figure:
    """Returns how far clients move each layer, and how far they disagree, [runs, layers]; thick: mean over runs."""
    figure, panels = new_panels(height=2.8, columns=2)
    layers = np.arange(1, norms.shape[1] + 1)
    for run, (moved, apart) in enumerate(zip(norms, disagreements, strict=True)):
        for layer, norm, disagreement in zip(layers, moved, apart, strict=True):
            figure.note(run=run, layer=int(layer), norm=float(norm), disagreement=float(disagreement))
    kinds = (("norm of a client's update", norms, None), ("disagreement of the clients", disagreements, 1))
    for axes, (title, values, top) in zip(panels[0], kinds, strict=True):
        if len(values) > 1:
            axes.plot(layers, values.T, color=BLUE, linewidth=0.6, alpha=0.5)
        axes.plot(layers, values.mean(0), "o-", color=BLUE, markersize=4)
        axes.set_title(title)
        axes.set_xlabel("layer, from the input")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(0, top)
        axes.grid(axis="y")
    return figure


def _point(axes: Axes, plan: str, x: float, y: float, interval: tuple[float, float] | None) -> None:
    colour = COLOURS[family(plan)]
    if interval:
        axes.vlines(x, *interval, color=colour, linewidth=1, alpha=0.6)
    axes.plot(x, y, MARKERS[family(plan)], color=colour, markersize=6)


def _name(axes: Axes, plan: str, x: float, y: float) -> None:
    below = family(plan) == "amb"
    place = (4, -12 if below else 4)
    axes.annotate(plan, (x, y), place, textcoords="offset points", fontsize=8, color=COLOURS[family(plan)])
