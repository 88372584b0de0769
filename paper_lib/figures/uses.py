"""Figures of what ranks are good for: what each choice costs and saves, and what few bits do to a trained model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_lib.figures.download import hundredfold
from paper_lib.figures.drawing import add_legend, drawing, linear_then_log, new_figure, new_panels
from paper_lib.figures.style import BLACK, BLUE, GREEN, GREY, LIGHT, VERMILION, WIDTH
from paper_lib.inference import Estimate, Floats

COLOURS = {"none": BLACK, "bits": BLUE, "trained": GREEN, "dropout": VERMILION}
_MARKERS = {"none": "D", "bits": "o", "trained": "^", "dropout": "s"}
_CALLED = {
    "none": "FedAvg, all of the model",
    "bits": "few bits",
    "trained": "some layers trained alone",
    "dropout": "three layers at 50 %",
}


@dataclass(frozen=True)
class Cost:
    """One choice: the WER (a fraction) after the adaptation, and what a client receives, sends and holds, in bytes."""

    kind: str  # of COLOURS
    wer: Estimate
    down: int
    up: int
    memory: int


@drawing
def costs_and_wers(choices: Mapping[str, Cost]) -> Figure:
    """Returns a row for every choice, by its name: its WER with the interval, and what it costs a client.

    The first is the reference; its values are the lines to compare with.
    """
    reference = next(iter(choices.values()))
    figure, grid = new_panels(height=1.0 + 0.25 * len(choices), columns=4, sharey=True, width_ratios=(2.2, 1, 1, 1))
    panels = grid[0]
    columns = {"down, MB": "down", "up, MB": "up", "memory, MB": "memory"}
    for row, (name, one) in enumerate(choices.items()):
        colour = COLOURS[one.kind]
        figure.note(
            choice=name,
            kind=one.kind,
            **hundredfold("wer_percent", one.wer),
            down_bytes=one.down,
            up_bytes=one.up,
            memory_bytes=one.memory,
        )
        _interval(panels[0], one.wer, row, colour, _MARKERS[one.kind])
        for axes, field in zip(panels[1:], columns.values(), strict=True):
            axes.barh(row, getattr(one, field) / 1e6, color=colour, height=0.7, alpha=0.8)
    panels[0].axvline(100 * reference.wer.value, color=GREY, linewidth=0.8, linestyle="--", zorder=0)
    panels[0].set_xlabel("WER on the held-out domain, %")
    for axes, (title, field) in zip(panels[1:], columns.items(), strict=True):
        axes.axvline(getattr(reference, field) / 1e6, color=GREY, linewidth=0.8, linestyle="--")
        axes.set_xlabel(title)
        axes.set_xlim(left=0)
    panels[0].set_yticks(range(len(choices)), list(choices))
    panels[0].invert_yaxis()
    for axes in panels:
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
    _legend(figure, choices)
    return figure


@drawing
def wer_by_bytes(choices: Mapping[str, Cost]) -> Figure:
    """Returns the WER of every choice over the bytes that a client receives and sends in a round, and its memory."""
    figure, grid = new_panels(height=3.4, columns=2, sharey=True)
    panels = grid[0]
    for name, one in choices.items():
        megabytes = ((one.down + one.up) / 1e6, one.memory / 1e6)
        figure.note(choice=name, both_ways_mb=megabytes[0], memory_mb=megabytes[1], wer_percent=100 * one.wer.value)
        for axes, x in zip(panels, megabytes, strict=True):
            axes.vlines(x, 100 * one.wer.low, 100 * one.wer.high, color=COLOURS[one.kind], linewidth=1, alpha=0.5)
            axes.plot(x, 100 * one.wer.value, _MARKERS[one.kind], color=COLOURS[one.kind], markersize=6)
    for axes, label in zip(panels, ("sent down and up, MB a round", "memory of a step, MB"), strict=True):
        axes.set_xlabel(label)
        axes.set_xlim(left=0)
        axes.grid(color=LIGHT)
    panels[0].set_ylabel("WER on the held-out domain, %")
    _legend(figure, choices)
    return figure


@drawing
def wers_of_bits(wers: Mapping[str, Estimate], draws: Mapping[str, Sequence[float]]) -> Figure:
    """Returns the WER of a trained model by the plan of its bits, float32 first; small: single draws of a lot."""
    figure = new_figure(height=0.9 + 0.3 * len(wers), width=0.8 * WIDTH)
    axes = figure.subplots()
    for row, (name, wer) in enumerate(wers.items()):
        figure.note(plan=name, **hundredfold("wer_percent", wer))
        axes.plot([100 * value for value in draws.get(name, ())], [row] * len(draws.get(name, ())), ".", color=GREY)
        _interval(axes, wer, row, BLACK if row == 0 else BLUE, "D" if row == 0 else "o")
    axes.axvline(100 * next(iter(wers.values())).value, color=GREY, linewidth=0.8, linestyle="--", zorder=0)
    axes.set_yticks(range(len(wers)), list(wers))
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("WER on the test, %")
    axes.grid(axis="x")
    return figure


@drawing
def alone_by_harm(harm: Floats, alone: Floats) -> Figure:
    """Returns what 2 bits in one layer add over what its reset adds, both WERs [layers], mean over trainings."""
    figure = new_figure(height=3.2, width=0.7 * WIDTH)
    axes = figure.subplots()
    for layer, (reset, bits) in enumerate(zip(100 * harm, 100 * alone, strict=True), 1):
        figure.note(layer=layer, reset_points=float(reset), bits_points=float(bits))
        axes.plot(reset, bits, "o", color=BLUE, markersize=5)
    # Harm is small in most layers and large in a few.
    linear_then_log(axes, 1, [1, 10], of="x")
    linear_then_log(axes, 1, [1, 10])
    points = np.column_stack([100 * harm, 100 * alone])
    axes.axis()  # settles the limits
    places = axes.transData.transform(points) * 72 / figure.dpi  # in points of type
    for layer, (point, place) in enumerate(zip(points, places, strict=True), 1):
        right, above = (places - place).T
        # The number stands at the upper right of its dot, or at the left where another dot is there.
        taken = bool(((right > 0) & (right < 16) & (above >= 0) & (above < 14)).any())
        offset, side = ((-4, 3), "right") if taken else ((4, 3), "left")
        axes.annotate(str(layer), tuple(point), xytext=offset, textcoords="offset points", ha=side, fontsize=8)
    axes.set_xlabel("WER added by the layer's reset, points, dev")
    axes.set_ylabel("WER added by 2 bits in it, points, test")
    axes.grid(color=LIGHT)
    return figure


def _interval(axes: Axes, wer: Estimate, row: int, colour: str, marker: str) -> None:
    axes.hlines(row, 100 * wer.low, 100 * wer.high, color=colour, linewidth=1.2, alpha=0.7)
    axes.plot(100 * wer.value, row, marker, color=colour, markersize=5.5)


def _legend(figure: Figure, choices: Mapping[str, Cost]) -> None:
    marks = [
        Line2D([], [], color=COLOURS[kind], marker=_MARKERS[kind], linestyle="", label=_CALLED[kind])
        for kind in dict.fromkeys(one.kind for one in choices.values())
    ]
    add_legend(figure, marks)
