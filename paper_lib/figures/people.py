"""Figures of human speech: what layers hold of synthesiser and people, every person's WER, and norms under clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from paper_lib.figures.download import hundredfold
from paper_lib.figures.drawing import add_legend, drawing, linear_then_log, new_figure, new_panels
from paper_lib.figures.resets import CLASS_MARKERS
from paper_lib.figures.style import BLACK, PALETTE
from paper_lib.inference import Floats
from paper_lib.layers.ranking import MARGIN, LayerEffect


@drawing
def changes_by_layer(series: Mapping[str, Sequence[LayerEffect]]) -> Figure:
    """Returns the WER change, in points, by layer: a row of axes per series, for example a model and a kind of reset.

    Each of `series` has one effect a layer. Whiskers are intervals that hold together for all layers of a series; the
    marker tells the class. The scale is linear up to the margin and logarithmic beyond it.
    """
    figure, panels = new_panels(height=0.6 + 1.45 * len(series), columns=1, rows=len(series), sharex=True, sharey=True)
    rows = panels[:, 0]
    for place, (axes, (name, effects)) in enumerate(zip(rows, series.items(), strict=True)):
        axes.axhline(0, color=BLACK, linewidth=0.8)
        axes.axhline(100 * MARGIN, color=BLACK, linewidth=1, linestyle=":")
        for effect in effects:
            change = effect.change
            points = hundredfold("change_points", change)
            figure.note(series=name, layer=effect.layer, **points, **{"class": effect.classification})
            colour = PALETTE[place % len(PALETTE)]
            axes.vlines(effect.layer, 100 * change.low, 100 * change.high, color=colour, linewidth=1.6)
            marker = CLASS_MARKERS[effect.classification]
            axes.plot(effect.layer, 100 * change.value, marker, color=colour, markersize=5)
        linear_then_log(axes, 100 * MARGIN, [2, 10, 50])
        axes.set_title(name)
        axes.set_ylabel("points")
        axes.grid(axis="y")
        count = max(effect.layer for effect in effects)
        axes.set_xticks(range(1, count + 1))
    rows[-1].set_xlabel("layer, from the input (1) to the output")
    return figure


@drawing
def personal_wers(models: Mapping[str, Floats]) -> Figure:
    """Returns which share of the people is understood with at most a WER, by model; WERs are fractions, [people].

    A person's WER beyond 100 % is drawn as 100 %.
    """
    figure = new_figure(height=2.9)
    axes = figure.subplots()
    for place, (name, wers) in enumerate(models.items()):
        ordered = np.sort(wers)
        for rank, wer in enumerate(ordered, 1):
            figure.note(model=name, rank=rank, share_percent=100 * rank / len(ordered), wer_percent=100 * wer)
        x = np.concatenate([[0.0], np.minimum(100 * ordered, 100), [100.0]])
        y = np.concatenate([[0.0], 100 * np.arange(1, len(ordered) + 1) / len(ordered), [100.0]])
        axes.step(x, y, where="post", color=PALETTE[place % len(PALETTE)], label=name)
    axes.set_xlabel("WER of a person at most, %")
    axes.set_ylabel("share of people, %")
    axes.set_xlim(-1, 101)
    axes.set_ylim(-1, 101)
    axes.grid()
    add_legend(figure)
    return figure


@drawing
def norms_by_round(curves: Mapping[str, Mapping[str, Sequence[Mapping[int, float]]]]) -> Figure:
    """Returns the dev WER, %, by rounds: a panel for each way to learn, a colour for each norm.

    `curves` hold by way and by norm, one per seed, WERs (fractions) by the number of rounds. Thin: every seed; thick:
    their mean. The scale is linear up to 5 % and logarithmic beyond it.
    """
    figure, panels = new_panels(height=2.9, columns=len(curves), sharey=True)
    for axes, (way, by_norm) in zip(panels[0], curves.items(), strict=True):
        for place, (norm, runs) in enumerate(by_norm.items()):
            for run, curve in enumerate(runs):
                for rounds, wer in curve.items():
                    figure.note(learning=way, norm=norm, run=run, rounds=rounds, dev_wer_percent=100 * wer)
            rounds_of_all = list(runs[0])
            wers = 100 * np.array([[run[rounds] for rounds in rounds_of_all] for run in runs])
            if len(runs) > 1:
                axes.plot(rounds_of_all, wers.T, color=PALETTE[place], linewidth=0.6, alpha=0.5)
            axes.plot(rounds_of_all, wers.mean(0), color=PALETTE[place], label=norm)
        axes.set_title(way)
        axes.set_xlabel("rounds")
        linear_then_log(axes, 5, [5, 10, 20, 50, 100, 200])
        axes.grid(axis="y")
    panels[0, 0].set_ylabel("dev WER, %")
    add_legend(figure)
    return figure
