"""Figures of several trainings of one model: the slide's spread per layer, and the ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy import stats

from paper_lib.figures.drawing import add_legend, drawing, new_panels
from paper_lib.figures.style import BLACK, LIGHT, ON_DARK, ON_LIGHT, PALETTE
from paper_lib.inference import Floats


@drawing
def run_spread(changes: Mapping[str, Floats], seeds: Mapping[str, Sequence[int]]) -> Figure:
    """Returns the slide's figure: the WER change of every layer in every training, a row of axes per model size.

    `changes` are [trainings, layers] by size, fractions; `seeds` those of the trainings. The bar is the mean, the grey
    band reaches from the least to the largest.
    """
    figure, panels = new_panels(height=0.5 + 1.65 * len(changes), columns=1, rows=len(changes), sharey=True)
    rows = panels[:, 0]
    for axes, (size, of_size) in zip(rows, changes.items(), strict=True):
        trainings, layers = of_size.shape
        for layer in range(layers):
            values = 100 * of_size[:, layer]
            axes.bar(layer, values.max() - values.min(), 0.62, bottom=values.min(), color=LIGHT)
            axes.hlines(values.mean(), layer - 0.31, layer + 0.31, color=BLACK, linewidth=1.6)
            for place, (seed, value) in enumerate(zip(seeds[size], values, strict=True)):
                figure.note(size=size, layer=layer + 1, seed=seed, change_points=value)
                x = layer + 0.36 * ((place + 0.5) / trainings - 0.5)
                axes.plot(x, value, "o", color=PALETTE[seed % len(PALETTE)], markersize=4.5)
        axes.use_sticky_edges = False  # else bars let no room below the lowest dot
        axes.set_title(size)
        axes.set_ylabel("WER change, points")
        axes.set_xticks(range(layers), range(1, layers + 1))
        axes.set_xlim(-0.6, layers - 0.4)
        axes.grid(axis="y")
    rows[-1].set_xlabel("layer that is re-initialised, from the input (1) to the output")
    marks = [
        Line2D(
            [], [], color=PALETTE[seed % len(PALETTE)], marker="o", linestyle="", markersize=4.5, label=f"seed {seed}"
        )
        for seed in sorted({seed for size in changes for seed in seeds[size]})
    ]
    mean = Line2D([], [], color=BLACK, linewidth=1.6, label="mean")
    add_legend(figure, [*marks, mean])
    return figure


@drawing
def rank_maps(changes: Mapping[str, Floats], seeds: Mapping[str, Sequence[int]]) -> Figure:
    """Returns the rank of every layer in every training, 1 the least harmful to reset; arguments as of `run_spread`."""
    most = max(of_size.shape[0] for of_size in changes.values())
    figure, grid = new_panels(height=1.0 + 0.32 * most, columns=len(changes))
    panels = grid[0]
    for axes, (size, of_size) in zip(panels, changes.items(), strict=True):
        ranks = stats.rankdata(of_size, axis=1)
        axes.imshow(ranks, cmap="viridis_r", aspect="auto", vmin=1, vmax=ranks.shape[1])
        for place, (seed, row) in enumerate(zip(seeds[size], ranks, strict=True)):
            for layer, rank in enumerate(row):
                figure.note(size=size, layer=layer + 1, seed=seed, rank=rank)
                light = rank > ranks.shape[1] / 2
                axes.text(layer, place, f"{rank:g}", ha="center", va="center", color=ON_DARK if light else ON_LIGHT)
        axes.set_title(size)
        axes.set_xticks(range(ranks.shape[1]), range(1, ranks.shape[1] + 1))
        axes.set_yticks(range(len(ranks)), seeds[size])
        axes.set_xlabel("layer")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    panels[0].set_ylabel("seed")
    return figure
